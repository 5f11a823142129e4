"""A bot that is connected to the fake of Discord."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fakes.discord import FakeDiscord

from bot.app import Bot
from bot.config import DiscordSection
from bot.platforms.discord import DiscordPlatform


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
