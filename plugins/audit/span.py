"""Points in time as moderators type them. All of them are in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from bot import UserError

AGO = re.compile(r"(?P<count>[0-9]{1,4})\s*(?P<unit>[mhdw])", re.IGNORECASE)
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
DAY = timedelta(days=1)
ZONE = re.compile(r"\s*(?:UTC|Z)\Z", re.IGNORECASE)


def span(since: str | None, until: str | None, now: datetime) -> tuple[datetime | None, datetime | None]:
    """When it begins, and when it is over; a day that ends it is in it as a whole. Raises UserError."""
    first = None if since is None else _read("since", since, now)[0]
    last = None
    if until is not None:
        last = _read("until", until, now)[1]
    if first is not None and last is not None and first >= last:
        raise UserError("since must be before until; it is not: {since}, {until}.", since=since, until=until)
    return first, last


def _read(name: str, text: str, now: datetime) -> tuple[datetime, datetime]:
    """The time; twice, or of a whole day when it begins and when it is over."""
    if ago := AGO.fullmatch(text.strip()):
        moment = now - int(ago["count"]) * UNITS[ago["unit"].lower()]
        return moment, moment
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
