from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from model_server.files.sources import Sources, StoppedError

if TYPE_CHECKING:
    from pathlib import Path


def nobody(*_: object) -> None:
    """Hears how a child fares, and does nothing."""


def test_a_child_that_finds_the_disk_full_is_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text("[1]")
    with pytest.raises(OSError, match="No space left on device"):
        Sources(threading.Event()).run_module(["json.tool", str(tmp_path / "in.json"), "/dev/full"], tmp_path, nobody)


def test_a_child_ends_with_its_last_words(tmp_path: Path) -> None:
    ended = Sources(threading.Event()).run_module(["json.tool", str(tmp_path / "none.json")], tmp_path, nobody)
    assert ended.status == 2
    assert "No such file" in ended.last


def test_a_folder_in_which_it_is_started_lends_a_child_no_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    assert Sources(threading.Event()).run_module(["json.tool", "--help"], tmp_path, nobody).status == 0


def test_nothing_goes_on_after_the_stop(tmp_path: Path) -> None:
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(StoppedError):
        Sources(stopping).run_module(["http.server", "0", "--bind", "127.0.0.1"], tmp_path, nobody)
