from __future__ import annotations

import io

from model_server.progress import Lines


def test_lines_come_with_something_new_and_then_every_few_seconds() -> None:
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
