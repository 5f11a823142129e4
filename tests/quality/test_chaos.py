"""A short form of `make chaos`, and what the program that judges a run takes for a broken promise."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from quality.chaos.__main__ import Plan, run
from quality.chaos.disturbances import DISTURBANCES
from quality.chaos.ledger import UNDISTURBED, Asked, Ledger, Seen, as_markdown


def row(number: int, role: str, state: str = "done", parent: int | None = None, text: str = "") -> dict[str, Any]:
    return {"id": number, "role": role, "text": text, "options": "{}", "state": state, "parent": parent}


def asked(ledger: Ledger, seen: Seen) -> Asked:
    """Note a request that was acknowledged and has ended, of which its person sees this."""
    made = ledger.open("web", "ask", "why?")
    made.acknowledged, made.look = made.sent, lambda: seen
    made.ended = made.sent * bool(seen.finals)
    return made


QUESTION = row(1, "user", text="q1x why?")


@pytest.mark.parametrize(
    ("seen", "rows", "problem"),
    [
        (Seen(1, True, {2}), [QUESTION, row(2, "assistant", parent=1)], ""),
        (Seen(1, True), [], ""),
        (Seen(0, False), [], "neither a row nor a message"),
        (Seen(0, True, {2}), [QUESTION, row(2, "assistant", "running", 1)], "no final message"),
        (Seen(1, True, {2}), [QUESTION, row(2, "assistant", "running", 1)], "no final message"),
        (Seen(1, True, {2}), [QUESTION], "which is not stored any more"),
        (Seen(1, True), [QUESTION, row(2, "assistant", parent=1), row(3, "assistant", parent=1)], "answered twice"),
        (Seen(2, True), [QUESTION, row(2, "assistant", parent=1)], "answered twice"),
    ],
)
def test_a_broken_promise_is_named(seen: Seen, rows: list[dict[str, Any]], problem: str) -> None:
    ledger = Ledger()
    asked(ledger, seen)
    table, problems = ledger.judge(rows)
    assert len(problems) == bool(problem)
    assert problem in "".join(problems)
    assert table[UNDISTURBED].acknowledged == 1


def test_one_request_may_be_answered_twice_after_a_kill() -> None:
    ledger = Ledger()
    noted = ledger.begin("kill -9 of the bot")
    for _ in range(2):
        asked(ledger, Seen(2, True)).ended += 1
        noted.ended = noted.began + 1
    table, problems = ledger.judge([])
    assert problems == ["After “kill -9 of the bot”, 2 requests were answered twice; 1 may be."]
    assert as_markdown(table).splitlines()[-1].startswith("| **all** | 1 | 2 | 2 |")


def test_an_answer_that_could_not_be_stored_before_a_kill_is_repeated_by_the_kill() -> None:
    ledger = Ledger()
    stopped = ledger.begin("PostgreSQL stopped and started")
    made = asked(ledger, Seen(2, True, {2}))
    stopped.ended = ledger.begin("kill -9 of the bot").began
    made.ended = ledger.begin("queue of the model full").began + 1
    rows = [QUESTION, row(2, "assistant", "interrupted", 1)]
    table, problems = ledger.judge(rows)
    assert not problems
    assert [name for name, tally in table.items() if tally.repeated] == ["kill -9 of the bot"]
    made.sent = made.ended - 0.5
    assert "were answered twice; 0 may be" in ledger.judge(rows)[1][0]


@pytest.mark.chaos
def test_promises_are_kept_while_everything_breaks() -> None:
    # Not in the folder of the test, into which PostgreSQL's user may not look.
    with tempfile.TemporaryDirectory(prefix="tempera-chaos-") as folder:
        Path(folder).chmod(0o755)
        plan = Plan(people=8, seconds=20, disturbances=len(DISTURBANCES), pause=2, hold=1, fake=True)
        report = asyncio.run(run(plan, Path(folder)))
    print(as_markdown(report.table))
    assert not report.problems, "\n".join(report.problems)
    assert all(tally.times == 1 for name, tally in report.table.items() if name != UNDISTURBED)
    assert sum(tally.answered for tally in report.table.values()) > 0
