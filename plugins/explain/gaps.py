"""Counts gaps in the lessons: questions without an answer, and answers that did not help. It stores no names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot import Store

MAX_CHARACTERS = 200
"""The longest text that is stored; a longer question is cut."""
MAX_GAPS = 500
"""Gaps of each kind that a server keeps; those that came up longest ago are deleted."""
SCOPES_SCOPE = "gaps"
"""The scope whose keys are all scopes that have counts."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A question or a heading, how often it came up, and when it last did."""

    text: str
    count: int
    last: datetime


class Gaps:
    """The gaps of each server. `forget_old` deletes those that did not come up for `days`."""

    def __init__(self, store: Store, days: float) -> None:
        self._store = store
        self._days = days

    async def count_question(self, server: str, question: str) -> None:
        """Count a question that the lessons do not answer."""
        await self._count(f"asked:{server}", question)

    async def count_unhelpful(self, server: str, heading: str) -> None:
        """Count an answer that did not help, by its lesson and headings."""
        await self._count(f"unhelpful:{server}", heading)

    async def forget_question(self, server: str, question: str) -> None:
        """Count a question once less, and delete it if nobody else asked it."""
        key, scope = _key_of(question), f"asked:{server}"

        def count_less(row: dict[str, Any] | None) -> dict[str, Any]:
            if row is None:
                raise LookupError(key)
            return row | {"count": row["count"] - 1}

        with suppress(LookupError):
            left = await self._store.change(key, count_less, scope=scope)
            if left["count"] <= 0:
                await self._store.delete(key, scope=scope)

    async def forget_answered(self, server: str, is_answered: Callable[[str], Awaitable[bool]]) -> None:
        """Delete the questions that are answered by now."""
        for gap in await self._list(f"asked:{server}"):
            if await is_answered(gap.text):
                await self._store.delete(_key_of(gap.text), scope=f"asked:{server}")

    async def list_gaps(self, server: str) -> tuple[list[Gap], list[Gap]]:
        """Return the questions and the headings, each list with the most frequent first."""
        return await self._list(f"asked:{server}"), await self._list(f"unhelpful:{server}")

    async def forget_old(self) -> None:
        """Delete the old gaps of all servers."""
        for scope in await self._store.items(scope=SCOPES_SCOPE):
            await self._delete_old(scope)

    async def _count(self, scope: str, text: str) -> None:
        def add_one(row: dict[str, Any] | None) -> dict[str, Any]:
            count = row["count"] + 1 if row else 1
            return {"text": _shorten(text), "count": count, "last": datetime.now(UTC).isoformat()}

        # The scope is stored first, so that `forget_old` finds every count.
        await self._store.set(scope, True, scope=SCOPES_SCOPE)
        await self._store.change(_key_of(text), add_one, scope=scope)
        await self._delete_old(scope)

    async def _delete_old(self, scope: str) -> None:
        rows = await self._store.items(scope=scope)
        oldest = datetime.now(UTC) - timedelta(days=self._days)
        newest_first = sorted(rows, key=lambda key: rows[key]["last"], reverse=True)
        old = [key for place, key in enumerate(newest_first) if place >= MAX_GAPS or _gap(rows[key]).last < oldest]
        if old:
            await self._store.delete(*old, scope=scope)

    async def _list(self, scope: str) -> list[Gap]:
        # Earlier versions of Tempera counted without storing the scope.
        await self._store.set(scope, True, scope=SCOPES_SCOPE)
        await self._delete_old(scope)
        gaps = [_gap(row) for row in (await self._store.items(scope=scope)).values()]
        return sorted(gaps, key=lambda gap: (-gap.count, -gap.last.timestamp()))


def _shorten(text: str) -> str:
    return " ".join(text.split())[:MAX_CHARACTERS]


def _key_of(text: str) -> str:
    """Return the key of a question, which is the same for questions that count as one."""
    return _shorten(text).casefold().rstrip("?!. ")


def _gap(row: dict[str, Any]) -> Gap:
    return Gap(row["text"], row["count"], datetime.fromisoformat(row["last"]))
