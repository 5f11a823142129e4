"""The real `tempera`, in a process where that is what matters."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web
from fakes.core.requests import ROOM
from fakes.model_server.broken_api import crooked
from fakes.platforms.web_page import visitor
from fakes.programs.terminal_chat import PATIENCE_SECONDS, TEMPERA, Caller, Ended, Person, ended

from bot.__main__ import _make_bot
from bot.config import loading as config
from bot.core.errors import ConfigError
from bot.core.messages import User
from bot.platforms.capabilities import PLATFORMS
from bot.platforms.web.access.teachers import WebModerators
from bot.storage.database import Database

HEAVY = {"torch", "transformers", "diffusers", "sqlalchemy", "alembic", "prompt_toolkit", "pydantic", "psutil"}


def one_sentence(done: Ended, status: int = 1) -> str:
    """Return the one line on stderr that a failed command prints, and check that it prints nothing else."""
    assert (done.status, done.out) == (status, "")
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err
    return done.err.removesuffix("\n")


async def test_help(person: Caller) -> None:
    done = await person.run("--help")
    assert (done.status, done.err) == (0, "")
    for command in ("run", "chat", "doctor", "commands", "teacher-link", "backup", "restore"):
        assert re.search(rf"\n    {command}\s", done.out)


async def test_version_and_backup_from_the_command_line(person: Caller, tmp_path: Path) -> None:
    assert re.fullmatch(r"Tempera \d+\.\d+\.\d+\n", (await person.run("--version")).out)
    file = tmp_path / "one.backup"
    assert "There is no database" in one_sentence(await person.run("backup", str(file)))
    await person.run("teacher-link")
    assert (await person.run("backup", str(file))).status == 0
    assert (await person.run("restore", str(file))).status == 0


@pytest.mark.parametrize("arguments", [(), ("dance",), ("chat", "--nothing")])
async def test_a_wrong_command_line_is_refused(person: Caller, arguments: tuple[str, ...]) -> None:
    done = await person.run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("usage: tempera")
    assert "Traceback" not in done.err


async def test_commands_prints_every_command_as_json(person: Caller) -> None:
    done = await person.run("commands")
    assert (done.status, done.err) == (0, "")
    listed = {command["name"]: command for command in json.loads(done.out)}
    assert len(listed) == 40
    assert list(listed)[:3] == ["ask", "new", "explain"]
    ask = listed["ask"]
    assert (ask["plugin"], ask["moderator"], ask["private"]) == ("ask", False, False)
    assert ask["usage"] == "/ask [file:…] [temperature:…] [max_tokens:…] [seed:…] [min_p:…] [fresh:…] prompt"
    assert {option["name"]: option for option in ask["options"]}["temperature"] == {
        "name": "temperature",
        "type": "number",
        "description": "0 always takes the most probable word, 2 dares the wildest",
        "required": False,
        "default": 0.7,
        "minimum": 0,
        "maximum": 2,
        "choices": [],
        "form": True,
        "free_text": False,
    }
    assert all(command["moderator"] for name, command in listed.items() if name.startswith("plugins"))


@pytest.mark.processes
async def test_commands_of_ones_own_plugins(program: Person) -> None:
    (program.home / "mine").mkdir()
    text = "from bot import *\nclass Dice(Plugin):\n @command()\n async def roll(self, ctx: Context):\n"
    (program.home / "mine" / "dice.py").write_text(f"{text}  '''Roll ä die.'''\n  yield Reply()\n")
    program.more = {"TEMPERA_PLUGINS__FOLDER": "mine", "TEMPERA_PLUGINS__ENABLED": '["help"]'}
    done = await program.run("commands")
    assert [command["name"] for command in json.loads(done.out)] == ["help", "roll"]
    assert "Roll ä die." in done.out


@pytest.mark.processes
@pytest.mark.parametrize("line", [("commands",), ("--help",), ("chat", "/face seed:7")])
async def test_a_closed_pipe_is_no_error(program: Person, line: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = await asyncio.create_subprocess_exec(
            TEMPERA, *line, env=program.environment, cwd=program.home, stdout=writing, stderr=asyncio.subprocess.PIPE
        )
    finally:
        os.close(writing)
    done = await ended(process)
    assert done.status == 141
    assert "Traceback" not in done.err
    assert "Broken" not in done.err


# Configuration


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"TEMPERA_WEB__PROT": "1"}, "The configuration has no “web.prot” (TEMPERA_WEB__PROT). Did you mean “port”?"),
        ({"TEMPERA_DATABASE__URL": "nonsense"}, "database.url is not the address of a database; "),
        (
            {"TEMPERA_PLUGINS__ENABLED": '["aks"]'},
            "There is no built-in plugin “aks”. Did you mean “ask”? There are ask, explain, ",
        ),
        ({"TEMPERA_SETTINGS": '{"ask.sytem_prompt": "x"}'}, "[settings]: there is no setting “ask.sytem_prompt”. Did"),
    ],
    ids=["key", "database", "plugin", "setting"],
)
@pytest.mark.parametrize("line", [("commands",), ("chat", "/help"), ("run", "--no-models")], ids=lambda line: line[0])
async def test_a_wrong_configuration_is_one_sentence(
    person: Caller, line: tuple[str, ...], variables: dict[str, str], sentence: str
) -> None:
    person.more = variables
    assert one_sentence(await person.run(*line)).startswith(sentence)


@pytest.mark.parametrize(
    ("keys", "shown"), [({}, "made up"), ({"TRUSTED_KEY": "t"}, "t"), ({"API_KEY": "a", "TRUSTED_KEY": "t"}, "a")]
)
async def test_by_which_key_the_model_server_knows_the_bot(
    keys: dict[str, str], shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ready(request: web.Request) -> web.Response:
        return web.json_response({"models": [request.headers.get("Authorization")]})

    monkeypatch.chdir(tmp_path)
    for name, value in keys.items():
        monkeypatch.setenv(f"TEMPERA_MODEL_SERVER__{name}", value)
    monkeypatch.setenv("TEMPERA_MODEL_SERVER__VERIFY", "false")
    async with crooked(ready, "/health/ready") as url:
        monkeypatch.setenv("TEMPERA_MODEL_SERVER__URL", url)
        async with _make_bot(config.load(), "made up").models as client:
            assert (await client.readiness()).models == (f"Bearer {shown}",)


def test_the_configuration_reaches_the_bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEMPERA_DATABASE__RETENTION_DAYS", "7")
    monkeypatch.setenv("TEMPERA_WEB__URL", "https://chat.example.org")
    bot = _make_bot(config.load())
    assert (bot.retention_days, bot.contexts.web_url) == (7, "https://chat.example.org")
    assert {name: bot.adapters.capabilities(name) for name in PLATFORMS} == PLATFORMS
    monkeypatch.setenv("TEMPERA_LIMITS__STORAGE", "disk")
    with pytest.raises(ConfigError, match="limits.storage must be"):
        _make_bot(config.load())


def test_every_setting_of_the_preset_for_a_class_is_one_of_the_bots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _make_bot(config.load()).settings.value("safety.level", ROOM) == "standard"
    assert _make_bot(config.load(None, ["classroom"])).settings.value("safety.level", ROOM) == "classroom"


async def test_a_configuration_file(person: Caller) -> None:
    missing = await person.run("commands", "--config", "mine.toml")
    assert one_sentence(missing) == "There is no configuration file mine.toml."
    (person.home / "mine.toml").write_text('[plugins]\nenabled = ["help"]\n')
    done = await person.run("commands", "--config", "mine.toml")
    assert [command["name"] for command in json.loads(done.out)] == ["help"]


async def test_a_preset(person: Caller) -> None:
    assert (await person.run("commands", "--preset", "classroom")).status == 0
    missing = await person.run("commands", "--preset", "classroom", "--preset", "school")
    assert one_sentence(missing).startswith("There is no preset “school”, and no file of this name. The presets are: ")


async def test_a_database_that_cannot_be_opened(person: Caller) -> None:
    person.more = {"TEMPERA_DATABASE__URL": "sqlite:////proc/nothing/tempera.db"}
    assert one_sentence(await person.run("chat", "/help")).startswith("The database /proc/nothing/tempera.db cannot")


async def test_the_doctor_has_a_status(person: Caller) -> None:
    person.more = {"TEMPERA_WEB__PORT": "0"}
    assert (await person.run("doctor")).status == 0
    person.more["TEMPERA_WEB__HOST"] = "192.0.2.1"
    done = await person.run("doctor")
    assert (done.status, done.err) == (1, "")


async def test_a_teachers_link_makes_somebody_a_moderator(person: Caller) -> None:
    done = await person.run("teacher-link")
    assert (done.status, done.err) == (0, "")
    link = re.fullmatch(r"http://127\.0\.0\.1:8080/teacher#(\S+)\n", done.out)
    assert link is not None
    async with Database(f"sqlite:///{person.home}/tempera.db") as database:
        moderators = WebModerators(database)
        await moderators.sign_in(link[1], User("ann", "Ann"))
        assert "ann" in moderators


async def test_without_a_web_chat_there_is_no_teachers_link(person: Caller) -> None:
    person.more = {"TEMPERA_WEB__ENABLED": "false"}
    assert one_sentence(await person.run("teacher-link")).startswith("The web chat is switched off")


ROLL = "from bot import *\nclass Dice(Plugin):\n {more}\n @command()\n async def roll(self, ctx: Context):\n"
ROLL += "  'Roll.'\n  yield Reply(text='six')\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("broken(", "Plugin “dice” cannot be loaded: SyntaxError: '(' was never closed (dice.py, line 1)."),
        (
            ROLL.format(more="async def start(self): raise ValueError('no luck')"),
            "Plugin “dice” cannot start: ValueError: no luck (dice.py, line 3).",
        ),
        (
            ROLL.format(more="name = 'help'"),
            "Two plugins are called “help”; rename one of them.",
        ),
        (
            ROLL.format(more="").replace("roll", "help"),
            "The plugins “dice” and “help” have a command “help” each; rename one.",
        ),
        (
            ROLL.format(more="settings = (Setting(name='x', type=int, default=1, description='X.'),)"),
            "Setting “x” of plugin “dice” must begin with “dice.”.",
        ),
    ],
    ids=["file", "start", "name", "command", "setting"],
)
async def test_a_broken_plugin_of_the_folder_stops_only_what_others_use(person: Caller, text: str, reason: str) -> None:
    (person.home / "mine").mkdir()
    (person.home / "mine" / "dice.py").write_text(text)
    (person.home / "mine" / "cards.py").write_text(ROLL.format(more="").replace("roll", "draw"))
    person.more = {
        "TEMPERA_PLUGINS__FOLDER": "mine",
        "TEMPERA_SETTINGS": json.dumps({"safety.level": "off", "dice.enabled": False}),
        "TEMPERA_WEB__PORT": "0",
    }
    done = await person.run("chat", "/draw")
    assert (done.status, done.out) == (0, "six\n")
    assert done.err.splitlines()[0] == f"{reason} The chat goes on without “dice”."
    assert "Traceback" not in done.err
    assert one_sentence(await person.run("run", "--no-models")) == reason


# Serving


async def test_the_log_names_variables_without_effect(person: Caller) -> None:
    person.more = {"TEMPERA_WEB__ENABLED": "false", "TEMPERA_PORT": "3"}
    done = await person.run("run", "--no-models")
    warning = "WARNING bot: TEMPERA_PORT has no effect. Did you mean TEMPERA_WEB__PORT or TEMPERA_SLACK__PORT or "
    assert warning in done.err
    sentence = "There is nothing to run: no platform is enabled in the configuration."
    assert (done.status, done.err.splitlines()[-1]) == (1, sentence)


async def test_a_port_that_is_taken(person: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        person.more = {"TEMPERA_WEB__PORT": str(port)}
        said = one_sentence(await person.run("run", "--no-models"))
    assert said.startswith(f"Port {port} on 127.0.0.1 is taken by another program.")


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serving_ends_cleanly(program: Person, number: signal.Signals) -> None:
    program.more = {"TEMPERA_WEB__PORT": "0"}
    process = await program.start("run", "--no-models")
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while b"prints a link by which a teacher signs in" not in said:
            line = await process.stderr.readline()
            assert line, said
            said += line
    assert b"The web chat is at http://" in said
    process.send_signal(number)
    done = await ended(process)
    # A link for teachers would be kept wherever this output goes.
    assert (done.status, done.out) == (0, "")
    assert b"/teacher#" not in said + done.err.encode()
    assert "Traceback" not in done.err


@pytest.mark.processes
async def test_a_link_for_teachers_is_shown_on_a_terminal(program: Person) -> None:
    program.more = {"TEMPERA_WEB__PORT": "0"}
    shown = "Teachers sign in here (once, within the next hour): "
    async with program.sit_down("--no-models", command="run", waits_with=shown) as sitting:
        line = await sitting.until("\n")
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/teacher#[\w-]{32}", line.strip())


@pytest.mark.processes
async def test_the_log_does_not_contain_what_people_write(program: Person) -> None:
    program.more = {"TEMPERA_WEB__PORT": "0", "TEMPERA_LOG__LEVEL": "debug"}
    process = await program.start("run", "--no-models")
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := re.search(rb"The web chat is at (http://\S+)", said)):
            line = await process.stderr.readline()
            assert line, said
            said += line
        async with visitor(found[1].decode()) as ann, ann.page("Ann") as page:
            await page.say("/ask my secret words")
            await page.final()
    process.send_signal(signal.SIGTERM)
    said += (await ended(process)).err.encode()
    assert b" DEBUG " in said
    assert b"secret" not in said


@pytest.mark.processes
@pytest.mark.parametrize("level", ["debug", "error"])
def test_libraries_are_no_more_talkative_than_the_log(level: str) -> None:
    code = f"from bot.__main__ import _set_up_logging; _set_up_logging({level!r}); import logging; "
    code += "print(*(logging.getLogger(name).getEffectiveLevel() for name in ('bot', 'discord.http', 'aiosqlite')))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS
    )
    assert done.stdout.split() == {"debug": ["10", "20", "20"], "error": ["40", "40", "40"]}[level]


# Imports


@pytest.mark.processes
@pytest.mark.parametrize(
    "code",
    ["import bot", "import bot.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass"],
    ids=["import bot", "--help"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str) -> None:
    probe = f"{code}\nimport sys\nprint('imported', *sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS
    )
    assert done.stdout.splitlines()[-1] == "imported"
