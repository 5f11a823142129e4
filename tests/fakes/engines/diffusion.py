"""Tiny random parts of pipelines, jobs for pictures, and helpers that read their events."""

import io
from collections.abc import Callable

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image

from model_server.engines.contract import Engine
from model_server.jobs import Event, Failed, Imagine, Job, Picture, Preview, ResolvedSettings

EDGE = 32
"""Edge of a picture in pixels, four times that of its latents."""


def make_autoencoder(channels: int = 4, **more: object) -> AutoencoderKL:
    """Make an autoencoder whose latents have a quarter of the pixels along each side."""
    torch.manual_seed(5)
    settings: dict[str, object] = {
        "block_out_channels": (8, 16, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "layers_per_block": 1,
        "latent_channels": channels,
        "norm_num_groups": 4,
        "sample_size": EDGE,
        "mid_block_add_attention": False,
        "scaling_factor": 1.0,
    }
    return AutoencoderKL(**(settings | more))


def make_unet(width: int, **more: object) -> UNet2DConditionModel:
    """Make a UNet that reads embeddings of `width` numbers per token."""
    torch.manual_seed(6)
    settings: dict[str, object] = {
        "sample_size": EDGE // 4,
        "layers_per_block": 1,
        "block_out_channels": (16, 32),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": width,
        "attention_head_dim": 8,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**(settings | more))


def make_job(name: str = "a", **fields: object) -> Job:
    task = Imagine(**{"prompt": "a cat", "seed": 7, "steps": 4, "guidance": 3.0} | fields)  # type: ignore[arg-type]
    return Job(id=name, model="tiny", task=task)


def pictures_of(events: list[Event], name: str = "a") -> list[bytes]:
    return [event.data for event in events if isinstance(event, Picture) and event.job == name]


def previews_of(events: list[Event], name: str = "a") -> list[Preview]:
    return [event for event in events if isinstance(event, Preview) and event.job == name]


def failures_of(events: list[Event]) -> dict[str, Failed]:
    return {event.job: event for event in events if isinstance(event, Failed)}


def settings_of(events: list[Event]) -> ResolvedSettings:
    """Return what was settled at the start of the only job."""
    [settings] = [event for event in events if isinstance(event, ResolvedSettings)]
    return settings


def draw(run: Callable[..., list[Event]], engine: Engine, job: Job) -> list[bytes]:
    """Let `engine` do `job` alone, and return its pictures."""
    return pictures_of(run(engine, job), job.id)


def open_image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(open_image(data).convert("RGB")).astype(int)


def difference(one: bytes, other: bytes) -> int:
    """Return the largest difference of any channel of any pixel, from 0 to 255."""
    return int(np.abs(pixels(one) - pixels(other)).max())


def difference_from_alone(run: Callable[..., list[Event]], engine: Engine, events: list[Event], *jobs: Job) -> int:
    """Return the largest difference between the pictures of `jobs` in `events` and those that each gets alone."""
    pairs = [zip(draw(run, engine, job), pictures_of(events, job.id), strict=True) for job in jobs]
    return max(difference(alone, joint) for pair in pairs for alone, joint in pair)
