from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from model_server.files.sources import Sources, StoppedError

if TYPE_CHECKING:
    from pathlib import Path


def nobody(*_: object) -> None:
    """Ignore the progress of a child process."""


def test_a_child_process_that_reports_a_full_disk_raises_enospc(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text("[1]")
    with pytest.raises(OSError, match="No space left on device"):
        Sources(threading.Event()).run_module(["json.tool", str(tmp_path / "in.json"), "/dev/full"], tmp_path, nobody)


def test_the_result_of_a_child_process_has_its_last_line(tmp_path: Path) -> None:
    ended = Sources(threading.Event()).run_module(["json.tool", str(tmp_path / "none.json")], tmp_path, nobody)
    assert ended.status == 2
    assert "No such file" in ended.last


def test_a_child_process_imports_no_modules_from_its_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    assert Sources(threading.Event()).run_module(["json.tool", "--help"], tmp_path, nobody).status == 0


def test_stopping_ends_a_child_process(tmp_path: Path) -> None:
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(StoppedError):
        Sources(stopping).run_module(["http.server", "0", "--bind", "127.0.0.1"], tmp_path, nobody)
