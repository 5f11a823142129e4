"""What discord.py keeps in its classes, and so must be set before its first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

if TYPE_CHECKING:
    from bot.config import DiscordSection


def prepare(section: DiscordSection) -> None:
    """Send all that discord.py does to the configured addresses."""
    Route.BASE = section.api_base
    if section.gateway_url:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(section.gateway_url)
    # This bot has no voice, so nobody needs to hear that its libraries are missing.
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
