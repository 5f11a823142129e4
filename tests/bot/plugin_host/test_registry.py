import logging
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.core.requests import MODERATOR, ROOM

from bot import Plugin, Setting, UserError
from bot.config.sections import PluginsSection
from bot.core.errors import PluginError, UnknownCommand
from bot.core.messages import Place
from bot.inference.client import ModelClient
from bot.plugin_host import plugin
from bot.plugin_host.plugin import Host
from bot.plugin_host.registry import Registry
from bot.settings.resolver import Settings
from bot.settings.scopes import server_scope
from bot.storage.database import Database
from bot.storage.key_value import Store


def source(name: str, text: str = "", **methods: str) -> str:
    """Return the source of a plugin with `methods`, each with the name of its command, and `text` in its class."""
    lines = ["from bot import *", f"class {name.title()}(Plugin):", "    pass", textwrap.indent(text, "    ")]
    for method, command in methods.items():
        lines += [f"    @command({command!r})", f"    async def {method}(self, ctx: Context):"]
        lines += [f'        """{method}."""', f"        yield Reply(text={method!r})"]
    return "\n".join(lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir()
    return tmp_path / "plugins"


def load(folder: Path, **sources: str) -> list[Plugin]:
    for name, text in sources.items():
        (folder / f"{name}.py").write_text(text)
    return plugin.load(PluginsSection(enabled=(), folder=folder, entry_points=False))


def registry(folder: Path, settings: Settings | None = None, **sources: str) -> Registry:
    return Registry(load(folder, **sources), settings or Settings({}))


Hosts = Callable[[str], Host]


@pytest.fixture
def host(database: Database) -> Hosts:
    return lambda name: Host(models=ModelClient("http://127.0.0.1:1"), store=Store(database, name))


DICE = source("dice", roll="roll", rolls="roll many")
LESSON = source("lesson", show="lesson show", list_="lesson list", ask="ask")


# Finding


def test_a_line_is_split_at_names_of_one_and_of_two_words(folder: Path) -> None:
    known = registry(folder, lesson=LESSON)
    assert [command.name for command in known.commands] == ["lesson show", "lesson list", "ask"]
    assert known.find("lesson show").plugin == "lesson"
    for line, name, rest in (
        ("/lesson show a b", "lesson show", "a b"),
        ("/LESSON Show", "lesson show", ""),
        ("/ask   lesson show", "ask", "lesson show"),
        ("/ask\nline", "ask", "line"),
    ):
        command, after = known.split_line(line)
        assert (command.name, after) == (name, rest)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/lesson", "/lesson needs one more word: /lesson show, /lesson list."),
        ("/lesson shwo", "/lesson needs one more word: /lesson show, /lesson list."),
        ("/aks", "There is no command /aks. Did you mean /ask?"),
        ("/xyzzy", "There is no command /xyzzy. /help lists what there is."),
        ("/", "There is no command /. /help lists what there is."),
    ],
)
def test_what_is_not_there(folder: Path, line: str, sentence: str) -> None:
    with pytest.raises(UnknownCommand) as caught:
        registry(folder, lesson=LESSON).split_line(line)
    assert str(caught.value) == sentence


# Loading


def test_a_command_with_subcommands_cannot_be_a_command_itself(folder: Path) -> None:
    with pytest.raises(PluginError, match="“roll” has subcommands, so it cannot be one itself"):
        registry(folder, dice=DICE)


# Starting and closing


def recording(name: str, *, breaks: bool = False) -> Plugin:
    class Recording(Plugin):
        async def start(self) -> None:
            EVENTS.append(f"start {self.name}")
            if breaks:
                raise ValueError("no luck")

        async def stop(self) -> None:
            EVENTS.append(f"stop {self.name}")

    made = Recording()
    made.name = name
    return made


EVENTS: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_happened_yet() -> None:
    EVENTS.clear()


async def test_plugins_close_in_the_opposite_order(database: Database, host: Hosts) -> None:
    known = Registry([recording("a"), recording("b")], Settings({}))
    await known.start(database, host)
    await known.close()
    assert EVENTS == ["start a", "start b", "stop b", "stop a"]


async def test_a_plugin_that_cannot_start_is_named_and_the_others_close(database: Database, host: Hosts) -> None:
    known = Registry([recording("a"), recording("b", breaks=True), recording("c")], Settings({}))
    with pytest.raises(
        PluginError, match=r"Plugin “b” cannot start: ValueError: no luck \(test_registry.py, line \d+\)."
    ):
        await known.start(database, host)
    assert EVENTS == ["start a", "start b", "stop b", "stop a"]


# Switching


async def test_a_switch_is_for_one_server_and_survives(folder: Path, database: Database) -> None:
    sources = {"dice": source("dice", roll="roll"), "help": source("help", help="help")}
    settings, later = Settings({}), Settings({})
    await settings.start(database)
    known = registry(folder, settings, **sources)
    await known.switch("dice", server_scope(ROOM), MODERATOR, on=False)
    assert not known.is_on("dice", ROOM)
    assert known.is_on("dice", Place("test", "room", server="other"))
    assert [(one.name, one.is_on, one.commands) for one in known.listed(ROOM)] == [
        ("dice", False, ("roll",)),
        ("help", True, ("help",)),
    ]
    again = registry(folder, later)
    await later.start(database)
    assert not again.is_on("dice", ROOM)
    await again.switch("dice", server_scope(ROOM), MODERATOR, on=True)
    assert again.is_on("dice", ROOM)


