"""The plugins in docs/plugins.md run and answer as expected; it and its reference explain the whole plugin API."""

import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels

import bot
from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core.messages import Place, Request, User
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.plugin_host import plugin
from bot.storage.database import Database

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "plugins.md").read_text("utf-8")
REFERENCE = (ROOT / "docs" / "plugin-reference.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", TEXT, re.DOTALL))
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL) + REFERENCE
EXPLAINED = {word for code in re.findall(r"`([^`]+)`", PROSE) for word in re.findall(r"\w+", code)}
"""Every word that the two pages put between backticks in a sentence or a table; the examples do not count."""
HERE = Place("test", "room")
ANN = User("ann", "Ann", is_moderator=True)

LINES = {
    "/roll sides:20": r"You rolled a \d+\.",
    "/shout style:louder times:2 at:@ben hello there": "ben, HELLO THERE!!! HELLO THERE!!!",
    "/room open channel:#lessons": r"lessons is open to everybody\.",
    "/count to:2": "1 2 ",
    "/knock red": r"Ann knocks at the red door\.",
    "/unlock": r"They are open\.",
    "/poem kind": r"Paris is the capital of France\.",
    "/greet": "Hello, Ann!",
    "/note keep name:milk two litres": r"Kept as milk\.",
    "/note drop milk": r"Forgotten\.",
    "/recall again": r"again \(0 older turns\)",
    "/forget": r"Forgotten\.",
    "/uptime": r"\d+ s",
    "/diary a long day": r"Written down\.",
    "/letters abc": r"3 letters\.",
    "/define token": r"A piece of a word\.",
}
"""Every command of the examples except `note read`, which needs a note first, and a pattern for its answer."""


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Bot]:
    for name, source in EXAMPLES.items():
        (tmp_path / name).write_text(source)
    plugins = plugin.load(PluginsSection(enabled=(), folder=tmp_path, entry_points=False))
    async with (
        FakeModels() as models,
        Bot(
            ModelClient(models.url), plugins, Database(f"sqlite:///{tmp_path}/tempera.db"), platforms=PLATFORMS
        ) as made,
    ):
        yield made


async def answer(made: Bot, line: str) -> bot.Reply:
    replies = made.prepare(Request(user=ANN, place=HERE, text=line)).start()
    return [reply async for reply in replies][-1]


def test_every_block_of_python_is_an_example_with_a_file_name() -> None:
    assert len(EXAMPLES) == TEXT.count("```python") > 0
    assert "```python" not in REFERENCE


def test_the_first_plugin_has_ten_lines() -> None:
    assert len(list(filter(None, EXAMPLES["dice.py"].splitlines()))) <= 10


@pytest.mark.parametrize("name", bot.__all__)
def test_every_public_name_is_explained(name: str) -> None:
    assert name in EXPLAINED


@pytest.mark.parametrize(
    "name", ["name", "title", "settings", "start", "stop", "spawn", "pages", "knows", "stored", "forget"]
)
def test_every_part_of_a_plugin_is_explained(name: str) -> None:
    assert hasattr(bot.Plugin, name)
    assert name in EXPLAINED


@pytest.mark.parametrize("name", [name for name in inspect.signature(bot.command).parameters if name != "name"])
def test_every_argument_of_command_is_explained(name: str) -> None:
    assert f"\n| `{name}=" in REFERENCE


@pytest.mark.parametrize("name", [name for name in dir(bot.Context) if not name.startswith("_")])
def test_the_whole_context_is_explained(name: str) -> None:
    assert f"\n| `ctx.{name}` |" in REFERENCE


async def test_every_command_of_the_examples_is_tried_here(running: Bot) -> None:
    tried = {running.registry.split_line(line)[0].name for line in LINES}
    assert {known.name for known in running.registry.commands} - tried == {"note read"}


@pytest.mark.parametrize(("line", "pattern"), LINES.items())
async def test_the_examples_answer(running: Bot, line: str, pattern: str) -> None:
    reply = await answer(running, line)
    assert not reply.error
    assert re.fullmatch(pattern, reply.text)


async def test_a_stored_note_is_completed_and_read(running: Bot) -> None:
    await answer(running, "/note keep name:milk two litres")
    reading = Request(user=ANN, place=HERE, command="note read")
    assert list(await running.complete(reading, "name", "m")) == ["milk"]
    assert (await answer(running, "/note read milk")).text == "two litres"
    assert (await answer(running, "/note read bread")).text == "You have no note “bread”."


async def test_the_examples_refuse_as_described(running: Bot) -> None:
    refused = await answer(running, "/roll sides:1")
    assert f"\n    {refused.text}\n" in TEXT
    assert (await answer(running, "/knock 7")).text == "“7” is no door; its name has letters only."
