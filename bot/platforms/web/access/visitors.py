"""Visitors of the web chat: the cookie that identifies them, and the name that they chose."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from typing import TYPE_CHECKING

from bot.core.i18n import list_languages, translate
from bot.core.messages import User

if TYPE_CHECKING:
    from aiohttp import web

VISITOR_COOKIE = "tempera_visitor"
COOKIE_SECONDS = 365 * 24 * 3600
SECRET_PATTERN = re.compile(r"[A-Za-z0-9_-]{43}")
LOCALE_PATTERN = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
MAX_NAME_CHARS = 32
MAX_MARKS = 2
"""How many accents one letter keeps; more of them cover the lines above and below."""
INVISIBLE_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
"""Characters that show nothing, although Unicode counts them as letters, signs or marks."""


def read_secret(request: web.Request) -> str | None:
    """Return the visitor's secret from the cookie; None if there is no valid one."""
    value = request.cookies.get(VISITOR_COOKIE, "")
    return value if SECRET_PATTERN.fullmatch(value) else None


def create_secret() -> str:
    """Return a random secret for a new visitor."""
    return secrets.token_urlsafe(32)


def read_or_create_secret(request: web.Request) -> str:
    """Return the visitor's secret from the cookie, or a new one if there is none."""
    return read_secret(request) or create_secret()


def is_secure(request: web.Request) -> bool:
    """Return whether the browser sent the request by HTTPS, as a proxy or its own header Origin tells."""
    return request.secure or request.headers.get("Origin", "").startswith("https:")


def set_visitor_cookie(request: web.Request, response: web.StreamResponse, secret: str) -> None:
    """Store a visitor's secret in the browser that sent `request`."""
    response.set_cookie(
        VISITOR_COOKIE,
        secret,
        max_age=COOKIE_SECONDS,
        httponly=True,
        samesite="Strict",
        secure=is_secure(request),
    )


def user_from_secret(secret: str, name: str, locale: str) -> User:
    """Return the user who has this secret. Their id is a hash, since others see it and must not learn the secret."""
    user_id = hashlib.sha256(secret.encode()).hexdigest()[:16]
    known = locale if LOCALE_PATTERN.fullmatch(locale) else "en"
    return User(user_id, clean_name(name) or guest_name(user_id, known), locale=known)


def guest_name(user_id: str, locale: str, digits: int = 4) -> str:
    """Return what a visitor without a name is called, in their language, with the first digits of their id."""
    return f"{translate('Guest', locale)} {user_id[:digits]}"


def is_guest_name(name: str, user_id: str) -> bool:
    """Return True if a visitor has the name of a guest, in any language."""
    return name.startswith(tuple(guest_name(user_id, code) for code in list_languages()))


def clean_name(name: str, length: int = MAX_NAME_CHARS) -> str:
    """Return the name on one line of at most `length` characters, without those that are invisible or change others."""
    # Bounded before it is normalised, since one character can become several.
    visible = (" " if char.isspace() else char for char in unicodedata.normalize("NFC", name[: 4 * length]))
    kept: list[str] = []
    for char in visible:
        category = unicodedata.category(char)
        is_covering = category == "Mn" and all(map(unicodedata.combining, kept[-MAX_MARKS:])) and len(kept) >= MAX_MARKS
        if not (category[0] == "C" or category == "Me" or char in INVISIBLE_LETTERS or is_covering):
            kept.append(char)
    return " ".join("".join(kept).split())[:length].strip()


def clean_filename(name: str) -> str:
    """Return the last part of an uploaded file's path, as a name that is safe in any folder."""
    return clean_name(re.split(r"[/\\]", name)[-1].lstrip("."), 120) or "file"
