"""The augmentation of what the discriminator sees, which keeps it from learning a few pictures by heart.

The same kinds of changes are made to real and generated pictures, and gradients pass through them, so that they do not
leak into what the generator draws (Zhao et al., “Differentiable Augmentation for Data-Efficient GAN Training”, arXiv
2006.10738).
"""

from __future__ import annotations

import torch
from torch.nn import functional

MAX_SHIFT = 6
"""The largest shift in pixels."""
HOLE_EDGE = 24
"""The edge of the square that is hidden, in pixels."""


def augment(pictures: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Change brightness, saturation and contrast, shift, and hide a square, of N × 3 × H × W in [-1, 1], at random."""
    return _hide(_shift(_recolour(pictures, random), random), random)


def _recolour(pictures: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    brightness, saturation, contrast = torch.rand(3, len(pictures), 1, 1, 1, generator=random)
    pictures = pictures + (brightness - 0.5)
    grey = pictures.mean(dim=1, keepdim=True)
    pictures = (pictures - grey) * (2 * saturation) + grey
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    recoloured: torch.Tensor = (pictures - mean) * (contrast + 0.5) + mean
    return recoloured


def _shift(pictures: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    count, _, height, width = pictures.shape
    across, down = torch.randint(0, 2 * MAX_SHIFT + 1, (2, count), generator=random)
    padded = functional.pad(pictures, (MAX_SHIFT,) * 4)
    corners = zip(padded, down.tolist(), across.tolist(), strict=True)
    return torch.stack([one[:, top : top + height, left : left + width] for one, top, left in corners])


def _hide(pictures: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    count, _, height, width = pictures.shape
    top = torch.randint(-HOLE_EDGE // 2, height - HOLE_EDGE // 2, (count, 1), generator=random)
    left = torch.randint(-HOLE_EDGE // 2, width - HOLE_EDGE // 2, (count, 1), generator=random)
    rows = (torch.arange(height) >= top) & (torch.arange(height) < top + HOLE_EDGE)
    columns = (torch.arange(width) >= left) & (torch.arange(width) < left + HOLE_EDGE)
    hidden = rows[:, :, None] & columns[:, None, :]
    return pictures * ~hidden[:, None]
