"""Numbered changes: each process learns from one number whether others changed something, and reads only that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.database import Base

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import InstrumentedAttribute

SETTINGS, DEFAULTS = "settings", "defaults"
"""The kinds of rows whose changes are numbered."""


class ChangeRow(Base):
    """How often rows of a kind were changed. `removed` is the number of the last change that removed one."""

    __tablename__ = "changes"

    kind: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    removed: Mapped[int]


async def number_change(session: AsyncSession, kind: str, *, removes: bool = False) -> int:
    """Return the number of a change that is made in the same transaction. Rows that it writes get this number."""
    row = await session.get(ChangeRow, kind)
    if row is None:
        row = ChangeRow(kind=kind, number=0, removed=0)
        session.add(row)
    row.number += 1
    if removes:
        row.removed = row.number
    return row.number


class ChangeReader:
    """Reads what changed among the rows of a kind since it read last."""

    def __init__(self, kind: str, column: InstrumentedAttribute[int]) -> None:
        """`column` has the number of the change that last wrote a row."""
        self._kind = kind
        self._column = column
        self._seen: int | None = None

    def skip(self, number: int) -> None:
        """Do not read the change with this number, which this process made, unless others made some before it."""
        if self._seen == number - 1:
            self._seen = number

    async def read(self, session: AsyncSession, query: Select[Any]) -> tuple[Sequence[Any], bool]:
        """Return those rows of `query` that changed, and whether they are all rows, since some may be gone."""
        known = await session.execute(select(ChangeRow.number, ChangeRow.removed).where(ChangeRow.kind == self._kind))
        number, removed = known.one_or_none() or (0, 0)
        seen = self._seen
        if seen == number:
            return (), False
        # A number that is smaller than before is that of a database that was restored.
        is_whole = seen is None or seen < removed or number < seen
        rows = (await session.scalars(query if is_whole else query.where(self._column > seen))).all()
        self._seen = number
        return rows, is_whole
