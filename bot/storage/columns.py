"""Types of columns that both database systems store alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import DateTime, Text
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy import Dialect


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, stored and returned in UTC, since SQLite stores no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a value to UTC before it is stored."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Add the time zone to a stored value."""
        return None if value is None else value.replace(tzinfo=UTC)


class CleanText(TypeDecorator[str]):
    """Text without what databases reject: half a surrogate pair becomes a question mark, and NUL is removed."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Clean a value before it is stored."""
        return None if value is None else value.replace("\0", "").encode("utf-8", "replace").decode()
