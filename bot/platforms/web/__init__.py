"""The built-in web chat: one room, one page, one WebSocket per visitor."""

from bot.platforms.web.platform import WebPlatform

__all__ = ["WebPlatform"]
