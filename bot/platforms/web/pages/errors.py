"""The JSON response of a page's request that was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from bot.core.errors import UserError
    from bot.core.messages import User


def error_response(error: UserError, user: User, *, status: int) -> web.Response:
    """Return the sentence of an error, in the user's language, under the key “error”."""
    return web.json_response({"error": error.sentence.in_language(user.locale)}, status=status)
