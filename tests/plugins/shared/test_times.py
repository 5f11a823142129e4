from datetime import timedelta

import pytest

from plugins.shared.times import parse_duration


@pytest.mark.parametrize(
    ("typed", "minutes"),
    [
        ("10m", 10),
        ("2h", 120),
        ("1d 12h", 2160),
        ("3 Tage", 4320),
        ("1h30m", 90),
        ("4w", 40320),
        ("90 MIN", 90),
        ("2 días", 2880),
        ("1 di\u0301a", 1440),
    ],
)
def test_durations_are_read_in_every_language(typed: str, minutes: int) -> None:
    assert parse_duration(typed) == timedelta(minutes=minutes)


@pytest.mark.parametrize("typed", ["", "10", "soon", "-5m", "10s", "10m later", "2026-03-31", "2026W14"])
def test_other_texts_are_no_duration(typed: str) -> None:
    assert parse_duration(typed) is None
