"""Forecasts how long a training takes on this machine, from the time of a few steps that change nothing."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from model_server.assembly import MAX_TOKENS
from research.console import format_duration
from research.loop import MEASURED_STEPS
from research.pictures.data.collection import Collection
from research.pictures.data.emoji import SMALL_SIZE
from research.pictures.training.autoencoder import AutoencoderTask
from research.pictures.training.dataset import TrainingSet
from research.pictures.training.denoiser import DenoiserTask
from research.pictures.training.networks import LATENT_CHANNELS, TEXT_WIDTH
from research.pictures.training.references import References

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderKL, UNet2DConditionModel

    from research.loop import Task


def forecast_autoencoder(autoencoder: AutoencoderKL, pictures: int, folder: Path) -> tuple[str, float]:
    """Return the forecast for so many pictures: a line for people, and seconds."""
    noise = np.random.default_rng(0).integers(
        0, 256, (AutoencoderTask.batch, SMALL_SIZE, SMALL_SIZE, 3), dtype=np.uint8
    )
    task = AutoencoderTask(autoencoder, noise, np.ones(len(noise)), folder)
    each = _seconds_per_picture(task)
    seconds = pictures * each
    return f"the autoencoder {pictures:,} pictures at {1000 * each:.1f} ms, {format_duration(seconds)}", seconds


def forecast_unet(
    unet: UNet2DConditionModel, autoencoder: AutoencoderKL, pictures: int, folder: Path
) -> tuple[str, float]:
    """Return the same for the UNet."""
    each = _seconds_per_picture(DenoiserTask(unet, _random_training_set(), autoencoder, folder))
    return (
        f"the UNet {pictures:,} pictures at {1000 * each:.1f} ms, {format_duration(pictures * each)}",
        pictures * each,
    )


def _seconds_per_picture(task: Task) -> float:
    """Return the median over some steps, after a first one that includes set-up. The weights do not change."""
    random = torch.Generator().manual_seed(0)
    durations = []
    for _ in range(1 + MEASURED_STEPS):
        start = time.perf_counter()
        loss = task.loss(random)
        loss.backward()  # type: ignore[no-untyped-call]
        # Reading the loss waits for a graphics card, which would still be computing.
        float(loss.detach())
        task.module.zero_grad()
        durations.append(time.perf_counter() - start)
    return median(durations[1:]) / task.batch


def _random_training_set() -> TrainingSet:
    """Return noise in the shape of a training set whose pictures show the same thing in two sets."""
    random, count = torch.Generator().manual_seed(0), 64
    collection = Collection(
        kinds=["centred"] * count, things=[("1f34e",)] * count, sets=[str(number % 2) for number in range(count)]
    )
    return TrainingSet(
        latents=torch.randn(count, LATENT_CHANNELS, 16, 16, generator=random),
        probabilities=torch.full((count,), 1 / count),
        captions=torch.ones(count, dtype=torch.long),
        starts=torch.arange(count + 1),
        states=torch.randn(2, MAX_TOKENS, TEXT_WIDTH, generator=random).numpy(),
        empty=0,
        references=References(collection),
    )
