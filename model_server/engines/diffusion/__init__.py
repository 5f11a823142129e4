"""Pictures out of noise: which of the two diffusion engines opens a folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from model_server.engines.contract import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.engines.contract import Engine, EngineSpec

INDEX = "model_index.json"
OFFLOADS = ("none", "model", "sequential")
PLAIN_UNET = ("time_cond_proj_dim", "class_embed_type", "encoder_hid_dim_type")
"""What the UNet of a plain Stable Diffusion does without."""
PLAIN_ADDITIONS = (None, "text")
"""What it may add to the step: of the text's states as a whole, as DeepFloyd IF does, which needs no further input."""


def open_engine(spec: EngineSpec) -> Engine:
    """The engine for the pipeline in `spec.folder`: step by step for a plain Stable Diffusion, else call by call.

    Raises Misconfigured for a folder that holds no pipeline and for wrong options.
    """
    quieten()
    if spec.options.get("offload", "none") not in OFFLOADS:
        raise Misconfigured(f"The option offload of {spec.name} must be one of {', '.join(OFFLOADS)}.")
    if is_plain(spec):
        from model_server.engines.diffusion.batched_engine import BatchedEngine

        return BatchedEngine(spec)
    from model_server.engines.diffusion.pipeline_engine import PipelineEngine

    return PipelineEngine(spec)


def quieten() -> None:
    """Keep what libraries say of their own out of the log: bars, and advice for programmers."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def is_plain(spec: EngineSpec) -> bool:
    """Whether the folder is a Stable Diffusion without additions, which can be computed row by row.

    What is brought to the graphics card or decoded in parts only works in the pipeline's own way.
    """
    from model_server.engines.diffusion.solver import PREDICTIONS, SCHEDULERS

    index = _read(spec.folder / INDEX)
    if index is None:
        raise Misconfigured(f"{spec.name} should be a folder that diffusers opens, with {INDEX}.")
    in_parts = spec.options.get("offload", "none") != "none" or any(map(spec.options.get, ("slicing", "tiling")))
    if in_parts or index.get("_class_name") != "StableDiffusionPipeline":
        return False
    checked = index.get("safety_checker") or [None]
    scheduler = _read(spec.folder / "scheduler" / "scheduler_config.json") or {}
    unet = _read(spec.folder / "unet" / "config.json") or {}
    return (
        checked[0] is None
        and scheduler.get("_class_name") in SCHEDULERS
        and scheduler.get("prediction_type", "epsilon") in PREDICTIONS
        and not scheduler.get("thresholding")
        and not any(unet.get(key) for key in PLAIN_UNET)
        and unet.get("addition_embed_type") in PLAIN_ADDITIONS
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    return content
