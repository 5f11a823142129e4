from pathlib import Path

import pytest

from bot.config import loading as config
from bot.config.sections import SlackSection
from bot.core.errors import ConfigError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder without the `.env` of a developer."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_shipped_file_equals_the_defaults() -> None:
    assert config.load() == config.Config()


def test_the_environment_wins_over_env_file_and_file(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = elsewhere / "mine.toml"
    file.write_text('[web]\nport = 1\nhost = "localhost"\n[log]\nlevel = "error"\n')
    (elsewhere / ".env").write_text("TEMPERA_WEB__PORT=2\nTEMPERA_LOG__LEVEL=debug\nOTHER=1\n")
    monkeypatch.setenv("TEMPERA_WEB__PORT", "3")
    loaded = config.load(file)
    assert (loaded.web.port, loaded.web.host, loaded.log.level) == (3, "localhost", "debug")


def test_presets_override_the_file_one_after_the_other(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = elsewhere / "mine.toml"
    file.write_text('[web]\nport = 1\n[settings]\n"safety.level" = "off"\n"ask.system_prompt" = "Rhyme."\n')
    loaded = config.load(file, ["classroom"])
    assert (loaded.web.port, loaded.settings["ask.system_prompt"]) == (1, "Rhyme.")
    assert (loaded.settings["safety.level"], loaded.settings["face.count.maximum"]) == ("classroom", 4)
    (elsewhere / "own.toml").write_text('[web]\nport = 2\n[settings]\n"face.count.maximum" = 1\n')
    loaded = config.load(file, ["classroom", "own.toml"])
    assert (loaded.settings["safety.level"], loaded.settings["face.count.maximum"]) == ("classroom", 1)
    assert loaded.web.port == 2
    monkeypatch.setenv("TEMPERA_WEB__PORT", "3")
    assert config.load(file, ["own.toml"]).web.port == 3


def test_an_unknown_preset_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(None, ["school"])
    offered = "The presets are: classroom, exam, open-community."
    assert str(caught.value) == f"There is no preset “school”, and no file of this name. {offered}"
    with pytest.raises(ConfigError, match="“gpu” is a preset for the model server: tempera-models serve --catalogue"):
        config.load(None, ["gpu"])


def test_an_empty_path_in_a_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PLUGINS__FOLDER", "PICTURES__CERTIFICATE", "PICTURES__KEY"):
        monkeypatch.setenv(f"TEMPERA_{name}", " ")
    loaded = config.load()
    assert (loaded.plugins.folder, loaded.pictures.certificate, loaded.pictures.key) == (None, None, None)


def test_a_file_may_begin_with_the_mark_of_an_editor(elsewhere: Path) -> None:
    (elsewhere / "mine.toml").write_bytes(b"\xef\xbb\xbf[web]\nport = 1\n")
    assert config.load(elsewhere / "mine.toml").web.port == 1


@pytest.mark.parametrize("days", ["inf", "1e6"])
def test_more_days_than_dates_can_have_are_refused(monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    monkeypatch.setenv("TEMPERA_DATABASE__RETENTION_DAYS", days)
    with pytest.raises(ConfigError, match="36500"):
        config.load()


def test_a_secret_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPERA_MODEL_SERVER__API_KEY", "s3cret")
    loaded = config.load()
    assert "s3cret" not in repr(loaded)
    assert loaded.model_server.api_key.get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TEMPERA_WEB__PROT", "1", "has no “web.prot” (TEMPERA_WEB__PROT). Did you mean “port”?"),
        ("TEMPERA_WBE__PORT", "1", "there is no section “wbe”. Did you mean TEMPERA_WEB__…?"),
        ("TEMPERA_WEB__URL", "chat.example.org", "“web.url” (TEMPERA_WEB__URL) is wrong: it must begin with http"),
        ("TEMPERA_WEB__PORT", "many", "“web.port” (TEMPERA_WEB__PORT) is wrong: input should be a valid integer"),
        ("TEMPERA_WEB__JOIN_CODE", "elevenchars", "it must have at least 12 characters, so that nobody can guess it"),
        ("TEMPERA_WEB__JOIN_CODE", "  elevenchars  ", "“web.join_code” (TEMPERA_WEB__JOIN_CODE) is wrong"),
        ("TEMPERA_MODEL_SERVER__URL", "localhost", "it must begin with http:// or https://"),
        ("TEMPERA_MODEL_SERVER__URL", "http://127.0.0.1:84000", "it must name a host, and behind a colon a port up to"),
        ("TEMPERA_MODEL_SERVER__URL", "http://127.0.0.1:0", "it must name a host"),
        ("TEMPERA_MODEL_SERVER__URL", "http://[::1", "(TEMPERA_MODEL_SERVER__URL) is wrong: it must name a host"),
        ("TEMPERA_MODEL_SERVER__URL", "http://", "as http://127.0.0.1:80 does."),
        ("TEMPERA_WEB__URL", "https://:80", "it must name a host"),
        ("TEMPERA_PLUGINS__ENABLED", "ask,foo", """written as JSON: TEMPERA_PLUGINS__ENABLED='["ask", "foo"]'."""),
        ("TEMPERA_PLUGINS__ENABLED", '"help"', """TEMPERA_PLUGINS__ENABLED='["help"]'."""),
        ("TEMPERA_EXPLAIN__LESSONS", "[our lesson.md, 'b.md']", """__LESSONS='["our lesson.md", "b.md"]'."""),
        ("TEMPERA_DISCORD__GUILDS", "12", """TEMPERA_DISCORD__GUILDS='["12"]'."""),
        ("TEMPERA_WEB__NAMES", "", "TEMPERA_WEB__NAMES='[]'."),
        ("TEMPERA_WEB", "8080", "TEMPERA_WEB is written as a JSON object: "),
        ("TEMPERA_SETTINGS", "[" * 100_000, "TEMPERA_SETTINGS is written as a JSON object: "),
        ("TEMPERA_DISCORD__GATEWAY_URL", "https://gateway.example", "it must begin with ws:// or wss://"),
        ("TEMPERA_DISCORD__GATEWAY_URL", "wss://", "it must name a host"),
        (
            "TEMPERA_DISCORD__SYNC",
            "guilds",
            "“discord.guilds” (TEMPERA_DISCORD__GUILDS) is wrong: with sync = “guilds”",
        ),
        ("TEMPERA_DISCORD__SYNC", "guild", "should be 'global', 'guilds' or 'off'"),
        ("TEMPERA_DISCORD__GUILDS", '["my server"]', "“discord.guilds.0” (TEMPERA_DISCORD__GUILDS__0) is wrong"),
    ],
)
def test_a_wrong_value_is_explained_in_one_sentence(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        config.load()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_join_code_that_is_suggested_is_accepted_and_the_refused_one_is_not_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suggested = set()
    for _ in range(2):
        monkeypatch.setenv("TEMPERA_WEB__JOIN_CODE", "my secret")
        with pytest.raises(ConfigError) as caught:
            config.load()
        assert "my secret" not in str(caught.value)
        code = str(caught.value).split(": “")[1].removesuffix("”.")
        monkeypatch.setenv("TEMPERA_WEB__JOIN_CODE", code)
        assert config.load().web.join_code.get_secret_value() == code
        suggested.add(code)
    assert len(suggested) == 2


def test_a_missing_or_broken_file_is_an_error(elsewhere: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        config.load(elsewhere / "none.toml")
    (elsewhere / "bad.toml").write_text("[web\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(elsewhere / "bad.toml")


def test_the_server_ids_of_discord_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPERA_DISCORD__TOKEN", "s3cret")
    monkeypatch.setenv("TEMPERA_DISCORD__SYNC", "guilds")
    monkeypatch.setenv("TEMPERA_DISCORD__GUILDS", '[123456789012345678, "2"]')
    section = config.load().discord
    assert (section.sync, section.guilds) == ("guilds", (123456789012345678, 2))
    assert "s3cret" not in repr(section)


def test_the_address_of_the_model_server_is_read_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPERA_MODEL_SERVER__API_KEY", "s3cret")
    section = config.load().model_server
    assert section.is_local
    assert section.address == ("127.0.0.1", 8400)
    elsewhere = section.with_url("http://10.0.0.5:8400")
    assert (elsewhere.is_local, elsewhere.key) == (False, "s3cret")
    for wrong in ("nonsense", "http://", "http://10.0.0.5:84000"):
        with pytest.raises(ConfigError, match="is not an address"):
            section.with_url(wrong)


TOKENS = {"BOT_TOKEN": " xoxb-1 ", "APP_TOKEN": "xapp-1", "SIGNING_SECRET": "5eed"}


def slack(monkeypatch: pytest.MonkeyPatch, **values: str) -> SlackSection:
    for name, value in values.items():
        monkeypatch.setenv(f"TEMPERA_SLACK__{name}", value)
    return config.load().slack


@pytest.mark.parametrize(
    ("given", "is_configured", "uses_sockets"),
    [
        ((), False, False),
        (("BOT_TOKEN", "APP_TOKEN"), True, True),
        (("BOT_TOKEN", "SIGNING_SECRET"), True, False),
        (("BOT_TOKEN", "APP_TOKEN", "SIGNING_SECRET"), True, True),
    ],
)
def test_slack_is_configured_with_matching_tokens(
    given: tuple[str, ...], is_configured: bool, uses_sockets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = slack(monkeypatch, **{name: TOKENS[name] for name in given})
    assert (section.is_configured, section.uses_sockets) == (is_configured, uses_sockets)
    assert section.bot_token.get_secret_value() == ("xoxb-1" if is_configured else "")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"BOT_TOKEN": "s3cret"}, "(TEMPERA_SLACK__BOT_TOKEN) is wrong: it must begin with xoxb-."),
        ({"BOT_TOKEN": "xapp-s3cret"}, "one that begins with xapp- belongs in the other variable."),
        (
            {"BOT_TOKEN": "xoxb-1", "APP_TOKEN": "s3cret"},
            "(TEMPERA_SLACK__APP_TOKEN) is wrong: it must begin with xapp-.",
        ),
        ({"BOT_TOKEN": "xoxb-1"}, "there must be this one for HTTP, or TEMPERA_SLACK__APP_TOKEN for sockets."),
        ({"CLIENT_ID": "1.2"}, "(TEMPERA_SLACK__CLIENT_SECRET) is wrong: it and TEMPERA_SLACK__CLIENT_ID need"),
        ({"CLIENT_SECRET": "s3cret"}, "need each other, and one of them is empty."),
        ({"CLIENT_ID": "1.2", "CLIENT_SECRET": "s3cret"}, "with a client id there must be this one for HTTP"),
        ({"APP_TOKEN": "xapp-1"}, "(TEMPERA_SLACK__APP_TOKEN) is wrong: it needs TEMPERA_SLACK__BOT_TOKEN"),
        ({"SIGNING_SECRET": "s3cret"}, "(TEMPERA_SLACK__SIGNING_SECRET) is wrong: it needs TEMPERA_SLACK__BOT_TOKEN"),
    ],
)
def test_incomplete_tokens_of_slack_are_refused(
    values: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError) as caught:
        slack(monkeypatch, **values)
    assert sentence in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("given", ["https://slack-gov.com/api", "https://slack-gov.com/api/"])
def test_the_address_of_slack_ends_with_a_slash(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert slack(monkeypatch, API_BASE=given).api_base == "https://slack-gov.com/api/"


def test_lessons_are_found_in_the_working_directory_then_beside_the_file_then_in_config(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = config.DEFAULT_FILE.parent / "lessons" / "what-is-generative-ai.md"
    assert config.load().explain.files == (shipped,)
    assert shipped.is_file()
    (elsewhere / "school").mkdir()
    for name in ("here.md", "school/here.md", "school/beside.md"):
        (elsewhere / name).write_text("A lesson.")
    file = elsewhere / "school" / "tempera.toml"
    file.write_text('[explain]\nlessons = ["here.md", "beside.md", "lessons/what-is-generative-ai.md", "/none.md"]\n')
    beside = elsewhere / "school" / "beside.md"
    assert config.load(file).explain.files == (Path("here.md"), beside, shipped, Path("/none.md"))
    monkeypatch.setenv("TEMPERA_EXPLAIN__LESSONS", '["here.md"]')
    assert config.load(file).explain.files == (Path("here.md"),)


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"TEMPERA_WEB__HOST": "::1", "TEMPERA_WEB__PORT": "9"}, "http://[::1]:9"),
        # A chat that listens on all addresses is opened by 127.0.0.1 on this machine.
        ({"TEMPERA_WEB__HOST": "0.0.0.0"}, "http://127.0.0.1:8080"),
        ({"TEMPERA_WEB__HOST": "::"}, "http://127.0.0.1:8080"),
        ({"TEMPERA_WEB__URL": "https://chat.example.org/"}, "https://chat.example.org"),
        ({"TEMPERA_WEB__URL": "https://chat.example.org", "TEMPERA_WEB__ENABLED": "false"}, ""),
    ],
)
def test_the_address_of_the_web_chat(settings: dict[str, str], address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert config.load().web.address == address


# What is accepted, and most likely a mistake


def test_a_set_up_without_mistakes_has_no_warnings(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPERA_CACHE", "/somewhere")
    monkeypatch.setenv("TEMPERA_LOG", '{"level": "error"}')
    monkeypatch.setenv("TEMPERA_WEB__JOIN_CODE", "s3cret-s3cret")
    (elsewhere / ".env").write_text("TEMPERA_SLACK__PORT=1\nSLACK_PORT=2\n")
    loaded = config.load(None, ["classroom"])
    assert loaded.warnings == ()
    assert (loaded.log.level, loaded.slack.port) == ("error", 1)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("TEMPERA_PORT", " Did you mean TEMPERA_WEB__PORT or TEMPERA_SLACK__PORT or TEMPERA_MONITORING__PORT?"),
        ("TEMPERA_WEB_PORT", " Did you mean TEMPERA_WEB__PORT?"),
        ("tempera_retention_days", " Did you mean TEMPERA_DATABASE__RETENTION_DAYS?"),
        ("TEMPERA_MODEL_SERVER_API_KEY", " Did you mean TEMPERA_MODEL_SERVER__API_KEY?"),
        ("TEMPERA_JOINCODE", " Did you mean TEMPERA_WEB__JOIN_CODE?"),
        ("TEMPERA_ZZZZZZZZZZZZZZZZZZ", ""),
    ],
)
@pytest.mark.parametrize("in_file", [False, True], ids=["environment", ".env"])
def test_a_variable_without_effect_is_named(
    name: str, hint: str, in_file: bool, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_file:
        (elsewhere / ".env").write_text(f"{name}=3\n")
    else:
        monkeypatch.setenv(name, "3")
    assert config.load().warnings == (f"{name.upper()} has no effect.{hint}",)


def test_the_folder_of_models_is_not_read_from_the_env_file(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / ".env").write_text("TEMPERA_CACHE=/somewhere\n")
    assert config.load().warnings == ("TEMPERA_CACHE has no effect in .env; set it in the environment.",)
    monkeypatch.setenv("TEMPERA_CACHE", "/somewhere")
    assert config.load().warnings == ()


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ('[web]\njoin_code = "s3cret-s3cret"', ["TEMPERA_WEB__JOIN_CODE"]),
        ('[model_server]\napi_key = "s3cret"\ntrusted_key = ""', ["TEMPERA_MODEL_SERVER__API_KEY"]),
        ('[discord]\ntoken = "s3cret"', ["TEMPERA_DISCORD__TOKEN"]),
        (
            '[slack]\nbot_token = "xoxb-s3cret"\nsigning_secret = "s3cret"',
            ["TEMPERA_SLACK__BOT_TOKEN", "TEMPERA_SLACK__SIGNING_SECRET"],
        ),
        ('[database]\nurl = "postgresql://u:s3cret@host/db"', ["TEMPERA_DATABASE__URL"]),
        ('[database]\nurl = "postgresql://u@host/db?password=s3cret"', ["TEMPERA_DATABASE__URL"]),
        ('[database]\nurl = "postgresql://u@host/db"', []),
        ('[limits]\nstorage = "redis://:s3cret@host"', ["TEMPERA_LIMITS__STORAGE"]),
        ('[limits]\nstorage = "redis://host:6379"', []),
        ('[limits]\nstorage = "memory"', []),
    ],
)
@pytest.mark.parametrize("as_preset", [False, True], ids=["file", "preset"])
def test_a_secret_in_a_file_is_named_by_its_variable(
    text: str, variables: list[str], as_preset: bool, elsewhere: Path
) -> None:
    (elsewhere / "mine.toml").write_text(text)
    path = Path("mine.toml")
    warnings = (config.load(None, ["mine.toml"]) if as_preset else config.load(path)).warnings
    assert [warning.split()[-1].rstrip(".") for warning in warnings] == variables
    assert all(warning.startswith("The file mine.toml holds a secret, “") for warning in warnings)
    assert "s3cret" not in "".join(warnings)


def test_a_certificate_needs_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPERA_PICTURES__CERTIFICATE", "~/chain.pem")
    with pytest.raises(ConfigError, match=r"TEMPERA_PICTURES__KEY.*a certificate and its key are needed together"):
        config.load()
    monkeypatch.setenv("TEMPERA_PICTURES__KEY", "key.pem")
    assert config.load().pictures.certificate == Path("~/chain.pem").expanduser()
