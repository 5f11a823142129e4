"""The baseline of the benchmark does the same work as the engine."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model_server.assembly import assemble
from model_server.engines.contract import EngineSpec
from research.bench.baseline import ATTEMPTS, BarePipeline
from research.pictures.training.networks import Sizes, make_autoencoder, make_unet
from research.pictures.training.stages import export_weights


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory, sizes: Sizes, text_encoder: Path) -> BarePipeline:
    folder = tmp_path_factory.mktemp("tiny")
    export_weights(make_unet(sizes, 1), make_autoencoder(sizes, 1), folder / "weights")
    assemble(folder / "weights", text_encoder, folder / "whole")
    spec = EngineSpec(name="tiny", engine="diffusion", folder=folder / "whole", device="cpu", dtype="float32")
    return BarePipeline(spec)


@pytest.fixture
def passes(baseline: BarePipeline, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows in each forward pass."""
    seen: list[int] = []
    for pipeline in baseline._pipelines.values():
        forward = pipeline.unet.forward

        def counted(rows: torch.Tensor, *rest: Any, forward: Any = forward, **more: Any) -> Any:
            seen.append(len(rows))
            return forward(rows, *rest, **more)

        monkeypatch.setattr(pipeline.unet, "forward", counted)
    return seen


def test_the_loop_takes_every_step_with_guidance(baseline: BarePipeline, passes: list[int]) -> None:
    measured = baseline.measure({"what": "loop", "prompt": "a cat", "seed": 1, "steps": 7, "guidance": 3.0})
    assert measured["seconds"] > 0
    assert passes == [2] * 7


@pytest.mark.parametrize("dtype", ["default", "served"])
def test_the_stock_pipeline_draws_picture_after_picture(baseline: BarePipeline, passes: list[int], dtype: str) -> None:
    request = {"what": "stock", "dtype": dtype, "prompts": ["a cat", "a dog"], "steps": 3, "guidance": 3.0}
    assert baseline.measure(request)["seconds"] > 0
    assert passes == [2] * 6


def test_passes_have_the_requested_numbers_of_rows(baseline: BarePipeline, passes: list[int]) -> None:
    seconds = baseline.measure({"what": "passes", "rows": [2, 16]})["seconds"]
    assert len(seconds) == 2
    assert passes == [2] * ATTEMPTS + [16] * ATTEMPTS
