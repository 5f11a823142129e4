"""Counts in windows of time that move on."""

import time

import pytest
from fakes.core.rate_limits import Clock

from bot.access.moving_windows import MovingWindows


def test_a_use_counts_until_the_window_has_left_it_behind(clock: Clock) -> None:
    windows = MovingWindows()
    assert windows.take("ann", 2, 60)
    clock.passed = 40
    assert windows.take("ann", 2, 60)
    assert not windows.take("ann", 2, 60)
    assert (windows.count("ann", 60), round(windows.wait("ann", 2, 60))) == (2, 20)
    clock.passed = 61
    assert (windows.count("ann", 60), windows.wait("ann", 2, 60)) == (1, 0)
    assert windows.take("ann", 2, 60)
    assert windows.count("ben", 60) == 0


def test_keys_whose_uses_are_over_leave_nothing_in_memory(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.access.moving_windows.MIN_KEYS", 100)
    windows = MovingWindows()
    for number in range(1000):
        clock.passed += 60
        assert windows.take(f"visitor {number}", 1, 60)
    assert len(windows) <= 100


def test_a_wall_clock_that_is_set_back_lengthens_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    windows, began = MovingWindows(), time.time()
    assert windows.take("ann", 1, 60)
    monkeypatch.setattr(time, "time", lambda: began - 3600)
    assert 0 < windows.wait("ann", 1, 60) <= 60
