"""The transcript of a room as Markdown: what everybody there could read, without anybody's private answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.moderation.audit_view import plain_name
from bot.storage.audit import MODERATION, AuditEntry
from bot.storage.database import ANNOUNCEMENT, UNFINISHED, now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.core.caller import Caller
    from bot.core.messages import Place
    from bot.storage.audit import Audit
    from bot.storage.database import MessageRow
    from bot.storage.messages import MessageStore

MAX_MESSAGES = 4000
"""Questions, answers and announcements in one transcript; older ones are left out."""


async def write_transcript(messages: MessageStore, audit: Audit, caller: Caller, place: Place) -> str:
    """Return the transcript of a room, and record in the audit who read it. Raises PermissionDenied for others."""
    caller.require_moderator()
    await audit.record(AuditEntry(actor=caller.user, place=place, kind=MODERATION, what="transcript"))
    rows = [row for row in await messages.recent(place, MAX_MESSAGES, threads=True) if not row.private]
    title = [f"# {place.channel}", f"*{now():%Y-%m-%d %H:%M} UTC*"]
    questions = {row.id: row for row in rows if row.role == "user"}
    parts = [part for row in rows for part in _write_row(row, questions.get(row.parent or 0))]
    return "\n\n".join([*title, *parts]) + "\n"


def _write_row(row: MessageRow, question: MessageRow | None) -> Iterator[str]:
    when = f"{row.created:%Y-%m-%d %H:%M}"
    if row.role == ANNOUNCEMENT:
        yield f"{plain_name(row.author_name)} 📣 {when}"
        yield _quote(row.text)
    elif row.role == "assistant" and row.state not in UNFINISHED:
        asked = row.resume.get("line") or (question.text if question is not None else "")
        thread = f" (↳ {row.thread})" if row.thread else ""
        yield f"{plain_name(row.author_name)} {when}{thread}"
        yield _quote(str(asked) or f"/{row.command}")
        yield f"**Tempera** #{row.id}"
        # Outside a quotation, an answer could look like what somebody else has asked.
        yield _quote(row.text) or "…"
        if row.card:
            yield "*" + ", ".join(f"{name}: {value}" for name, value in row.card.items()) + "*"


def _quote(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())
