"""Draws the sample sheet by which people judge the progress of the training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from research.pictures.training.autoencoder import to_pixels
from research.pictures.training.networks import make_scheduler, predict_velocity

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    from research.pictures.training.dataset import TrainingBatch

COLUMNS = 8
STEPS = 25


@torch.no_grad()
def draw_sheet(unet: UNet2DConditionModel, autoencoder: AutoencoderKL, batch: TrainingBatch) -> Image.Image:
    """Draw what the captions of a batch ask for, without guidance, and put each picture above the one that is meant."""
    device = next(unet.parameters()).device
    scheduler = make_scheduler()
    scheduler.set_timesteps(STEPS)
    latents = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(0))
    for step in scheduler.timesteps:
        steps = step.expand(len(latents))
        velocity = predict_velocity(unet, device, latents, steps, batch.states, batch.references).cpu()
        latents = scheduler.step(velocity, step, latents).prev_sample
    drawn, meant = (to_pixels(autoencoder.decode(one.to(device)).sample) for one in (latents, batch.latents))
    rows = [
        np.concatenate(list(pictures[start : start + COLUMNS]), axis=1)
        for start in range(0, len(latents), COLUMNS)
        for pictures in (drawn, meant)
    ]
    return Image.fromarray(np.concatenate(rows))
