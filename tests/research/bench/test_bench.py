"""The command `python -m research.bench`."""

from pathlib import Path

import pytest

from model_server.errors import OperatorError
from research import bench
from research.bench import machine
from research.bench.machine import BenchOptions


@pytest.mark.parametrize("wrong", [["--runs", "0"], ["--threads", "0"]])
def test_options_below_one_are_refused(wrong: list[str]) -> None:
    with pytest.raises(OperatorError, match="should be at least 1"):
        bench.main(["language", *wrong])


def test_without_vllm_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.vllm.__globals__, "PROGRAM", tmp_path / "python")
    with pytest.raises(OperatorError, match=r"`make bench-vllm` does that\.$"):
        bench.main(["vllm"])


@pytest.mark.parametrize(
    ("flags", "instructions", "has_vnni"),
    [("fma avx2 avx512_vnni", None, True), ("fma avx2 avx512_vnni", "avx2", False), ("fma avx2", None, False)],
)
def test_goals_with_vnni_are_for_processors_that_have_it_and_may_use_it(
    flags: str, instructions: str | None, has_vnni: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_read_processor", lambda _: flags)
    options = BenchOptions(model="m", runs=1, threads=1, instructions=instructions)
    assert options.has_vnni() == has_vnni
    assert options.restriction == ({"TEMPERA_NATIVE": "avx2"} if instructions else {})
