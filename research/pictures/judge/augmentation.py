"""Augments the judge's training pictures, since generators draw unsteadily and with faults."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BEND = 0.06
"""The strength by which a drawing is bent at most, relative to half a side."""
MAX_STAIN = 0.2
"""The largest standard deviation of the stains."""


def augment(pictures: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Augment pictures (N × 4 × 64 × 64, premultiplied alpha) to images (N × 3 × 64 × 64, 0 to 1).

    They are shifted, rotated, stretched and mirrored, put on a background and given other colours; some are bent,
    stained or blurred.
    """
    count = len(pictures)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *(shape or (1, 1, 1)), generator=random)

    def with_probability(probability: float) -> torch.Tensor:
        return torch.rand(count, 1, 1, 1, generator=random) < probability

    bent = _bend(pictures, torch.where(with_probability(0.5), uniform(0, MAX_BEND), 0.0), random)
    transformed = _transform(bent, uniform)
    background = torch.where(with_probability(0.25), uniform(0, 1, 3, 1, 1), 1.0)
    images = transformed[:, :3] + (1 - transformed[:, 3:]) * background
    angle = torch.where(with_probability(0.3), uniform(-math.pi, math.pi), uniform(-0.3, 0.3))
    images = rotate_hues(images, angle[:, 0, 0, 0], uniform(0.3, 1.3)[:, 0, 0, 0])
    stains = torch.randn(count, 3, 16, 16, generator=random)
    stains = stains * torch.where(with_probability(0.25), uniform(0, MAX_STAIN), 0.0)
    images = images + functional.interpolate(stains, size=images.shape[2:], mode="bilinear", align_corners=False)
    blurred = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return torch.where(with_probability(0.2), blurred, images).clamp(0, 1)


def _bend(pictures: torch.Tensor, strength: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Bend pictures as an unsteady hand does: each pixel moves by about `strength` (N × 1 × 1 × 1) of half a side."""
    offsets = torch.randn(len(pictures), 2, 6, 6, generator=random) * strength
    smooth = functional.interpolate(offsets, size=pictures.shape[2:], mode="bicubic", align_corners=False)
    identity = torch.eye(2, 3).expand(len(pictures), 2, 3)
    grid = functional.affine_grid(identity, list(pictures.shape), align_corners=False) + smooth.permute(0, 2, 3, 1)
    return functional.grid_sample(pictures, grid, align_corners=False)


def _transform(pictures: torch.Tensor, uniform: Callable[..., torch.Tensor]) -> torch.Tensor:
    """Rotate, stretch, mirror and shift pictures at random."""

    def per_picture(low: float, high: float) -> torch.Tensor:
        return uniform(low, high)[:, 0, 0, 0]

    angle, height_scale = per_picture(-0.25, 0.25), per_picture(0.95, 1.3)
    width_scale = height_scale * per_picture(0.9, 1.1)
    mirroring = torch.where(per_picture(0, 1) < 0.5, -1.0, 1.0)
    width_scale = width_scale * mirroring
    first_row = torch.stack([angle.cos() * width_scale, -angle.sin() * height_scale, per_picture(-0.1, 0.1)], dim=1)
    second_row = torch.stack([angle.sin() * width_scale, angle.cos() * height_scale, per_picture(-0.1, 0.1)], dim=1)
    matrices = torch.stack([first_row, second_row], dim=1)
    grid = functional.affine_grid(matrices, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, align_corners=False)


def rotate_hues(images: torch.Tensor, angle: torch.Tensor, saturation: torch.Tensor) -> torch.Tensor:
    """Rotate colours by `angle` (radians) around the grey axis, and scale their distance from it by `saturation`."""
    grey = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    cosine, sine = (saturation * angle.cos())[:, None, None], (saturation * angle.sin())[:, None, None]
    return torch.einsum("nij,njhw->nihw", grey + cosine * (torch.eye(3) - grey) + sine * cross, images)
