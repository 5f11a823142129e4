"""Whether the soak notices what grows, and a short form of it."""

import tempfile
from pathlib import Path

import pytest
from quality.soak import MEMORY, VISITORS, Amount, compare, soak


def test_what_grows_in_the_second_half_is_named() -> None:
    samples = [{("bot", "memory, MB"): 100.0 + 2 * place, ("bot", "tasks"): 30.0} for place in range(12)]
    [memory, tasks] = compare(samples)
    assert memory.complaint.startswith("memory, MB of the bot: 120.0 in the last quarter is 11.1 % more than 108.0")
    assert not tasks.complaint


@pytest.mark.load
def test_nothing_is_left_behind_by_answers() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(soak(Amount(explain=160, ask=40, rounds=8), Path(folder)))
    assert {row.program for row in rows} >= {"bot", "model server"}
    # Memory says nothing after so few answers.
    grown = {row: row.quarters[3] - row.quarters[1] for row in rows if row.figure != MEMORY}
    assert {"open files", "threads", "tasks"} == {row.figure for row in grown}
    # There are four rounds from the second quarter to the last. A pool may grow a little; each visitor leaves nothing.
    assert not [row for row, more in grown.items() if more >= 4 * VISITORS]
