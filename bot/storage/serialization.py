"""Converts requests and replies to the columns and rows that store them, and back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bot.core.messages import Attachment
from bot.storage.database import AttachmentRow, TokensRow, now
from bot.storage.pictures import PictureHashRow
from bot.storage.tokens import pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.commands.command import Command
    from bot.core.messages import Button, Reply, Request
    from bot.storage.database import Base

DELETED_COLUMNS: Mapping[str, Any] = {
    "state": "deleted", "text": "", "options": {}, "card": {}, "buttons": [], "resume": {},
}  # fmt: skip
"""The values of a message's columns after its deletion."""


def options_as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as JSON: users, channels and roles by their id; files are left out."""
    return {
        name: value if isinstance(value, (str, int, float, bool, type(None))) else getattr(value, "id", str(value))
        for name, value in options.items()
        if not isinstance(value, Attachment)
    }


def request_columns(request: Request, command: Command, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that a question and its answer have in common."""
    return {
        "platform": request.place.platform,
        "server": request.place.server,
        "channel": request.place.channel,
        "thread": request.place.thread,
        "author": request.user.id,
        "author_name": request.user.name,
        "command": command.name,
        "options": options_as_json(options),
        "created": now(),
    }


def reply_columns(reply: Reply) -> dict[str, Any]:
    """Return the columns of an answer that store its last reply."""
    seed = reply.card.get("seed")
    return {
        "text": reply.text,
        "card": dict(reply.card),
        "private": reply.private,
        "seed": int(seed) if seed is not None and seed.isdecimal() else None,
        "buttons": buttons_as_json(reply.buttons),
    }


def buttons_as_json(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    """Return the buttons of a plugin as JSON; those of the core are left out."""
    return [
        {
            "label": button.label,
            "command": button.command,
            "options": dict(button.options),
            "id": button.id,
            "turns": button.turns,
            "title": button.title,
            "picture": button.picture,
            "aside": button.aside,
            "choices": button.choices,
        }
        for button in buttons
        if button.command
    ]


async def pack_tokens(reply: Reply) -> bytes:
    """Return the tokens of a reply in their stored form; empty if there are none."""
    # For a long answer this would block the event loop for too long.
    return await asyncio.to_thread(pack, reply.tokens) if reply.tokens else b""


def build_reply_rows(answer: int, reply: Reply, tokens: bytes, hashes: Sequence[bytes]) -> list[Base]:
    """Return the rows that an answer has in other tables: its files, its packed `tokens`, its pictures' `hashes`."""
    files = [
        AttachmentRow(
            message=answer,
            filename=file.filename,
            media_type=file.media_type,
            alt=file.alt,
            spoiler=file.spoiler,
            data=file.data,
        )
        for file in reply.attachments
    ]
    hashed = [PictureHashRow(message=answer, hash=one) for one in hashes]
    return [*files, *hashed, *([TokensRow(message=answer, data=tokens)] if tokens else [])]


def read_attachment(row: AttachmentRow) -> Attachment:
    """Return a stored file as an attachment."""
    return Attachment(row.filename, row.data, row.media_type, row.alt, row.spoiler)
