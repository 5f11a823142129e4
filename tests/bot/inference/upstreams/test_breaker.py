import pytest

from bot.inference.upstreams import breaker
from bot.inference.upstreams.breaker import Breaker


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as a list of one number."""
    now = [100.0]
    monkeypatch.setattr(breaker.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(breaker.random, "random", lambda: 0.0)
    return now


def test_each_failure_doubles_the_pause_up_to_a_minute(clock: list[float]) -> None:
    tried = Breaker()
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        tried.record_failure()
        clock[0] += pause - 0.01
        assert tried.is_open
        clock[0] += 0.02
        assert not tried.is_open


def test_after_a_pause_one_request_is_a_trial(clock: list[float]) -> None:
    tried = Breaker()
    tried.record_failure()
    clock[0] += 1.01
    assert not tried.is_open
    tried.begin()
    assert tried.is_open
    tried.record_success()
    tried.begin()
    assert not tried.is_open


def test_failures_at_the_same_time_are_one(clock: list[float]) -> None:
    tried = Breaker()
    for _ in range(7):
        tried.record_failure()
    clock[0] += 1.01
    assert not tried.is_open


def test_a_longer_pause_may_be_asked_for(clock: list[float]) -> None:
    tried = Breaker()
    tried.record_failure(retry_after=120)
    clock[0] += 119
    assert tried.is_open
    tried.record_failure(retry_after=10**9)
    clock[0] += 601
    assert not tried.is_open