async def test_pinned_and_unknown_plugins_cannot_be_switched_off(folder: Path, database: Database, host: Hosts) -> None:
    known = registry(folder, help=source("help", help="help"))
    await known.start(database, host)
    with pytest.raises(UserError, match="The plugin “help” cannot be switched off."):
        await known.switch("help", server_scope(ROOM), MODERATOR, on=False)
    with pytest.raises(UserError, match=r"There is no plugin “hepl”. Did you mean “help”\?"):
        await known.switch("hepl", server_scope(ROOM), MODERATOR, on=False)
    await known.switch("help", server_scope(ROOM), MODERATOR, on=True)
    assert known.is_on("help", ROOM)


# Reloading


async def test_a_reload_brings_other_commands_and_settings(folder: Path, database: Database, host: Hosts) -> None:
    settings = Settings({})
    known = Registry(load(folder, dice=source("dice", roll="roll")), settings)
    await known.start(database, host)
    sides = 'settings = (Setting(name="dice.sides", type=int, default=6, description="How many."),)'
    (folder / "dice.py").write_text(source("dice", sides, throw="throw"))
    await known.reload("dice")
    assert [command.name for command in known.commands] == ["throw"]
    assert settings.value("dice.sides", ROOM) == 6
    (folder / "dice.py").write_text(source("dice", throw="throw"))
    await known.reload("dice")
    with pytest.raises(KeyError):
        settings.value("dice.sides", ROOM)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nothing_of_the_kind", "Plugin “dice” cannot be loaded: ModuleNotFoundError"),
        (source("dice", ask="ask"), "have a command “ask” each"),
        (source("dice", "async def start(self):\n    raise ValueError('no luck')", roll="roll"), "cannot start"),
        (source("dice", 'settings = (Setting(name="x", type=int, default=1, description="X."),)'), "must begin with"),
        (
            source("dice", 'settings = (Setting(name="dice.sides", type=bool, default=True, description="X."),)'),
            "[settings]: dice.sides must be yes or no; you gave “8”.",
        ),
    ],
    ids=["import", "taken", "start", "setting", "override"],
)
async def test_a_broken_reload_changes_nothing(
    folder: Path, database: Database, host: Hosts, text: str, reason: str
) -> None:
    sides = 'settings = (Setting(name="dice.sides", type=int, default=6, description="How many."),)'
    settings = Settings({"dice.sides": 8})
    known = Registry(load(folder, dice=source("dice", sides, roll="roll"), lesson=LESSON), settings)
    await known.start(database, host)
    before = known.commands
    (folder / "dice.py").write_text(text)
    with pytest.raises(UserError) as caught:
        await known.reload("dice")
    assert reason in str(caught.value)
    assert str(caught.value).endswith("The running one stays.")
    assert known.commands == before
    assert settings.value("dice.sides", ROOM) == 8


async def test_a_reload_speaks_of_the_plugin_by_its_name(folder: Path, database: Database, host: Hosts) -> None:
    games = source("dice", "name = 'games'", roll="roll")
    known = registry(folder, dice=games, help=source("help", help="help"))
    await known.start(database, host)
    await known.reload("games")
    for text, sentence in (
        ("broken(", "Plugin “games” cannot be loaded: SyntaxError: '(' was never closed (dice.py, line 1)."),
        ("x = 1", "Plugin “games” must define one subclass of Plugin; it defines 0."),
        (
            games.replace("games", "cards"),
            "Plugin “games” is called “cards” in its file now; restart the bot for that.",
        ),
    ):
        (folder / "dice.py").write_text(text)
        with pytest.raises(UserError) as caught:
            await known.reload("games")
        assert str(caught.value) == f"{sentence} The running one stays."
    assert [plugin.name for plugin in known.plugins] == ["games", "help"]
    with pytest.raises(UserError, match="There is no plugin “dice”; there are games, help."):
        await known.reload("dice")


async def test_a_reload_that_only_the_other_process_cannot_do_is_logged(
    folder: Path, database: Database, host: Hosts, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = registry(folder, dice=source("dice", roll="roll")), registry(folder)
    await here.start(database, host)
    await there.start(database, host)
    (folder / "dice.py").write_text(source("dice", throw="throw"))
    await here.reload("dice")
    (folder / "dice.py").write_text("broken(")
    with caplog.at_level(logging.ERROR):
        await there.refresh()
    assert "Plugin “dice” could not be reloaded in this process" in caplog.text
    assert there.find("roll")


def test_an_example_of_no_command_is_refused(folder: Path) -> None:
    made = load(folder, dice=source("dice", roll="roll"))
    type(made[0]).examples = (("/roll", ""), ("/rol sides:6", ""))
    with pytest.raises(PluginError, match="The plugin “dice” has no command for its example “/rol sides:6”"):
        Registry(made, Settings({}))


def test_a_setting_of_the_wrong_kind_is_refused(folder: Path) -> None:
    made = load(folder, dice=source("dice", roll="roll"))
    bad = Setting(name="dice.sides", type=list, default=6, description="How many.")
    type(made[0]).settings = (bad,)
    with pytest.raises(PluginError, match="needs a type that options have"):
        Registry(made, Settings({}))
