import asyncio
from dataclasses import replace
from typing import Any

import pytest
from fakes.core.requests import ANN, MODERATOR, ROOM
from fakes.core.settings import SCHOOL, put
from hypothesis import given
from hypothesis import strategies as st

from bot.core.adapters import Adapters
from bot.core.errors import ConfigError, PluginError, UserError
from bot.core.messages import Place, User
from bot.platforms.capabilities import PLATFORMS
from bot.settings.builtin import CORE_SETTINGS, ROLES_ONLY, SERVERS_ONLY
from bot.settings.resolver import Settings
from bot.settings.scopes import Change
from bot.settings.setting import Scope, Setting, largest_quota
from bot.storage.database import Database

HERE = Place("test", "channel")
WARMTH = Setting(name="ask.warmth", type=float, default=0.7, minimum=0, maximum=2, description="How warm.")
QUOTA = Setting(name="ask.quota", type=int, default=0, description="How often.", among=largest_quota)
HALL = Place("test", "hall", server="school")


def declared(*settings: Setting, **overrides: Any) -> Settings:
    made = Settings({f"ask.{name}": value for name, value in overrides.items()}, adapters=Adapters(PLATFORMS))
    made.declare("ask", settings or [WARMTH, QUOTA])
    made.check()
    return made


async def stored(database: Database, **overrides: Any) -> Settings:
    made = declared(**overrides)
    await made.start(database)
    return made


# Declarations


def test_a_setting_has_its_default_unless_the_deployment_overrides_it() -> None:
    assert declared().value("ask.warmth", HERE) == 0.7
    assert declared(warmth="1.5").value("ask.warmth", HERE) == 1.5


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


def test_a_setting_has_one_owner() -> None:
    settings = declared()
    taken = Setting(name="ask.warmth", type=float, default=1.0, description="Another one.")
    with pytest.raises(PluginError, match="Setting “ask.warmth” of plugin “toys” is one of “ask”, too."):
        settings.declare("toys", [], [taken])
    assert settings.value("ask.warmth", HERE) == 0.7


def test_declaring_again_removes_the_settings_that_are_no_longer_declared() -> None:
    settings = declared()
    settings.declare("ask", [WARMTH])
    assert not settings.knows("ask.quota")
    assert settings.knows("ask.warmth")
    assert settings.knows("answers.private")


