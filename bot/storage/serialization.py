"""From a reply to the rows that hold it, and back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bot.core.messages import Attachment
from bot.storage.database import AttachmentRow, TokensRow
from bot.storage.tokens import pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.core.messages import Reply
    from bot.storage.database import Base


def options_as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON keeps them: members, channels and files by their name."""
    return {
        name: value if isinstance(value, (str, int, float, bool, type(None))) else getattr(value, "id", str(value))
        for name, value in options.items()
        if not isinstance(value, Attachment)
    }


def reply_columns(reply: Reply) -> dict[str, Any]:
    """What an answer's row keeps of its last reply."""
    seed = reply.card.get("seed")
    return {
        "text": reply.text,
        "card": dict(reply.card),
        "private": reply.private,
        "seed": int(seed) if seed is not None and seed.isdecimal() else None,
        "buttons": [
            {"label": one.label, "command": one.command, "options": dict(one.options), "id": one.id, "turns": one.turns}
            for one in reply.buttons
            if one.command
        ],
    }


async def pack_tokens(reply: Reply) -> bytes:
    """A reply's tokens as they are kept; nothing where there are none."""
    # Of a long answer this takes longer than an event loop should wait.
    return await asyncio.to_thread(pack, reply.tokens) if reply.tokens else b""


def build_reply_rows(answer: int, reply: Reply, tokens: bytes) -> list[Base]:
    """The other rows of an answer: its files and its packed `tokens`."""
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
    return [*files, *([TokensRow(message=answer, data=tokens)] if tokens else [])]


def read_attachment(row: AttachmentRow) -> Attachment:
    """A file as it was given."""
    return Attachment(row.filename, row.data, row.media_type, row.alt, row.spoiler)
