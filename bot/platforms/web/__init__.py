"""The built-in web chat: rooms, one page, one WebSocket per visitor."""

from bot.platforms.web.platform import WebPlatform

__all__ = ["WebPlatform"]