@pytest.mark.parametrize(
    ("typed", "name"), [("ask.warmth", "ask.warmth"), (" ASK.Warmth ", "ask.warmth"), ("ask.w", "ask.warmth")]
)
def test_a_setting_is_found_however_it_is_written(typed: str, name: str) -> None:
    assert declared().find(typed).name == name


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("ask.wamrth", "There is no setting “ask.wamrth”. Did you mean “ask.warmth”?"),
        ("xyzzy", "There is no setting “xyzzy”. /config show lists what there is."),
        ("", "There is no setting “”. /config show lists what there is."),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_one(typed: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        declared().find(typed)
    assert str(caught.value) == sentence


# What a value may be


IDS = Setting(name="ask.where", type=str, default="", description="Where.", ids="channels", scopes=SERVERS_ONLY)


@pytest.mark.parametrize(
    ("platform", "typed", "value"),
    [
        ("discord", "<#123456> 234567", "123456 234567"),
        ("discord", "<@&123456>,<@!234567>, <@345678>", "123456 234567 345678"),
        ("slack", "<#C123456|lessons> C234567", "C123456 C234567"),
        ("web", "general, hall", "general hall"),
        ("web", "hall hall", "hall"),
        ("discord", "", ""),
    ],
)
def test_ids_are_read_out_of_mentions(platform: str, typed: str, value: str) -> None:
    assert IDS.convert(typed, PLATFORMS[platform].ids) == value


@pytest.mark.parametrize(("platform", "typed"), [("discord", "#general"), ("slack", "general"), ("web", "a:b")])
def test_a_text_that_is_no_id_is_refused(platform: str, typed: str) -> None:
    with pytest.raises(UserError) as caught:
        IDS.convert(typed, PLATFORMS[platform].ids)
    assert str(caught.value) == (
        "ask.where must be channels, such as #name, picked from the list that appears, or their ids, with spaces "
        f"between; “{typed}” is none."
    )


@pytest.mark.parametrize("raw", [[1], {"a": 1}])
def test_a_toml_list_is_refused_as_a_value(raw: object) -> None:
    with pytest.raises(UserError, match="ask.warmth must be a number from 0 to 2; a list or a table is none."):
        WARMTH.convert(raw)


@pytest.mark.parametrize("setting", CORE_SETTINGS, ids=lambda setting: setting.name)
def test_every_default_of_the_core_is_a_valid_value(setting: Setting) -> None:
    assert setting.convert(setting.default) == setting.default


# Scopes


async def test_the_narrowest_scope_counts(database: Database) -> None:
    settings = await stored(database, warmth=0.5)
    await put(settings, "ask.warmth", 1, SCHOOL)
    await put(settings, "ask.warmth", 2, Scope("test", "school", "room"))
    assert [level.where for level in settings.levels("ask.warmth", ROOM)] == [
        "default", "deployment", "server", "channel",
    ]  # fmt: skip
    assert [level.value for level in settings.levels("ask.warmth", ROOM)] == [0.7, 0.5, 1, 2]
    assert settings.value("ask.warmth", ROOM) == 2
    assert settings.value("ask.warmth", replace(ROOM, thread="42")) == 2
    assert settings.value("ask.warmth", HALL) == 1
    assert settings.value("ask.warmth", Place("test", "room", server="other")) == 0.5
    assert settings.value("ask.warmth", Place("other", "room", server="school")) == 0.5


async def test_a_stored_value_that_is_no_longer_accepted_is_ignored(database: Database) -> None:
    settings = await stored(database)
    await put(settings, "ask.warmth", 2)
    settings.declare("ask", [Setting(name="ask.warmth", type=float, default=0.5, maximum=1, description="Warm.")])
    assert settings.value("ask.warmth", ROOM) == 0.5


@pytest.mark.parametrize(
    ("setting", "scope", "sentence"),
    [
        (WARMTH, Scope("test", "school", role="pupils"), "ask.warmth cannot be set for a role."),
        (WARMTH, Scope("discord", "1", "room"), "There is no channel or role with the id “room” there."),
        (WARMTH, Scope("slack", "T1", "#log"), "There is no channel or role with the id “#log” there."),
        (
            IDS,
            Scope("test", "school", "room"),
            "ask.where cannot be set for a single channel; set it for the whole server.",
        ),
        (
            Setting(name="ask.all", type=int, default=0, description="All.", scopes=ROLES_ONLY, among=max),
            SCHOOL,
            "ask.all is set for a role; name one.",
        ),
    ],
    ids=["role", "no id on Discord", "no id on Slack", "channel", "server"],
)  # fmt: skip
def test_a_setting_is_refused_for_scopes_that_it_does_not_have(setting: Setting, scope: Scope, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        declared(setting).make_change(setting.name, 1, scope)
    assert str(caught.value) == sentence


SERVERS, CHANNELS, ROLES = ("", "a", "b"), ("x", "y"), ("r", "s")
SCOPES = [
    *(Scope("test", server) for server in SERVERS if server),
    *(Scope("test", server, channel) for server in SERVERS for channel in CHANNELS),
    *(Scope("test", server, role=role) for server in SERVERS if server for role in ROLES),
]
STEPS = st.lists(st.tuples(st.sampled_from(SCOPES), st.none() | st.integers(0, 9)), max_size=12)


@given(steps=STEPS, deployment=st.none() | st.integers(0, 9))
def test_the_value_that_applies_is_that_of_a_simple_model(
    steps: list[tuple[Scope, int | None]], deployment: int | None
) -> None:
    settings = declared(**({} if deployment is None else {"quota": deployment}))
    model: dict[tuple[str, str, str], int] = {}
    for scope, value in steps:
        settings.scopes._apply([Change(scope, "ask.quota", value)], {})
        model.pop((scope.server, scope.channel, scope.role), None)
        if value is not None:
            model[scope.server, scope.channel, scope.role] = value
    for server in SERVERS:
        for channel in CHANNELS:
            for roles in (None, (), ("r",), ("r", "s")):
                said = [model[server, "", role] for role in roles or () if server and (server, "", role) in model]
                expected = 0 if deployment is None else deployment
                for known in ((server, "", ""), (server, channel, "")):
                    expected = model.get(known, expected)
                if said:
                    expected = 0 if 0 in said else max(said)
                place = Place("test", channel, server)
                assert settings.value("ask.quota", place, User("u", "U", roles=roles)) == expected
                assert settings.levels("ask.quota", place, roles[0] if roles else "")[0].value == 0


# Changes


async def test_a_change_has_the_values_that_applied_before_and_after(database: Database) -> None:
    settings = await stored(database)
    await put(settings, "ask.warmth", 1.5)
    [changed] = await settings.write(
        [settings.make_change("ask.warmth", "1", Scope("test", "school", "room"))], MODERATOR
    )
    assert (changed.setting, changed.scope.channel, changed.before, changed.after) == (WARMTH, "room", 1.5, 1)
    [changed] = await settings.write([settings.make_change("ask.warmth", None, SCHOOL)], ANN)
    assert (changed.before, changed.after) == (1.5, 0.7)


async def test_a_refresh_does_not_undo_a_write_that_is_under_way(database: Database) -> None:
    settings = await stored(database)
    for value in range(10):
        await asyncio.gather(put(settings, "ask.quota", value), settings.refresh(), settings.refresh())
        assert settings.value("ask.quota", ROOM) == value
