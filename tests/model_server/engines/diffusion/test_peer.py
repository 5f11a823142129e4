"""What the benchmark compares with: the same work, and nothing of ours around it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model_server.engines.contract import EngineSpec
from model_server.engines.diffusion.peer import TRIES, BarePipeline


@pytest.fixture(scope="module")
def peer(plain: Path) -> BarePipeline:
    return BarePipeline(EngineSpec(name="tiny", engine="diffusion", folder=plain, device="cpu", dtype="float32"))


@pytest.fixture
def passes(peer: BarePipeline, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each pass of the network."""
    seen: list[int] = []
    for pipe in peer._pipes.values():
        forward = pipe.unet.forward

        def counted(rows: torch.Tensor, *rest: Any, forward: Any = forward, **more: Any) -> Any:
            seen.append(len(rows))
            return forward(rows, *rest, **more)

        monkeypatch.setattr(pipe.unet, "forward", counted)
    return seen


def test_the_bare_loop_takes_every_step_with_guidance(peer: BarePipeline, passes: list[int]) -> None:
    answer = peer.answer({"what": "loop", "prompt": "a cat", "seed": 1, "steps": 7, "guidance": 3.0})
    assert answer["seconds"] > 0
    assert passes == [2] * 7


@pytest.mark.parametrize("dtype", ["default", "served"])
def test_the_pipeline_draws_one_after_the_other(peer: BarePipeline, passes: list[int], dtype: str) -> None:
    asked = {"what": "stock", "dtype": dtype, "prompts": ["a cat", "a dog"], "steps": 3, "guidance": 3.0}
    assert peer.answer(asked)["seconds"] > 0
    assert passes == [2] * 6


def test_a_pass_of_so_many_rows(peer: BarePipeline, passes: list[int]) -> None:
    seconds = peer.answer({"what": "passes", "rows": [2, 16]})["seconds"]
    assert len(seconds) == 2
    assert passes == [2] * TRIES + [16] * TRIES
