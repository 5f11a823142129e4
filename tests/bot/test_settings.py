import pytest

from bot.errors import ConfigError, PluginError
from bot.message import Place
from bot.setting import Setting
from bot.settings import Settings

HERE = Place("test", "channel")
WARMTH = Setting(name="ask.warmth", type=float, default=0.7, minimum=0, maximum=2, description="How warm.")


def test_a_setting_is_its_default_until_the_deployment_says_otherwise() -> None:
    plain, overridden = Settings({}), Settings({"ask.warmth": "1.5"})
    for settings in (plain, overridden):
        settings.declare("ask", [WARMTH])
        settings.check()
    assert plain.value("ask.warmth", HERE) == 0.7
    assert overridden.value("ask.warmth", HERE) == 1.5


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"ask.warmth": 3}, "ask.warmth must be a number from 0 to 2"),
        ({"ask.wramth": 1}, "there is no setting “ask.wramth”. Did you mean “ask.warmth”?"),
    ],
)
def test_a_wrong_override_is_one_sentence(overrides: dict[str, object], sentence: str) -> None:
    def start() -> None:
        settings = Settings(overrides)
        settings.declare("ask", [WARMTH])
        settings.check()

    with pytest.raises(ConfigError, match=r"\[settings\]") as caught:
        start()
    assert sentence in str(caught.value)


def test_a_plugin_declares_only_its_own() -> None:
    with pytest.raises(PluginError, match="must begin with “face.”"):
        Settings({}).declare("face", [WARMTH])


def test_what_was_withdrawn_is_unknown() -> None:
    settings = Settings({})
    settings.declare("ask", [WARMTH])
    settings.declare("ask", ())
    with pytest.raises(KeyError):
        settings.value("ask.warmth", HERE)
