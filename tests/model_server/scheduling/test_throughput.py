"""The measured speed of a queue."""

import pytest

from model_server.jobs import Finished
from model_server.scheduling.throughput import DECAY_SECONDS, ThroughputMeter


def test_before_the_first_job_there_are_no_figures() -> None:
    throughput = ThroughputMeter()
    assert (throughput.mean_seconds, throughput.tokens_per_second, throughput.prefix_hit_rate) == (None, None, None)
    assert throughput.expected_output_tokens > 0


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
    throughput.record_finished(Finished("a", "stop", 10, 100), 2.0)
    assert (throughput.mean_seconds, throughput.expected_output_tokens) == (2.0, 100)
    throughput.record_finished(Finished("b", "stop", 10, 200), 4.0)
    assert 2.0 < throughput.mean_seconds < 4.0
    assert 100 < throughput.expected_output_tokens < 200


def test_jobs_without_text_do_not_change_the_expected_output() -> None:
    throughput = ThroughputMeter()
    throughput.record_finished(Finished("a", "stop", 10, 100), 2.0)
    throughput.record_finished(Finished("dial", "length", 10, 0), 2.0)
    assert throughput.expected_output_tokens == 100


def test_the_hit_rate_is_of_all_prompt_tokens() -> None:
    throughput = ThroughputMeter()
    throughput.record_finished(Finished("a", "stop", 30, 1, 0), 1.0)
    throughput.record_finished(Finished("b", "stop", 10, 1, 10), 1.0)
    assert throughput.prefix_hit_rate == 0.25
