"""What the log of a running bot looks like where others wrote a part of it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from bot.__main__ import _set_up_logging

FORGED = "2026-03-31 14:30:05,000 ERROR   bot: the key is k"
log = logging.getLogger("bot.test")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the log of a running bot gets, from its own handlers alone; as JSON if that is the fixture's parameter."""
    as_json = getattr(request, "param", "") == "json"
    monkeypatch.setenv("TEMPERA_LOG__FORMAT", "")
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    monkeypatch.setattr("sys.stderr", stream)
    _set_up_logging("info", as_json=as_json)
    try:
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_a_name_forges_no_line(written: io.StringIO, end: str) -> None:
    log.warning("The lesson “%s” is left out.", f"pets{end}{FORGED}")
    first, *further = written.getvalue().splitlines()
    assert " WARNING bot.test: The lesson “pets" in first
    assert all(line.startswith("  ") for line in further)


def test_a_name_does_not_command_the_terminal(written: io.StringIO) -> None:
    log.warning("%s has signed in.", "Eve\x1b[2J\x9b2J\x07")
    assert written.getvalue().endswith("Eve\\x1b[2J\\x9b2J\\x07 has signed in.\n")


def test_the_sentence_of_an_error_is_told_apart_from_other_lines(written: io.StringIO) -> None:
    log.error("It failed", exc_info=ValueError(f"bad \x1b[2J\n{FORGED}"))
    first, *trace = written.getvalue().splitlines()
    assert first.endswith(" ERROR   bot.test: It failed")
    assert trace == ["  ValueError: bad \\x1b[2J", f"  {FORGED}"]


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_as_json_a_line_is_an_object_with_the_number_that_the_user_sees(written: io.StringIO) -> None:
    try:
        int(FORGED)
    except ValueError:
        log.exception("Error %s in /ask\n%s", "1a2b", FORGED, extra={"number": "1a2b"})
    (line,) = written.getvalue().splitlines()
    record = json.loads(line)
    assert (record["level"], record["logger"], record["number"]) == ("ERROR", "bot.test", "1a2b")
    assert FORGED in record["message"]
    assert "ValueError" in record["exc_info"]
    assert record["time"]
