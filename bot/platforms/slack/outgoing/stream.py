"""Slack's streams: messages that can only be appended to, and that Slack closes after some minutes."""

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
"""Slack closes a stream after about five minutes; the bot begins another one before four."""


class Stream:
    """One open message. `text` is its content so far."""

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
        """True if another stream must take over, because Slack will soon close this one."""
        return time.monotonic() - self._started_at > MAX_STREAM_SECONDS

    @property
    def remaining(self) -> int:
        """Number of characters that the message still takes."""
        return LIMITS.characters - len(self.text)

    async def append(self, piece: str) -> None:
        """Append a piece. Raises StreamEnded if Slack has closed the stream."""
        await self._api.append_stream(self._channel, self.ts, piece)
        self.text += piece

    async def close(self, piece: str = "", blocks: Sequence[dict[str, Any]] = ()) -> None:
        """Append the last piece, put `blocks` below it, and close the message. Raises StreamEnded."""
        await self._api.stop_stream(self._channel, self.ts, piece, blocks)
        self.text += piece


def find_break(piece: str, limit: int) -> int:
    """Return where to break a piece that does not fit: after a line, else after a word, else at the limit."""
    if len(piece) <= limit:
        return len(piece)
    end = max(piece.rfind("\n", 0, limit), piece.rfind(" ", 0, limit)) + 1
    return end or max(limit, 0)


def fence_seam(text: str) -> tuple[str, str]:
    """Return the text that closes a code fence left open by `text`, and the text that reopens it; else "" twice."""
    closing = split(text, len(text) + 100)[0][len(text) :] if text else ""
    if not (fence := closing.strip()):
        return "", ""
    languages: list[str] = re.findall(rf"^[ \t]*(?:[-*+]|\d+[.)])?[ \t]*{fence}([\w+#.-]*)", text, re.MULTILINE)
    return f"\n{fence}", f"{fence}{languages[-1] if languages else ''}\n"
