"""The training task of the autoencoder, and the encoding of pictures to latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from research.pictures.training.networks import LATENT_CHANNELS, mixed_precision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffusers import AutoencoderKL

KL_WEIGHT = 5e-4
EDGE_WEIGHT = 0.5
COLOUR_WEIGHT = 2.0
COLOUR_CELL = 4
"""Colours are compared in cells of so many pixels a side, or they would be learnt long after the outlines."""
ENCODING_BATCH = 128
SAMPLE_COUNT = 16


class AutoencoderTask:
    """Trains the autoencoder to restore pictures (N × 64 × 64 × 3, uint8); see `loop.Task`."""

    batch = 8
    rate = 1e-3
    decay = 0.998

    def __init__(self, module: AutoencoderKL, pictures: np.ndarray, probabilities: np.ndarray, samples: Path) -> None:
        self.module = module
        self._pictures = pictures
        self._draw_weights = torch.from_numpy(np.sqrt(probabilities))
        self._samples = samples
        self._device = next(module.parameters()).device

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """Return the absolute difference of pixels, edges and coarse colours, plus a small KL divergence."""
        indices = torch.multinomial(self._draw_weights, self.batch, replacement=True, generator=random)
        originals = to_tensor(self._pictures[indices.numpy()]).to(self._device)
        noise = torch.randn(self.batch, LATENT_CHANNELS, 16, 16, generator=random).to(self._device)
        with mixed_precision(self._device):
            distribution = self.module.encode(originals).latent_dist
            decoded = self.module.decode(distribution.mean + distribution.std * noise).sample
        decoded, mean, variance = decoded.float(), distribution.mean.float(), distribution.logvar.float()
        divergence = 0.5 * (mean.square() + variance.exp() - 1 - variance).mean()
        colour = functional.avg_pool2d(decoded - originals, COLOUR_CELL).abs().mean()
        loss: torch.Tensor = (
            (decoded - originals).abs().mean()
            + EDGE_WEIGHT * _edge_difference(decoded - originals)
            + COLOUR_WEIGHT * colour
        )
        loss += KL_WEIGHT * divergence
        return loss

    @torch.no_grad()
    def show(self, averaged: AutoencoderKL, step: int) -> None:
        """Save some originals, with the decoded pictures below them."""
        indices = np.linspace(0, len(self._pictures) - 1, SAMPLE_COUNT).astype(int)
        originals = to_tensor(self._pictures[indices]).to(self._device)
        decoded = averaged.decode(averaged.encode(originals).latent_dist.mean).sample
        save_sheet(self._samples / f"autoencoder-{step:06}.png", to_pixels(originals), to_pixels(decoded))


def save_sheet(path: Path, *rows: np.ndarray) -> None:
    """Save rows of pictures (N × H × W × 3, uint8) below each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate([np.concatenate(list(row), axis=1) for row in rows])).save(path)


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """Convert N × 64 × 64 × 3, 0 to 255, to N × 3 × 64 × 64, -1 to 1."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def to_pixels(tensor: torch.Tensor) -> np.ndarray:
    """Convert back what `to_tensor` converted."""
    scaled = ((tensor.float() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


@torch.no_grad()
def encode(autoencoder: AutoencoderKL, pictures: Sequence[np.ndarray] | np.ndarray) -> torch.Tensor:
    """Return the means of the latents of pictures of the autoencoder's size: N × 4 × 16 × 16, half precision."""
    device = next(autoencoder.parameters()).device
    parts = []
    for start in range(0, len(pictures), ENCODING_BATCH):
        part = to_tensor(np.stack(list(pictures[start : start + ENCODING_BATCH])))
        part = part.to(device, memory_format=torch.channels_last)
        with mixed_precision(device):
            parts.append(autoencoder.encode(part).latent_dist.mean.half().cpu())
    return torch.cat(parts).contiguous()


@torch.no_grad()
def measure_psnr(autoencoder: AutoencoderKL, pictures: np.ndarray) -> float:
    """Return the mean peak signal-to-noise ratio of pictures after encoding and decoding, in decibels."""
    device = next(autoencoder.parameters()).device
    ratios = []
    for start in range(0, len(pictures), ENCODING_BATCH):
        part = pictures[start : start + ENCODING_BATCH]
        decoded = to_pixels(autoencoder.decode(autoencoder.encode(to_tensor(part).to(device)).latent_dist.mean).sample)
        error = np.square(decoded.astype(np.float32) - part.astype(np.float32)).mean(axis=(1, 2, 3))
        ratios.append(10 * np.log10(255**2 / np.maximum(error, 1e-3)))
    return float(np.concatenate(ratios).mean())


def _edge_difference(difference: torch.Tensor) -> torch.Tensor:
    across = (difference[..., 1:] - difference[..., :-1]).abs().mean()
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    return across + down
