"""Answers that fail; the way through `prepare` is in test_app.py."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.core.requests import ask, last
from fakes.model_server.broken_api import broken_off, crooked
from fakes.model_server.model_api import look_at, png

from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.plugin_host import plugin
from bot.storage.database import Database


async def test_a_drawing_that_fails_keeps_its_preview(tmp_path: Path) -> None:
    kind = "image_generation.partial_image"
    seen = {"type": kind, "b64_json": base64.b64encode(png(7)).decode(), "tempera": {"step": 25, "steps": 30}}
    cut = broken_off(f"event: {kind}\ndata: {json.dumps(seen)}\n\n".encode())
    plugins = plugin.load(PluginsSection(enabled=("imagine",), entry_points=False))
    database = Database(f"sqlite:///{tmp_path}/tempera.db")
    async with (
        crooked(cut, "/v1/images/generations") as url,
        Bot(
            ModelClient(url),
            plugins,
            database,
            platforms=PLATFORMS,
        ) as bot,
    ):
        broken = await last(bot, ask("/imagine a cat"))
        assert (broken.error, broken.final, broken.private) == (True, True, False)
        assert [look_at(file.data) for file in broken.attachments] == [look_at(png(7))]
        row = await bot.messages.get(broken.row)
        assert row is not None
        kept = await bot.stored.snapshot(row, "en")
        assert (kept.text, kept.attachments, kept.private) == (broken.text, broken.attachments, False)


ODD = """
from bot import *
class Odd(Plugin):
    @command()
    async def silent(self, ctx: Context, word: str = ""):
        'End without a reply.'
        if word:
            yield Reply(text=word)

    @command()
    async def wordy(self, ctx: Context):
        'Yield a text.'
        yield "hello"
"""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("/silent", "returned without a reply; it must yield at least one Reply (odd.py, line 4)"),
        ("/wordy", "yielded a str instead of a Reply (odd.py, line 10)"),
    ],
)
async def test_a_handler_without_a_reply_is_told_to_its_author(
    tmp_path: Path, make_bot: Callable[..., Bot], caplog: pytest.LogCaptureFixture, line: str, reason: str
) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    plugins = plugin.load(PluginsSection(enabled=(), folder=tmp_path, entry_points=False))
    async with make_bot(*plugins) as bot:
        told = await last(bot, ask(line))
        assert (told.error, told.private) == (True, True)
        assert told.text == f"{line} has given no answer. Its plugin has a fault, which is described in the bot's log."
        assert (await last(bot, ask("/silent word:hello"))).text == "hello"
    assert caplog.messages == [f"{line} of the plugin “odd” {reason}."]


async def test_a_handler_that_exits_does_not_end_the_bot(
    tmp_path: Path, make_bot: Callable[..., Bot], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "odd.py").write_text(ODD.replace('yield "hello"', "exit(3)\n        yield Reply()"))
    plugins = plugin.load(PluginsSection(enabled=(), folder=tmp_path, entry_points=False))
    async with make_bot(*plugins) as bot:
        assert (await last(bot, ask("/wordy"))).text.startswith("Something went wrong inside the bot (error ")
        assert (await last(bot, ask("/silent word:hello"))).text == "hello"
    assert 'odd.py", line 13, in wordy' in caplog.text
