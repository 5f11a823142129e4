"""The built-in web chat: rooms on one page, with one WebSocket per open page."""

from bot.platforms.web.platform import WebPlatform

__all__ = ["WebPlatform"]
