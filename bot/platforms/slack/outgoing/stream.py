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

MAX_STREAM_SECONDS = 230.0
"""Slack ends a stream after about five minutes; it is followed by another one before four."""


class Stream:
    """One message that is open. `text` is what it shows."""

    def __init__(self, api: SlackApi, channel: str, ts: str, text: str) -> None:
        self.ts = ts
        self.text = text
        self._api = api
        self._channel = channel
        self._started_at = time.monotonic()

    @classmethod
    async def open(cls, api: SlackApi, place: AnswerPlace, team: str, text: str) -> Self:
        """Open a message in the thread. Raises SlackError."""
        ts = await api.start_stream(place.channel, place.thread, text, user=place.user, team=team)
        return cls(api, place.channel, ts, text)

    @property
    def is_old(self) -> bool:
        """Whether another one must follow."""
        return time.monotonic() - self._started_at > MAX_STREAM_SECONDS

    @property
    def remaining(self) -> int:
        """How many characters it still takes."""
        return LIMITS.characters - len(self.text)

    async def append(self, piece: str) -> None:
        """Append a piece. Raises StreamEnded if Slack has ended it."""
        await self._api.append_stream(self._channel, self.ts, piece)
        self.text += piece

    async def close(self, piece: str = "", below: Sequence[dict[str, Any]] = ()) -> None:
        """Append the last piece, put `below` under it, and close the message. Raises StreamEnded if it was."""
        await self._api.stop_stream(self._channel, self.ts, piece, below)
        self.text += piece


def find_break(piece: str, limit: int) -> int:
    """Where to break what does not fit: after a line, else a word, else anywhere."""
    if len(piece) <= limit:
        return len(piece)
    end = max(piece.rfind("\n", 0, limit), piece.rfind(" ", 0, limit)) + 1
    return end or max(limit, 0)


def fence_seam(text: str) -> tuple[str, str]:
    """What closes a code fence that is open at the end of `text`, and what opens it again elsewhere; else nothing."""
    closed = split(text, len(text) + 100)[0][len(text) :] if text else ""
    if not (run := closed.strip()):
        return "", ""
    languages: list[str] = re.findall(rf"^[ \t]*(?:[-*+]|\d+[.)])?[ \t]*{run}([\w+#.-]*)", text, re.MULTILINE)
    return f"\n{run}", f"{run}{languages[-1] if languages else ''}\n"
