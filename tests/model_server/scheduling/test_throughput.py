"""Figures about a lane's work."""

import pytest

from model_server.jobs import Finished
from model_server.scheduling.throughput import MEMORY_SECONDS, ThroughputMeter


def test_nothing_is_known_before_anything_happened() -> None:
    meter = ThroughputMeter()
    assert (meter.mean_seconds, meter.tokens_per_second, meter.prefix_hit_rate) == (None, None, None)
    assert meter.usual_output > 0


def test_the_rate_counts_time_at_work_and_no_other() -> None:
    meter = ThroughputMeter()
    meter.tick(0.0, 0, busy=True)
    for second in range(1, 11):
        meter.tick(float(second), 20, busy=second < 10)
    meter.tick(1000.0, 0, busy=True)
    meter.tick(1001.0, 20, busy=True)
    assert meter.tokens_per_second == pytest.approx(20, rel=0.05)


def test_the_rate_follows_what_happens_now() -> None:
    meter = ThroughputMeter()
    meter.tick(0.0, 0, busy=True)
    for second in range(1, 1 + int(10 * MEMORY_SECONDS)):
        meter.tick(float(second), 100 if second < 5 * MEMORY_SECONDS else 10, busy=True)
    assert meter.tokens_per_second == pytest.approx(10, rel=0.1)


def test_means_move_towards_the_newest() -> None:
    meter = ThroughputMeter()
    meter.finished(Finished("a", "stop", 10, 100), 2.0)
    assert (meter.mean_seconds, meter.usual_output) == (2.0, 100)
    meter.finished(Finished("b", "stop", 10, 200), 4.0)
    assert 2.0 < meter.mean_seconds < 4.0
    assert 100 < meter.usual_output < 200


def test_what_writes_nothing_says_nothing_of_how_much_is_written() -> None:
    meter = ThroughputMeter()
    meter.finished(Finished("a", "stop", 10, 100), 2.0)
    meter.finished(Finished("dial", "length", 10, 0), 2.0)
    assert meter.usual_output == 100


def test_the_hit_rate_is_of_all_prompt_tokens() -> None:
    meter = ThroughputMeter()
    meter.finished(Finished("a", "stop", 30, 1, 0), 1.0)
    meter.finished(Finished("b", "stop", 10, 1, 10), 1.0)
    assert meter.prefix_hit_rate == 0.25
