"""The bot on Discord, by discord.py."""

from bot.platforms.discord.platform import DiscordPlatform

__all__ = ["DiscordPlatform"]
