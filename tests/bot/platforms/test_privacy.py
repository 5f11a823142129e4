"""Large exports of a user's data on Discord, where messages take few files and no large ones."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.discord import FakeDiscord
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import begun, bot_with_plugins

from bot.app import Bot
from bot.core.model_events import Token
from bot.platforms.discord.outgoing.targets import DEFAULT_MAX_FILE_BYTES
from bot.storage.database import AttachmentRow, MessageRow, TokensRow, now
from bot.storage.tokens import pack

ANSWERS = 12
REST = {
    **dict.fromkeys(("server", "channel", "thread", "external", "instance"), ""),
    "role": "assistant",
    "command": "ask",
    "state": "done",
    "private": False,
    "options": {},
    "card": {},
    "buttons": [],
    "resume": {},
}


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    async with bot_with_plugins(models, tmp_path, ["privacy"]) as running:
        yield running


@pytest.fixture
async def toy_bot(bot: Bot) -> Bot:
    return bot


async def store_answers(bot: Bot, author: str, *, tokens: int, picture: bytes) -> None:
    """Store answers with `tokens` tokens and a picture each."""
    packed = pack([Token("word ", 0.123456789, ())] * tokens)
    about = {"filename": "grid.png", "media_type": "image/png", "alt": "", "spoiler": False}
    async with bot.database.writing() as session:
        for _ in range(ANSWERS):
            row = MessageRow(platform="discord", author=author, author_name="Ann", text="hi", created=now(), **REST)
            session.add(row)
            await session.flush()
            session.add(TokensRow(message=row.id, data=packed))
            session.add(AttachmentRow(message=row.id, data=picture, **about))


async def test_exported_files_keep_to_discords_limit(discord: FakeDiscord, bot: Bot) -> None:
    await store_answers(bot, discord.ann.id, tokens=DEFAULT_MAX_FILE_BYTES // 40 // ANSWERS, picture=bytes(2**19))
    message = await begun(discord, "privacy export")
    await discord.until(lambda: message.attachments)
    assert len(message.attachments) > 1
    assert message.content == "This is all that I have stored about you. PRIVACY.md tells what each part is."
    told = [json.loads(file.data) for file in message.attachments]
    counts = [sum(len(one.get(name, [])) for one in told) for name in ("messages", "tokens", "files")]
    assert counts == [ANSWERS] * 3
