"""The end of the bot on Discord, planned or not, and the answers that it restores after a restart."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from fakes.discord import FakeDiscord
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys, begun, bot_with_toys, finished, on_discord, playing

from bot.app import Bot
from bot.core import background
from bot.core.errors import DatabaseUnavailable
from bot.core.messages import Reply
from bot.platforms.discord.incoming import interactions
from bot.storage.database import MessageRow

INTERRUPTED = "Interrupted: the bot was restarted."


async def test_an_answer_shows_that_the_bot_ended(toy_bot: Bot, toys: Toys, quick: None) -> None:
    async with FakeDiscord() as discord:
        async with on_discord(toy_bot, discord):
            _, message = await playing(discord, toys)
        assert message.content == f"One\n\n-# {INTERRUPTED}"
        assert "Again" in message.buttons


@asynccontextmanager
async def killed_after(discord: FakeDiscord, models: FakeModels, toys: Toys, folder: Path) -> AsyncIterator[None]:
    """Leave the answers of the context as if the process was killed at its end."""
    before, after = folder / "before", folder / "after"
    for one in (before, after):
        one.mkdir()
    async with bot_with_toys(models, before, toys) as bot, on_discord(bot, discord):
        yield
        # Otherwise it might be killed after it has sent a message and before its id is stored.
        await discord.until(lambda: not _has_unstored_message(before / "tempera.db"))
        await asyncio.to_thread(_copy, before / "tempera.db", after / "tempera.db")
        for method in ("PATCH", "POST", "DELETE"):
            discord.refuse(method, "*", 403, code=50013, times=1000)
    discord.rest.limits.refusals.clear()


def _has_unstored_message(path: Path) -> bool:
    """Return whether there is an answer of which no message is stored yet."""
    with closing(sqlite3.connect(path)) as database:
        answers = "SELECT 1 FROM messages WHERE role = 'assistant' AND id NOT IN (SELECT message FROM deliveries)"
        return database.execute(answers).fetchone() is not None


def _copy(source: Path, target: Path) -> None:
    """Copy the database at this moment, without the registration of its process."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("DELETE FROM instances")
        new.commit()


async def test_unfinished_answers_show_that_they_were_interrupted(
    models: FakeModels, quick: None, tmp_path: Path
) -> None:
    async with FakeDiscord() as discord:
        toys = Toys()
        async with killed_after(discord, models, toys, tmp_path):
            await playing(discord, toys)
            toys.say(Reply(text="One" + " and one" * 400))
            await discord.until(lambda: len(discord.messages(discord.channel)) == 2)
            two = discord.messages(discord.channel)
            private = await begun(discord, "hush")
            expired = await begun(discord, "hush")
            replied = await discord.say(discord.ann, discord.channel, "/play", mention=True)
            answer = await discord.until(
                lambda: next((one for one in discord.messages(discord.channel) if one.reference is replied), None)
            )
            await discord.until(lambda: not private.loading and not expired.loading)
        expired.interaction.expired = True
        assert "Stop" in answer.buttons
        async with bot_with_toys(models, tmp_path / "after", toys) as bot, on_discord(bot, discord):
            # A crash may lose the text of the last two seconds.
            for message in (private, answer):
                await finished(discord, message)
                assert message.content.endswith(f"-# {INTERRUPTED}")
            await discord.until(lambda: any(INTERRUPTED in one.content for one in two))
            public = next(one for one in two if INTERRUPTED in one.content)
            assert "Again" in public.buttons
            assert "Stop" in expired.buttons
            pressed = await discord.press(discord.ann, public, "Again")
            toys.say(Reply(text="One and all", final=True))
            assert (await finished(discord, await pressed.message())).content == "> Ann pressed Again\n\nOne and all"


async def test_an_answer_shows_that_it_was_interrupted_once_the_database_is_back(
    models: FakeModels, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.01)
    async with FakeDiscord() as discord:
        toys = Toys()
        async with killed_after(discord, models, toys, tmp_path):
            _, message = await playing(discord, toys)
        async with bot_with_toys(models, tmp_path / "after", toys) as bot:
            snapshot, tries = bot.stored.snapshot, 0

            async def fail_once(row: MessageRow, locale: str) -> Reply:
                nonlocal tries
                tries += 1
                if tries == 1:
                    raise DatabaseUnavailable
                return await snapshot(row, locale)

            monkeypatch.setattr(bot.stored, "snapshot", fail_once)
            async with on_discord(bot, discord):
                await finished(discord, message)
                assert message.content.endswith(f"-# {INTERRUPTED}")
                assert tries == 2


async def test_an_expired_token_is_not_used(
    models: FakeModels, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactions, "TOKEN_LIFETIME_SECONDS", -1.0)
    async with FakeDiscord() as discord:
        toys = Toys()
        async with killed_after(discord, models, toys, tmp_path):
            private = await begun(discord, "hush")
            _, public = await playing(discord, toys)
            await discord.until(lambda: not private.loading)
        before = len(discord.rest.log)
        async with bot_with_toys(models, tmp_path / "after", toys) as bot, on_discord(bot, discord):
            # Answers are restored in the order of their questions, so the private one came first.
            await finished(discord, public)
        assert not any(path.startswith("/webhooks") for _, path, *_ in discord.rest.log[before:])


async def test_an_interrupted_answer_with_a_thread_shows_it_where_it_stands(
    models: FakeModels, quick: None, tmp_path: Path
) -> None:
    async with FakeDiscord() as discord:
        toys = Toys()
        async with killed_after(discord, models, toys, tmp_path):
            opened = await begun(discord, "play", text="Why?", thread=True)
            toys.say(Reply(text="One"))
            thread = await discord.until(lambda: opened.thread)
            told = await discord.until(lambda: next(iter(discord.messages(thread)), None))
            await discord.until(lambda: toys.waiting == 1)
            waiting = await begun(discord, "play", text="How?", thread=True)
            await discord.until(lambda: toys.played == 2)
            # Replies go to the answer that has waited longest: to the first one, then to the second.
            toys.say(Reply(text="One"))
            await discord.until(toys.script.empty)
            toys.say(Reply(status="You are next."))
            await discord.until(lambda: waiting.content == "-# You are next.")

            async def is_stored() -> bool:
                with closing(sqlite3.connect(tmp_path / "before" / "tempera.db")) as database:
                    shown = database.execute("SELECT external FROM deliveries").fetchall()
                return {(told.id,), (waiting.id,)} <= set(shown)

            await eventually(is_stored)
        async with bot_with_toys(models, tmp_path / "after", toys) as bot, on_discord(bot, discord):
            for message, begins in ((told, "One"), (waiting, "> How?")):
                await finished(discord, message)
                assert message.content == f"{begins}\n\n-# {INTERRUPTED}"
            await discord.press(discord.ann, waiting, "Delete")
            await discord.until(lambda: waiting.deleted)
            assert opened.content == "> Why?"
