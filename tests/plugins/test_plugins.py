from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from fakes.core.requests import ANN, MODERATOR, OPERATOR, ROOM, ask, last, speaking

from bot.answers.decision import Refuse
from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core.messages import Place, Request
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.plugin_host import plugin
from bot.storage.database import Database

DICE = """
from bot import *
class Dice(Plugin):
    @command()
    async def roll(self, ctx: Context):
        '''Roll.'''
        yield Reply(text={answer!r})
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], None]:
    (tmp_path / "mine").mkdir()
    return lambda text: (tmp_path / "mine" / "dice.py").write_text(text) and None


@pytest.fixture
async def dice_bot(tmp_path: Path, write: Callable[[str], None]) -> AsyncIterator[Bot]:
    write(DICE.format(answer="one"))
    plugins = plugin.load(PluginsSection(folder=tmp_path / "mine", entry_points=False))
    async with Bot(
        ModelClient("http://127.0.0.1:9"),
        plugins,
        Database(f"sqlite:///{tmp_path}/tempera.db"),
        platforms=PLATFORMS,
    ) as made:
        yield made


async def test_plugins_are_listed_with_their_commands(bot: Bot) -> None:
    await last(bot, ask("/plugins disable face", MODERATOR))
    decision = bot.prepare(ask("/plugins list", MODERATOR))
    assert decision.private
    lines = [reply async for reply in decision.start()][-1].text.splitlines()
    assert lines[0] == "- **ask** (on): `/ask`, `/new`"
    assert "- **face** (off): `/face`" in lines
    assert "- **defaults** (on): `/defaults show`, `/defaults set`, `/defaults reset`" in lines
    assert len(lines) == len(PluginsSection().enabled)


async def test_a_plugin_is_switched_off_in_one_server_and_on_again(bot: Bot) -> None:
    assert (await last(bot, ask("/plugins disable face", MODERATOR))).text == "“face” is off now."
    refused = bot.prepare(ask("/face"))
    assert isinstance(refused, Refuse)
    assert [reply.text async for reply in refused.start()] == ["/face is switched off here."]
    assert "face" not in {command.name for command in bot.admission.commands_for(ANN, ROOM)}
    assert (await last(bot, ask("/face", place=Place("test", "room", server="other")))).attachments
    assert (await last(bot, ask("/plugins enable face", MODERATOR))).text == "“face” is on now."
    assert (await last(bot, ask("/face"))).attachments


async def test_a_plugin_is_switched_off_in_one_channel(bot: Bot) -> None:
    assert (await last(bot, ask("/plugins disable channel:#room face", MODERATOR))).text == "“face” is off now."
    assert (await last(bot, ask("/face"))).text == "/face is switched off here."
    assert (await last(bot, ask("/face", place=Place("test", "hall", server="school")))).attachments
    everywhere = await last(bot, ask("/plugins enable face", MODERATOR))
    assert everywhere.text == "“face” is on now.\nNot so in: #room"


async def test_the_operator_switches_plugins_of_another_server(bot: Bot) -> None:
    await last(bot, ask("/plugins disable server:web face", OPERATOR))
    assert not bot.registry.is_on("face", Place("web", "general", server="web"))
    assert bot.registry.is_on("face", ROOM)
    refused = await last(bot, ask("/plugins disable server:web ask", MODERATOR))
    assert refused.text == "Only whoever runs this bot can name another server, from the terminal."


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/plugins disable help", "The plugin “help” cannot be switched off."),
        ("/plugins enable fcae", "There is no plugin “fcae”. Did you mean “face”?"),
        ("/plugins enable xyzzy", f"There is no plugin “xyzzy”; there are {', '.join(PluginsSection().enabled)}."),
        ("/plugins reload ask", "Only whoever runs this bot can reload a plugin, from the terminal."),
        (
            "/plugins",
            "/plugins needs one more word: /plugins list, /plugins enable, /plugins disable, /plugins reload.",
        ),
    ],
)
async def test_wrong_options_are_refused(bot: Bot, line: str, sentence: str) -> None:
    assert (await last(bot, ask(line, MODERATOR))).text == sentence
    if line != "/plugins":
        name = " ".join(line.split()[:2])
        assert (await last(bot, ask(line, ANN))).text == f"{name} is for moderators."


async def test_a_file_is_reloaded_and_a_broken_one_is_refused(dice_bot: Bot, write: Callable[[str], None]) -> None:
    assert (await last(dice_bot, ask("/roll"))).text == "one"
    write(DICE.format(answer="two"))
    assert (await last(dice_bot, ask("/plugins reload dice", OPERATOR))).text == "“dice” was read anew."
    assert (await last(dice_bot, ask("/roll"))).text == "two"
    misspelt = await last(dice_bot, ask("/plugins reload dcie", OPERATOR))
    assert misspelt.text == "There is no plugin “dcie”. Did you mean “dice”?"
    write("import nothing_of_the_kind")
    refused = await last(dice_bot, ask("/plugins reload dice", speaking("de", OPERATOR)))
    assert refused.text == (
        "Plugin “dice” cannot be loaded: ModuleNotFoundError: No module named 'nothing_of_the_kind' (dice.py, line 1). "
        "Das laufende bleibt."
    )
    assert (await last(dice_bot, ask("/roll"))).text == "two"


async def test_names_complete_to_those_that_can_be_switched(bot: Bot) -> None:
    await last(bot, ask("/plugins disable face", MODERATOR))

    async def complete(command: str, typed: str) -> list[str]:
        request = Request(user=MODERATOR, place=ROOM, command=command)
        return list(await bot.complete(request, "name", typed))

    assert await complete("plugins enable", "") == ["face"]
    able = ["ask", "explain", "imagine", "duel", "lab", "inspect", "defaults", "status", "audit", "stats", "moderation"]
    assert await complete("plugins disable", "") == able
    assert await complete("plugins disable", "in") == ["inspect"]
    assert await complete("plugins reload", "f") == ["face"]
    assert await bot.complete(Request(user=ANN, place=ROOM, command="plugins disable"), "name", "") == ()
