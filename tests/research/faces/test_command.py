"""`python -m research.train duel` and `judge duel` work with tiny networks and a few faces."""

from pathlib import Path

import numpy as np
import pytest
from fakes.engines.duel_files import TINY

from model_server.engines.contract import EngineSpec
from model_server.engines.factory import create
from research.faces import command, judge
from research.faces.faces import Face, FaceCollection
from research.judge import main as run_judge
from research.train import main as run_train


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The training folder."""

    def make_faces(count: int, red: int) -> list[Face]:
        pictures = np.full((count, 64, 64, 4), 255, np.uint8)
        pictures[..., 0] = red
        pictures[..., 1] = np.arange(count, dtype=np.uint8)[:, None, None] * 20
        return [Face(f"{red}-{number}", "face", "noto", picture) for number, picture in enumerate(pictures)]

    monkeypatch.setenv("TEMPERA_CACHE", str(tmp_path / "cache"))
    collection = FaceCollection(make_faces(6, 200), make_faces(3, 100), make_faces(3, 50))
    for module in (command, judge):
        monkeypatch.setattr(module, "read_faces", lambda *_: collection)
    monkeypatch.setattr(command, "Sizes", lambda: TINY)
    monkeypatch.setattr(command, "BROKEN_STEPS", 4)
    monkeypatch.setattr(judge, "SAMPLES", 70)
    return tmp_path / "cache" / "training" / "emoji-faces"


def test_it_trains_exports_and_judges(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    for name, main in (("train", run_train), ("judge", run_judge)):
        assert main(["--threads", "1", "duel"]) == 1
        assert f"python -m research.{name} duel --threads" in capsys.readouterr().err
    assert run_judge(["duel", "--from", str(out)]) == 1
    assert "should hold the networks" in capsys.readouterr().err
    assert run_train(["duel", "--export", str(out)]) == 1
    assert "The training is not complete" in capsys.readouterr().err
    assert run_train(["duel", "--pictures", "160", "--threads", "1"]) == 0
    assert "Done: 10 steps." in capsys.readouterr().out
    assert run_train(["duel", "--pictures", "160", "--threads", "1"]) == 0
    assert run_train(["duel", "--pictures", "160", "--export", str(out)]) == 0
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run_train(["duel", "--pictures", "160", "--export", str(out)]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    assert run_train(["duel", "--pictures", "320", "--threads", "1"]) == 1
    assert "began after 4 steps of another training" in capsys.readouterr().err
    assert run_train(["duel", "--pictures", "320", "--export", str(out)]) == 1
    create(EngineSpec(name="emoji-faces", engine="duel", folder=out)).load()
    assert run_judge(["duel", "--from", str(out), "--out", str(tmp_path / "judged"), "--threads", "1"]) == 0
    report = (tmp_path / "judged" / "report.md").read_text("utf-8")
    assert report.count("\n| 160 | ") == 1
    assert "| held out, real |" in report
    assert (tmp_path / "judged" / "detective.svg").read_text("utf-8").count("<polyline") == 3
    assert (tmp_path / "judged" / "faces.png").is_file()


def test_variety_does_not_count_copies() -> None:
    learnt = np.stack([np.full((64, 64, 3), value, np.uint8) for value in (0, 80, 160)])
    copies = judge.measure_variety(learnt[[0, 0, 1]], learnt)
    assert (copies.nearest, copies.copies) == (0, 1)
    others = judge.measure_variety(np.stack([np.full((64, 64, 3), value, np.uint8) for value in (40, 120)]), learnt)
    assert others.nearest == pytest.approx(80 / 255, abs=1e-3)
    assert others.learnt == pytest.approx(40 / 255, abs=1e-3)
    assert others.copies == 0
