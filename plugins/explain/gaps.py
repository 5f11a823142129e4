"""What teachers should know: questions that no lesson answers, and answers that did not help. Nobody's name is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot import Store

LONGEST = 200
"""Characters that are kept of a question."""
MOST = 500
"""How many different ones are kept of each kind; those that nobody asked lately make way."""
SCOPES = "gaps"
"""Where it is noted in which scopes something is counted."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A question or a heading, how often it came up, and when it did last."""

    text: str
    count: int
    last: datetime


class Gaps:
    """Counts per server. What did not come up for `days` is forgotten, at the latest by the next `forget_old`."""

    def __init__(self, store: Store, days: float) -> None:
        self._store = store
        self._days = days

    async def asked(self, server: str, question: str) -> None:
        """Count a question that the lessons do not answer."""
        await self._count(f"asked:{server}", question)

    async def unhelpful(self, server: str, heading: str) -> None:
        """Count an answer that did not help, by where it stands."""
        await self._count(f"unhelpful:{server}", heading)

    async def forget(self, server: str, question: str) -> None:
        """Count a question once less, and not at all if nobody else asked it."""
        key, scope = _key(question), f"asked:{server}"
        row = await self._store.get(key, scope=scope)
        if row is None or row["count"] <= 1:
            await self._store.delete(key, scope=scope)
        else:
            await self._store.change(key, lambda kept: kept | {"count": kept["count"] - 1}, scope=scope)

    async def listed(self, server: str) -> tuple[list[Gap], list[Gap]]:
        """Questions, and headings, the most frequent first."""
        return await self._of(f"asked:{server}"), await self._of(f"unhelpful:{server}")

    async def forget_old(self) -> None:
        """Forget what is too old, of all servers."""
        for scope in await self._store.items(scope=SCOPES):
            await self._forget(scope)

    async def _count(self, scope: str, text: str) -> None:
        shown = _shown(text)

        def one_more(row: dict[str, Any] | None) -> dict[str, Any]:
            count = row["count"] + 1 if row else 1
            return {"text": shown, "count": count, "last": datetime.now(UTC).isoformat()}

        # First, so that nothing can be counted where nobody looks for what is old.
        await self._store.set(scope, True, scope=SCOPES)
        await self._store.change(_key(text), one_more, scope=scope)
        await self._forget(scope)

    async def _forget(self, scope: str) -> None:
        rows = await self._store.items(scope=scope)
        oldest = datetime.now(UTC) - timedelta(days=self._days)
        by_age = sorted(rows, key=lambda key: rows[key]["last"], reverse=True)
        gone = [key for place, key in enumerate(by_age) if place >= MOST or _gap(rows[key]).last < oldest]
        if gone:
            await self._store.delete(*gone, scope=scope)

    async def _of(self, scope: str) -> list[Gap]:
        # Again, for what was counted before any of this was noted.
        await self._store.set(scope, True, scope=SCOPES)
        await self._forget(scope)
        found = [_gap(row) for row in (await self._store.items(scope=scope)).values()]
        return sorted(found, key=lambda gap: (-gap.count, -gap.last.timestamp()))


def _shown(text: str) -> str:
    return " ".join(text.split())[:LONGEST]


def _key(text: str) -> str:
    """What counts as the same question."""
    return _shown(text).casefold().rstrip("?!. ")


def _gap(row: dict[str, Any]) -> Gap:
    return Gap(row["text"], row["count"], datetime.fromisoformat(row["last"]))
