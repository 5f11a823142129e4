from __future__ import annotations

import io
from typing import TYPE_CHECKING

from model_server.files.progress import Bars, Lines

if TYPE_CHECKING:
    import pytest


def test_a_line_is_written_for_new_work_and_then_every_few_seconds() -> None:
    out = io.StringIO()
    clock = [0.0]
    lines = Lines(out, lambda: clock[0])
    for clock[0], what, done, total in [
        (0.0, "fetching a", 0, 200),
        (1.0, "fetching a", 50, 200),
        (6.0, "fetching a", 100, 200),
        (6.1, "checking a", 200, 200),
        (6.2, "fetching some/model", 1500, None),
        (6.3, "waiting for another process", 0, None),
    ]:
        lines.update(what, done, total)
    assert out.getvalue().splitlines() == [
        "fetching a: 0%",
        "fetching a: 50%",
        "checking a: 100%",
        "fetching some/model: 2 kB",
        "waiting for another process",
    ]


def test_each_piece_of_work_has_its_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.update("waiting for another process", 0, None)
        bars.update("fetching a", 0, 2_000_000)
        bars.update("fetching a", 2_000_000, 2_000_000)
        bars.update("converting a", 4, 4)
    shown = capsys.readouterr().err
    assert "waiting for another process (" in shown
    assert "fetching a: 100%" in shown
    assert "2.00M/2.00M" in shown
    assert "step 4 of 4" in shown
