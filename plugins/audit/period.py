"""The period that /audit shows, as moderators type its beginning and its end. All times are in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from bot import UserError
from plugins.shared.times import parse_duration

MAX_AGE = timedelta(weeks=9999)
DAY = timedelta(days=1)
ZONE = re.compile(r"\s*(?:UTC|Z)\Z", re.IGNORECASE)


def parse_period(since: str | None, until: str | None, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Return the first moment of the period and the moment after its last one.

    A day that ends the period belongs to it as a whole. Raises UserError for malformed times.
    """
    start = None if since is None else _parse_time("since", since, now)[0]
    end = None if until is None else _parse_time("until", until, now)[1]
    if start is not None and end is not None and start >= end:
        raise UserError("since must be before until; it is not: {since}, {until}.", since=since, until=until)
    return start, end


def _parse_time(name: str, text: str, now: datetime) -> tuple[datetime, datetime]:
    """Return the beginning and the end of a day, or a point in time twice."""
    age = parse_duration(text)
    if age is not None and age <= MAX_AGE:
        return now - age, now - age
    plain = ZONE.sub("", text.strip())
    try:
        read = datetime.fromisoformat(plain)
        read = read.replace(tzinfo=read.tzinfo or UTC).astimezone(UTC)
        return read, read + DAY if len(plain) <= len("2026-03-31") else read
    except (ValueError, OverflowError):
        sentence = (
            "{name} must be a day such as 2026-03-31, a time such as 2026-03-31 14:30 (UTC), or how long ago it was, "
            "such as 30m, 3h, 7d or 2w; you gave “{text}”."
        )
        raise UserError(sentence, name=name, text=text[:60]) from None
