"""A bot that is connected to the fake of Discord, with a plugin that says what a test tells it to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fakes.discord import FakeDiscord, FakeInteraction, FakeMessage
from fakes.model_server.model_api import FakeModels, png

from bot import Attachment, Context, Plugin, Reply, UserError, command
from bot.app import Bot
from bot.config import DiscordSection, PluginsSection
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.platforms.discord import DiscordPlatform
from bot.plugin_host import plugin
from bot.storage.database import Database


class Toys(Plugin):
    """Commands without a model. `play` shows what is put into `script`, until a final reply."""

    name = "toys"

    def __init__(self) -> None:
        super().__init__()
        self.script: asyncio.Queue[Reply | Exception] = asyncio.Queue()
        self.played = 0

    def say(self, *replies: Reply | Exception) -> None:
        """Let `play` go on with these."""
        for reply in replies:
            self.script.put_nowait(reply)

    @command(form=("text",), threads=True)
    async def play(self, ctx: Context, text: str = "", seed: int | None = None) -> AsyncIterator[Reply]:
        """Show what a test wants."""
        self.played += 1
        final = False
        while not final:
            reply = await self.script.get()
            if isinstance(reply, Exception):
                raise reply
            yield reply
            final = reply.final

    @command(private=True)
    async def whisper(self, ctx: Context, text: str) -> AsyncIterator[Reply]:
        """Say it to the asker alone."""
        yield Reply(text=f"psst, {text}")

    @command(private=True)
    async def hush(self, ctx: Context, seed: int | None = None) -> AsyncIterator[Reply]:
        """Begin to tell the asker alone, and never end."""
        yield Reply(text="Hush")
        await asyncio.Event().wait()

    @command()
    async def stretch(self, ctx: Context, length: int, seed: int | None = None) -> AsyncIterator[Reply]:
        """Say so many characters."""
        yield Reply(text=("word " * length)[:length])

    @command()
    async def draw(self, ctx: Context, count: int = 1, size: int = 0) -> AsyncIterator[Reply]:
        """Show pictures, each of `size` bytes at least."""
        pictures = (
            Attachment(f"{number}.png", png(number).ljust(size, b"\0"), "image/png", f"Picture {number}. " + "x" * 2000)
            for number in range(count)
        )
        yield Reply(text="Look:", attachments=tuple(pictures), final=True)

    @command(form=("file", "note"))
    async def weigh(self, ctx: Context, file: Attachment, note: str = "") -> AsyncIterator[Reply]:
        """Say how large a file is."""
        if not file.data:
            raise UserError("An empty file weighs nothing.")
        yield Reply(text=f"{file.filename}: {len(file.data)} bytes of {file.media_type}", final=True)


def bot_with_toys(models: FakeModels, folder: Path, toys: Toys, **options: Any) -> Bot:
    """The built-in plugins and the toys, on a database in `folder`; use it as an async context manager."""
    plugins = plugin.load(
        PluginsSection(enabled=("ask", "explain", "face", "inspect", "help", "config"), entry_points=False)
    )
    options["settings"] = {"safety.level": "off"} | options.get("settings", {})
    return Bot(
        ModelClient(models.url),
        [*plugins, toys],
        Database(f"sqlite:///{folder}/tempera.db"),
        platforms=PLATFORMS,
        **options,
    )


@asynccontextmanager
async def on_discord(bot: Bot, discord: FakeDiscord, *, token_seconds: float = 840, **more: Any) -> AsyncIterator[None]:
    """Run the platform for as long as the context lasts; at its start, commands are registered."""
    section = DiscordSection(token=discord.token, api_base=discord.api_base, **more)
    running = asyncio.create_task(DiscordPlatform(bot, section, token_seconds=token_seconds).run())
    try:
        await discord.until(lambda: running.done() or (discord.gateway.connected and discord.commands()))
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def finished(discord: FakeDiscord, message: FakeMessage) -> FakeMessage:
    """Wait until an answer is over: Stop is no longer offered under it."""

    def over() -> bool:
        ids = [button["custom_id"] for button in message.buttons.values()]
        return not (message.loading or message.content == "…" or any(one.startswith("t:stop") for one in ids))

    await discord.until(over)
    return message


async def playing(discord: FakeDiscord, toys: Toys, **options: object) -> tuple[FakeInteraction, FakeMessage]:
    """An answer that has begun."""
    asked = await discord.slash(discord.ann, discord.channel, "play", **options)
    message = await asked.message()
    toys.say(Reply(text="One"))
    await discord.until(lambda: message.content.endswith("One"))
    return asked, message
