"""Settings of discord.py that its classes hold, and that must be made before their first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

if TYPE_CHECKING:
    from bot.config.sections import DiscordSection


def configure(section: DiscordSection) -> None:
    """Let discord.py use the configured addresses."""
    Route.BASE = section.api_base
    if section.gateway_url:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(section.gateway_url)
    # The bot never uses voice channels, for which discord.py warns about missing libraries.
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
