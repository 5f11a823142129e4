"""A bot on the fake of Discord, with a plugin whose answers a test controls."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fakes.discord import FakeChannel, FakeDiscord, FakeInteraction, FakeMessage, FakeUser
from fakes.model_server.model_api import FakeModels, png

from bot import Attachment, Context, Plugin, Reply, UserError, command
from bot.app import Bot
from bot.config.sections import DiscordSection, PluginsSection
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.platforms.discord import DiscordPlatform
from bot.plugin_host import plugin
from bot.storage.database import Database


class Toys(Plugin):
    """Commands without a model. `play` yields the replies that are put into `script`, up to a final one."""

    name = "toys"

    def __init__(self) -> None:
        super().__init__()
        self.script: asyncio.Queue[Reply | Exception] = asyncio.Queue()
        self.played = 0
        self.waiting = 0
        """How many runs of `play` wait for their next reply."""

    def say(self, *replies: Reply | Exception) -> None:
        """Let `play` yield these replies."""
        for reply in replies:
            self.script.put_nowait(reply)

    @command(form=("text",), threads=True)
    async def play(self, ctx: Context, text: str = "", seed: int | None = None) -> AsyncIterator[Reply]:
        """Show the replies of a test."""
        self.played += 1
        final = False
        while not final:
            self.waiting += 1
            try:
                reply = await self.script.get()
            finally:
                self.waiting -= 1
            if isinstance(reply, Exception):
                raise reply
            yield reply
            final = reply.final

    @command(private=True)
    async def whisper(self, ctx: Context, text: str) -> AsyncIterator[Reply]:
        """Repeat a text to the asker alone."""
        yield Reply(text=f"psst, {text}")

    @command(private=True)
    async def hush(self, ctx: Context, seed: int | None = None) -> AsyncIterator[Reply]:
        """Begin a private answer that never ends."""
        yield Reply(text="Hush")
        await asyncio.Event().wait()

    @command()
    async def stretch(self, ctx: Context, length: int, seed: int | None = None) -> AsyncIterator[Reply]:
        """Answer with a text of `length` characters."""
        yield Reply(text=("word " * length)[:length])

    @command()
    async def draw(self, ctx: Context, count: int = 1, size: int = 0) -> AsyncIterator[Reply]:
        """Show pictures of at least `size` bytes each."""
        pictures = (
            Attachment(f"{number}.png", png(number).ljust(size, b"\0"), "image/png", f"Picture {number}. " + "x" * 2000)
            for number in range(count)
        )
        yield Reply(text="Look:", attachments=tuple(pictures), final=True)

    @command(form=("file", "note"))
    async def weigh(self, ctx: Context, file: Attachment, note: str = "") -> AsyncIterator[Reply]:
        """Say the size of a file."""
        if not file.data:
            raise UserError("An empty file weighs nothing.")
        yield Reply(text=f"{file.filename}: {len(file.data)} bytes of {file.media_type}", final=True)


def bot_with_toys(models: FakeModels, folder: Path, toys: Toys, **options: Any) -> Bot:
    """Return a bot with some built-in plugins and the toys, on a database in `folder`; enter it to use it."""
    names = ("ask", "explain", "face", "inspect", "help", "config")
    return bot_with_plugins(models, folder, names, toys, **options)


def bot_with_plugins(models: FakeModels, folder: Path, names: Sequence[str], *plugins: Plugin, **options: Any) -> Bot:
    """Return a bot with these built-in plugins and others, on a database in `folder`; enter it to use it."""
    options["settings"] = {"safety.level": "off"} | options.get("settings", {})
    return Bot(
        ModelClient(models.url),
        [*plugin.load(PluginsSection(enabled=tuple(names), entry_points=False)), *plugins],
        Database(f"sqlite:///{folder}/tempera.db"),
        platforms=PLATFORMS,
        **options,
    )


@asynccontextmanager
async def on_discord(bot: Bot, discord: FakeDiscord, *, token_seconds: float = 840, **more: Any) -> AsyncIterator[None]:
    """Run the platform; the context begins once commands are registered."""
    section = DiscordSection(token=discord.token, api_base=discord.api_base, **more)
    running = asyncio.create_task(DiscordPlatform(bot, section, token_seconds=token_seconds).run())
    try:
        await discord.until(lambda: running.done() or (discord.gateway.connected and discord.commands()))
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def finished(discord: FakeDiscord, message: FakeMessage) -> FakeMessage:
    """Wait until an answer has ended, as it has no button Stop any more."""

    def has_ended() -> bool:
        ids = [button["custom_id"] for button in message.buttons.values()]
        return not (message.loading or message.content == "…" or any(one.startswith("t:stop") for one in ids))

    await discord.until(has_ended)
    return message


async def begun(discord: FakeDiscord, command: str, **options: object) -> FakeMessage:
    """Let Ann use a command in the channel, and return the message with its answer."""
    asked = await discord.slash(discord.ann, discord.channel, command, **options)
    return await asked.message()


async def answered(discord: FakeDiscord, command: str, **options: object) -> FakeMessage:
    """Let Ann use a command in the channel, and return the message with its finished answer."""
    return await finished(discord, await begun(discord, command, **options))


async def told_privately(discord: FakeDiscord, user: FakeUser | None = None) -> FakeMessage:
    """Wait for the one message that Ann, or another user, alone sees, and return it."""
    await discord.until(lambda: discord.private(user or discord.ann))
    (said,) = discord.private(user or discord.ann)
    return said


async def first_in_thread(discord: FakeDiscord, starter: FakeMessage) -> tuple[FakeChannel, FakeMessage]:
    """Wait for the thread under a question and its first message, and return both."""
    thread = await discord.until(lambda: starter.thread)
    return thread, await discord.until(lambda: next(iter(discord.messages(thread)), None))


async def playing(discord: FakeDiscord, toys: Toys, **options: object) -> tuple[FakeInteraction, FakeMessage]:
    """Start an answer, and wait until its first reply is shown."""
    asked = await discord.slash(discord.ann, discord.channel, "play", **options)
    message = await asked.message()
    toys.say(Reply(text="One"))
    await discord.until(lambda: message.content.endswith("One"))
    return asked, message
