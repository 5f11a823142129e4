"""The measured speed of a queue."""

import pytest

from model_server.jobs import Finished
from model_server.scheduling.throughput import DECAY_SECONDS, ThroughputMeter


def test_the_rate_only_counts_busy_time() -> None:
    throughput = ThroughputMeter()
    throughput.tick(0.0, 0, busy=True)
    for second in range(1, 11):
        throughput.tick(float(second), 20, busy=second < 10)
    throughput.tick(1000.0, 0, busy=True)
    throughput.tick(1001.0, 20, busy=True)
    assert throughput.tokens_per_second == pytest.approx(20, rel=0.05)


def test_the_rate_follows_the_recent_past() -> None:
    throughput = ThroughputMeter()
    throughput.tick(0.0, 0, busy=True)
    for second in range(1, 1 + int(10 * DECAY_SECONDS)):
        throughput.tick(float(second), 100 if second < 5 * DECAY_SECONDS else 10, busy=True)
    assert throughput.tokens_per_second == pytest.approx(10, rel=0.1)


def test_means_move_towards_the_newest() -> None:
    throughput = ThroughputMeter()
    for name, prompt, tokens, cached, seconds in (
        ("a", 30, 100, 0, 2.0),
        ("b", 10, 200, 10, 4.0),
        ("dial", 0, 0, 0, 2.0),
    ):
        before = throughput.expected_output_tokens
        throughput.record_finished(Finished(name, "stop", prompt, tokens, cached), seconds)
    assert throughput.prefix_hit_rate == 0.25
    assert throughput.mean_seconds == pytest.approx(2.32)
    # What writes nothing, such as a dial, says nothing of how long answers are.
    assert throughput.expected_output_tokens == before == pytest.approx(120)
