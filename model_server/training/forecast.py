"""How long a training takes on this machine, found out with a few steps and told before any of them takes hours."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from model_server.assembly import MAX_TOKENS
from model_server.training.images.autoencoder import AutoencoderTask
from model_server.training.images.dataset import ThingWords, TrainingSet
from model_server.training.images.denoiser import DenoiserTask
from model_server.training.images.networks import LATENT_CHANNELS, TEXT_WIDTH
from model_server.training.images.recogniser import make_recogniser
from model_server.training.loop import MEASURED_STEPS, clock

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderKL, UNet2DConditionModel

    from model_server.training.images.text_encoder import TextEncoder
    from model_server.training.loop import Task

THINGS = 1000
"""About as many as there are to be recognised."""


def of_autoencoder(autoencoder: AutoencoderKL, pictures: int, folder: Path) -> tuple[str, float]:
    """What it takes for so many pictures: a line for people, and seconds."""
    noise = np.random.default_rng(0).integers(0, 256, (AutoencoderTask.batch, 64, 64, 3), dtype=np.uint8)
    task = AutoencoderTask(autoencoder, noise, np.ones(len(noise)), folder)
    each = _seconds_a_picture(task)
    return f"the autoencoder {pictures:,} pictures at {1000 * each:.1f} ms, {clock(pictures * each)}", pictures * each


def of_unet(
    unet: UNet2DConditionModel,
    autoencoder: AutoencoderKL,
    encoder: TextEncoder,
    pictures: tuple[int, int],
    folder: Path,
) -> tuple[str, float]:
    """The same for as many pictures without and with descriptions and a recogniser, which take longer."""
    task = DenoiserTask(unet, _made_up(), autoencoder, encoder, folder)
    parts, seconds = [], 0.0
    for count, what in zip(pictures, ("with names", "with descriptions, too,"), strict=True):
        if what != "with names":
            task.teacher, task.recogniser = unet, make_recogniser(THINGS, 0).to(next(unet.parameters()).device)
        if count:
            each = _seconds_a_picture(task)
            parts.append(f"{count:,} pictures {what} at {1000 * each:.1f} ms")
            seconds += count * each
    return f"the UNet {' and '.join(parts)}, {clock(seconds)}", seconds


def _seconds_a_picture(task: Task) -> float:
    """The median of some steps, after one that also sets things up; no weights change."""
    random = torch.Generator().manual_seed(0)
    taken = []
    for _ in range(1 + MEASURED_STEPS):
        since = time.perf_counter()
        loss = task.loss(random)
        loss.backward()  # type: ignore[no-untyped-call]
        # Waits for a graphics card, which would still be at work.
        float(loss.detach())
        task.module.zero_grad()
        taken.append(time.perf_counter() - since)
    return median(taken[1:]) / task.batch


def _made_up() -> TrainingSet:
    """Noise of the shape of what is learnt."""
    random, count = torch.Generator().manual_seed(0), 64
    return TrainingSet(
        latents=torch.randn(count, LATENT_CHANNELS, 16, 16, generator=random),
        probabilities=torch.full((count,), 1 / count),
        captions=torch.ones(count, dtype=torch.long),
        starts=torch.arange(count + 1),
        states=torch.randn(2, MAX_TOKENS, TEXT_WIDTH, generator=random).numpy(),
        empty=0,
        things=torch.arange(count),
        wordings=[ThingWords(1, torch.tensor([1]), torch.arange(count), torch.ones(1))],
    )
