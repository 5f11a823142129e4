"""The JSON response of a page's request that was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bot.core.errors import DatabaseUnavailable, PermissionDenied

if TYPE_CHECKING:
    from bot.core.errors import UserError
    from bot.core.messages import User


def error_response(error: UserError, user: User, *, status: int | None = None) -> web.Response:
    """Return the sentence of an error, in the user's language, under the key “error”.

    Without a `status` it is 403 if the user lacks a right, 503 while the database is away, else 422.
    """
    if status is None:
        match error:
            case PermissionDenied():
                status = 403
            case DatabaseUnavailable():
                status = 503
            case _:
                status = 422
    return web.json_response({"error": error.sentence.in_language(user.locale)}, status=status)
