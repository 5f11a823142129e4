from datetime import UTC, datetime, timedelta, timezone

import pytest

from bot import UserError
from plugins.audit.period import parse_period

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-03-30", datetime(2026, 3, 30, tzinfo=UTC)),
        ("2026-03-30 14:30", datetime(2026, 3, 30, 14, 30, tzinfo=UTC)),
        (" 2026-03-30 14:30 UTC ", datetime(2026, 3, 30, 14, 30, tzinfo=UTC)),
        ("2026-03-30T14:30:05Z", datetime(2026, 3, 30, 14, 30, 5, tzinfo=UTC)),
        ("2026-03-30T14:30+02:00", datetime(2026, 3, 30, 14, 30, tzinfo=timezone(timedelta(hours=2)))),
        ("90m", datetime(2026, 3, 31, 10, 30, tzinfo=UTC)),
        ("3H", datetime(2026, 3, 31, 9, 0, tzinfo=UTC)),
        ("7 d", datetime(2026, 3, 24, 12, 0, tzinfo=UTC)),
        ("2w", datetime(2026, 3, 17, 12, 0, tzinfo=UTC)),
    ],
)
def test_times_are_parsed(typed: str, meant: datetime) -> None:
    assert parse_period(typed, None, NOW) == (meant, None)


def test_a_period_includes_its_last_day_and_ends_at_a_time() -> None:
    assert parse_period("2026-03-30", "2026-03-30", NOW)[1] == datetime(2026, 3, 31, tzinfo=UTC)
    assert parse_period(None, "2026-03-30 14:30", NOW)[1] == datetime(2026, 3, 30, 14, 30, tzinfo=UTC)
    assert parse_period(None, "1d", NOW)[1] == datetime(2026, 3, 30, 12, 0, tzinfo=UTC)
    assert parse_period(None, None, NOW) == (None, None)


@pytest.mark.parametrize(
    "typed",
    ["yesterday", "31.03.2026", "7 parsecs", "99999d", "d", "2026-02-30", "9999-12-31", "9999-12-31T23:00-14:00"],
)
def test_malformed_times_are_refused_with_examples(typed: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_period(None, typed, NOW)
    assert str(caught.value) == (
        "until must be a day such as 2026-03-31, a time such as 2026-03-31 14:30 (UTC), or how long ago it was, such "
        f"as 30m, 3h, 7d or 2w; you gave “{typed}”."
    )
    with pytest.raises(UserError, match="since must be a day"):
        parse_period("yesterday", None, NOW)


@pytest.mark.parametrize(("since", "until"), [("1d", "2d"), ("2026-03-31", "2026-03-30")])
def test_a_period_that_ends_before_it_begins_is_refused(since: str, until: str) -> None:
    with pytest.raises(UserError, match=f"since must be before until; it is not: {since}, {until}."):
        parse_period(since, until, NOW)
