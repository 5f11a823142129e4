import asyncio
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from bot.config.sections import PluginsSection
from bot.core.errors import PluginError
from bot.core.i18n import translate
from bot.plugin_host import plugin

TEN_LINES = '''
from collections.abc import AsyncIterator
from bot import Context, Plugin, Reply, command

class Dice(Plugin):
    @command()
    async def roll(self, ctx: Context, sides: int = 6) -> AsyncIterator[Reply]:
        """Roll a die."""
        yield Reply(text=f"You rolled a {sides}.", final=True)
'''


def section(folder: Path | None = None, *enabled: str) -> PluginsSection:
    return PluginsSection(enabled=enabled, folder=folder)


def test_built_in_plugins_load_in_the_order_given() -> None:
    assert [loaded.name for loaded in plugin.load(section(None, "help", "ask"))] == ["help", "ask"]


def test_every_command_that_anybody_may_type_has_a_longest_line() -> None:
    commands = [command for loaded in plugin.load(PluginsSection()) for command in loaded.commands()]
    typed = [command for command in commands if not (command.moderator or command.hidden)]
    assert {"help", "why", "defaults set"} <= {command.name for command in typed}
    assert [command.name for command in typed if command.max_characters > 10_000] == []


def test_a_file_in_a_folder_is_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "dice.py").write_text(TEN_LINES)
    (tmp_path / "_helper.py").write_text("raise RuntimeError")
    (loaded,) = plugin.load(section(tmp_path))
    assert (loaded.name, [command.name for command in loaded.commands()]) == ("dice", ["roll"])


def test_a_plugin_brings_its_translations(tmp_path: Path) -> None:
    (tmp_path / "dice.py").write_text(TEN_LINES)
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages" / "de.po").write_text(
        'msgid "Roll a die."\nmsgstr "Würfle."\nmsgid "Stop"\nmsgstr "Halt"\n', "utf-8"
    )
    assert [loaded.name for loaded in plugin.load(section(tmp_path))] == ["dice"]
    assert [translate(text, "de") for text in ("Roll a die.", "Stop")] == ["Würfle.", "Stopp"]
    assert translate("Roll a die.", "es") == "Roll a die."


def test_a_broken_catalogue_of_a_plugin_is_named(tmp_path: Path) -> None:
    (tmp_path / "dice.py").write_text(TEN_LINES)
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages" / "de.po").write_text('msgid "Roll a die."\nmsgstr "Würfle."\n', "latin-1")
    with pytest.raises(PluginError, match="“dice” cannot be loaded: .*de.po cannot be read: 'utf-8' codec"):
        plugin.load(section(tmp_path))


def test_an_installed_package_offers_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "dice_plugin.py").write_text(TEN_LINES)
    metadata = tmp_path / "dice_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: dice-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[tempera.plugins]\ndice = dice_plugin\n")
    code = (
        "import bot.plugin_host.plugin as p; from bot.config.sections import PluginsSection as S; "
        "print(*[x.name for x in p.load(S())])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split()[-1] == "dice"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            "\nimport nothing_of_that_name",
            (
                "Plugin “dice” cannot be loaded: ModuleNotFoundError: No module named 'nothing_of_that_name' "
                "(dice.py, line 2)."
            ),
        ),
        (
            "import json\n\njson.loads('')",
            (
                "Plugin “dice” cannot be loaded: JSONDecodeError: Expecting value: line 1 column 1 (char 0) "
                "(dice.py, line 3)."
            ),
        ),
        ("\n\ndef broken(:", "Plugin “dice” cannot be loaded: SyntaxError: invalid syntax (dice.py, line 3)."),
        ("raise SystemExit(1)", "Plugin “dice” cannot be loaded: SystemExit: 1 (dice.py, line 1)."),
        ("raise RuntimeError", "Plugin “dice” cannot be loaded: RuntimeError (dice.py, line 1)."),
        ("x = 1", "Plugin “dice” must define one subclass of Plugin; it defines 0."),
        (
            TEN_LINES.replace('"""Roll a die."""', "pass"),
            (
                "Command “roll” of plugin “dice” (dice.py, line 6): the docstring's first line must say what the "
                "command does."
            ),
        ),
        (
            TEN_LINES.replace("yield Reply(", "return dict("),
            (
                "Command “roll” of plugin “dice” (dice.py, line 6): the handler must be an async generator (async def "
                "… yield Reply(…))."
            ),
        ),
    ],
)
def test_a_broken_plugin_stops_the_start_and_is_named_with_file_and_line(
    tmp_path: Path, source: str, sentence: str
) -> None:
    (tmp_path / "dice.py").write_text(source)
    with pytest.raises(PluginError) as caught:
        plugin.load(section(tmp_path))
    assert str(caught.value) == sentence
    assert (caught.value.plugin, caught.value.module) == ("dice", "tempera_plugin_dice")


def test_a_plugin_in_a_folder_that_is_named_from_here_names_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dice.py").write_text("import nothing_of_that_name")
    with pytest.raises(PluginError, match=r"\(dice\.py, line 1\)"):
        plugin.load(section(Path()))


def test_broken_plugins_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "dice.py").write_text("broken(")
    (tmp_path / "ask.py").write_text(TEN_LINES)
    (tmp_path / "cards.py").write_text(TEN_LINES)
    left_out: set[str] = set()
    for name in ("ask", "dice"):
        with pytest.raises(PluginError) as caught:
            plugin.load(section(tmp_path, "ask"), left_out)
        assert caught.value.plugin == name
        left_out.add(caught.value.module)
    assert [loaded.name for loaded in plugin.load(section(tmp_path, "ask"), left_out)] == ["ask", "cards"]


def test_what_is_not_there() -> None:
    with pytest.raises(PluginError, match="“nothing”"):
        plugin.load(section(None, "nothing"))
    with pytest.raises(PluginError, match="does not exist"):
        plugin.load(section(Path("/nowhere")))


async def test_background_tasks_end_with_their_plugin() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("task")

    class Busy(plugin.Plugin):
        async def stop(self) -> None:
            ended.append("stop")

    busy = Busy()
    busy.spawn(work())
    await asyncio.sleep(0)
    await busy.close()
    assert ended == ["task", "stop"]


def test_a_package_is_reloaded_with_all_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "dice_in_parts"
    package.mkdir()
    (package / "__init__.py").write_text("from dice_in_parts.sides import SIDES\n" + TEN_LINES)
    (package / "sides.py").write_text("SIDES = 6")
    monkeypatch.syspath_prepend(tmp_path)
    loaded = plugin.make_plugin("dice", importlib.import_module("dice_in_parts"))
    assert sys.modules["dice_in_parts"].SIDES == 6
    (package / "sides.py").write_text("SIDES = 'twelve'")
    again = plugin.reload_plugin(loaded)
    assert (again.name, sys.modules["dice_in_parts"].SIDES) == ("dice", "twelve")
    (package / "sides.py").write_text("SIDES = broken(")
    with pytest.raises(PluginError, match=r"Plugin “dice” cannot be loaded: SyntaxError: .* \(sides.py, line 1\)"):
        plugin.reload_plugin(again)
    assert sys.modules["dice_in_parts.sides"].SIDES == "twelve"
