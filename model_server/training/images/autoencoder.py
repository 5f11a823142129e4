"""Trains the autoencoder, and turns the collection into latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from model_server.training.images.networks import LATENT_CHANNELS, mixed_precision

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderKL

KL_WEIGHT = 5e-4
EDGE_WEIGHT = 0.5
COLOUR_WEIGHT = 2.0
COLOUR_CELL = 4
"""Colours are compared in cells of so many pixels, or they would be learnt long after the outlines."""
ENCODED_AT_ONCE = 128
SHOWN = 16


class AutoencoderTask:
    """Pictures should come back as they were; see `loop.Task`.

    `pictures` is N × 64 × 64 × 3, uint8.
    """

    batch = 8
    rate = 1e-3
    decay = 0.998

    def __init__(self, module: AutoencoderKL, pictures: np.ndarray, probabilities: np.ndarray, samples: Path) -> None:
        self.module = module
        self._pictures = pictures
        self._draw = torch.from_numpy(np.sqrt(probabilities))
        self._samples = samples
        self._device = next(module.parameters()).device

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """Absolute difference of pixels, of edges and of coarse colours, and a little of the usual divergence."""
        chosen = torch.multinomial(self._draw, self.batch, replacement=True, generator=random)
        wanted = to_tensor(self._pictures[chosen.numpy()]).to(self._device)
        noise = torch.randn(self.batch, LATENT_CHANNELS, 16, 16, generator=random).to(self._device)
        with mixed_precision(self._device):
            spread = self.module.encode(wanted).latent_dist
            made = self.module.decode(spread.mean + spread.std * noise).sample
        made, mean, variance = made.float(), spread.mean.float(), spread.logvar.float()
        divergence = 0.5 * (mean.square() + variance.exp() - 1 - variance).mean()
        colour = functional.avg_pool2d(made - wanted, COLOUR_CELL).abs().mean()
        loss: torch.Tensor = (made - wanted).abs().mean() + EDGE_WEIGHT * _edges(made - wanted) + COLOUR_WEIGHT * colour
        loss += KL_WEIGHT * divergence
        return loss

    @torch.no_grad()
    def show(self, averaged: AutoencoderKL, step: int) -> None:
        """Originals over what became of them."""
        chosen = np.linspace(0, len(self._pictures) - 1, SHOWN).astype(int)
        wanted = to_tensor(self._pictures[chosen]).to(self._device)
        made = averaged.decode(averaged.encode(wanted).latent_dist.mean).sample
        rows = [np.concatenate(list(to_pixels(batch)), axis=1) for batch in (wanted, made)]
        self._samples.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(rows)).save(self._samples / f"autoencoder-{step:06}.png")


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """N × 64 × 64 × 3, 0 to 255, as N × 3 × 64 × 64, -1 to 1."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def to_pixels(tensor: torch.Tensor) -> np.ndarray:
    """The way back from `to_tensor`."""
    scaled = ((tensor.float() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


@torch.no_grad()
def encode(autoencoder: AutoencoderKL, pictures: np.ndarray) -> torch.Tensor:
    """The means of the latents: N × 4 × 16 × 16, half precision."""
    device = next(autoencoder.parameters()).device
    parts = [
        autoencoder.encode(to_tensor(pictures[start : start + ENCODED_AT_ONCE]).to(device))
        .latent_dist.mean.half()
        .cpu()
        for start in range(0, len(pictures), ENCODED_AT_ONCE)
    ]
    return torch.cat(parts)


@torch.no_grad()
def fidelity(autoencoder: AutoencoderKL, pictures: np.ndarray) -> float:
    """The mean peak signal-to-noise ratio of pictures that went through the autoencoder, in decibels."""
    device = next(autoencoder.parameters()).device
    ratios = []
    for start in range(0, len(pictures), ENCODED_AT_ONCE):
        part = pictures[start : start + ENCODED_AT_ONCE]
        made = to_pixels(autoencoder.decode(autoencoder.encode(to_tensor(part).to(device)).latent_dist.mean).sample)
        error = np.square(made.astype(np.float32) - part.astype(np.float32)).mean(axis=(1, 2, 3))
        ratios.append(10 * np.log10(255**2 / np.maximum(error, 1e-3)))
    return float(np.concatenate(ratios).mean())


def _edges(difference: torch.Tensor) -> torch.Tensor:
    across = (difference[..., 1:] - difference[..., :-1]).abs().mean()
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    return across + down
