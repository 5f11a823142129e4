"""Diffusion: two engines that draw pictures from noise, and the choice between them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from model_server.engines.contract import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.engines.contract import Engine, EngineSpec

INDEX_FILE = "model_index.json"
OFFLOAD_MODES = ("none", "model", "sequential")
UNSUPPORTED_UNET_KEYS = ("time_cond_proj_dim", "class_embed_type", "encoder_hid_dim_type")
"""Settings of a UNet that make it need further inputs, which BatchedEngine does not give it."""
SUPPORTED_ADDITION_TYPES = (None, "text")
"""Values of `addition_embed_type` without further inputs; "text" pools the embeddings, as in DeepFloyd IF."""


def open_engine(spec: EngineSpec) -> Engine:
    """Return a BatchedEngine if `spec.folder` holds a plain Stable Diffusion, else a PipelineEngine.

    Raises Misconfigured for a folder without a pipeline, and for wrong options.
    """
    silence_libraries()
    if spec.options.get("offload", "none") not in OFFLOAD_MODES:
        raise Misconfigured(f"The option offload of {spec.name} must be one of {', '.join(OFFLOAD_MODES)}.")
    if is_plain_stable_diffusion(spec):
        from model_server.engines.diffusion.batched_engine import BatchedEngine

        return BatchedEngine(spec)
    if spec.options.get("enlarger"):
        sentence = "the option enlarger is only for a plain Stable Diffusion without offload, slicing and tiling"
        raise Misconfigured(f"{spec.name} cannot be served: {sentence}.")
    from model_server.engines.diffusion.pipeline_engine import PipelineEngine

    return PipelineEngine(spec)


def silence_libraries() -> None:
    """Keep progress bars and warnings of diffusers and transformers out of the log."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def is_plain_stable_diffusion(spec: EngineSpec) -> bool:
    """Return whether the folder holds a Stable Diffusion without additions, of which BatchedEngine knows every part.

    False if options ask for offloading, slicing or tiling, because only the pipeline itself implements these.
    """
    from model_server.engines.diffusion.solver import PREDICTIONS, SCHEDULERS

    index = _read_json(spec.folder / INDEX_FILE)
    if index is None:
        raise Misconfigured(f"{spec.name} should be a folder that diffusers opens, with {INDEX_FILE}.")
    in_parts = spec.options.get("offload", "none") != "none" or any(map(spec.options.get, ("slicing", "tiling")))
    if in_parts or index.get("_class_name") != "StableDiffusionPipeline":
        return False
    checked = index.get("safety_checker") or [None]
    scheduler = _read_json(spec.folder / "scheduler" / "scheduler_config.json") or {}
    unet = _read_json(spec.folder / "unet" / "config.json") or {}
    return (
        checked[0] is None
        and scheduler.get("_class_name") in SCHEDULERS
        and scheduler.get("prediction_type", "epsilon") in PREDICTIONS
        and not scheduler.get("thresholding")
        and not any(unet.get(key) for key in UNSUPPORTED_UNET_KEYS)
        and unet.get("addition_embed_type") in SUPPORTED_ADDITION_TYPES
    )


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    return content
