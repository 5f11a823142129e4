"""A message that grows by itself: Slack's streams, which take pieces only and end after some minutes."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from bot.core.splitting import split
from bot.platforms.slack.api.message_format import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.convert.requests import AnswerPlace

LONGEST_SECONDS = 230.0
"""Slack ends a stream after about five minutes; it is followed by another one before four."""


class Stream:
    """One message that is open. `text` is what it shows."""

    def __init__(self, web: SlackApi, channel: str, ts: str, text: str) -> None:
        self.ts = ts
        self.text = text
        self._web = web
        self._channel = channel
        self._begun = time.monotonic()

    @classmethod
    async def begin(cls, web: SlackApi, where: AnswerPlace, team: str, text: str) -> Self:
        """Open a message in the thread. Raises SlackError."""
        ts = await web.start_stream(where.channel, where.thread, text, user=where.user, team=team)
        return cls(web, where.channel, ts, text)

    @property
    def is_old(self) -> bool:
        """Whether another one must follow."""
        return time.monotonic() - self._begun > LONGEST_SECONDS

    @property
    def room(self) -> int:
        """How many characters it still takes."""
        return LIMITS.characters - len(self.text)

    async def grow(self, piece: str) -> None:
        """Append a piece. Raises StreamEnded if Slack has ended it."""
        await self._web.append_stream(self._channel, self.ts, piece)
        self.text += piece

    async def end(self, piece: str = "", below: Sequence[dict[str, Any]] = ()) -> None:
        """Append the last piece, put `below` under it, and close the message. Raises StreamEnded if it was."""
        await self._web.stop_stream(self._channel, self.ts, piece, below)
        self.text += piece


def break_at(piece: str, room: int) -> int:
    """Where to break what does not fit: after a line, else a word, else anywhere."""
    if len(piece) <= room:
        return len(piece)
    end = max(piece.rfind("\n", 0, room), piece.rfind(" ", 0, room)) + 1
    return end or max(room, 0)


def seam(text: str) -> tuple[str, str]:
    """What closes a code fence that is open at the end of `text`, and what opens it again elsewhere; else nothing."""
    closed = split(text, len(text) + 100)[0][len(text) :] if text else ""
    if not (run := closed.strip()):
        return "", ""
    languages: list[str] = re.findall(rf"^[ \t]*(?:[-*+]|\d+[.)])?[ \t]*{run}([\w+#.-]*)", text, re.MULTILINE)
    return f"\n{run}", f"{run}{languages[-1] if languages else ''}\n"
