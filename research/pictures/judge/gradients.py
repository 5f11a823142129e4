"""Features that depend little on the style of a drawing: histograms of gradient directions, and tints."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

DIRECTIONS = 9
CELLS = ((8, 4), (16, 8))
"""The side and the stride, in pixels, of the cells in which gradients are counted."""
MAX_CELL_SHARE = 0.6
"""The limit for one direction, relative to the neighbourhood, or a single strong edge would hide all others."""
TINT_WEIGHT = 1.5


def compute_hog_features(pictures: torch.Tensor) -> torch.Tensor:
    """Return N × 2613 features of N × 3 × 64 × 64, 0 to 1: histograms of oriented gradients, and mean colours.

    Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005; directions have no sign.
    """
    histogram = _direction_histogram(pictures)
    blocks = []
    for side, stride in CELLS:
        cells = functional.avg_pool2d(histogram, side, stride)
        energy = functional.avg_pool2d(cells.square().sum(1, keepdim=True), 3, 1, 1, count_include_pad=False)
        blocks.append((cells / (energy.sqrt() + 0.01)).clamp(max=MAX_CELL_SHARE).sqrt().flatten(1))
    blocks.append(TINT_WEIGHT * functional.avg_pool2d(pictures, 16, 8).flatten(1))
    return torch.cat(blocks, dim=1)


def _direction_histogram(pictures: torch.Tensor) -> torch.Tensor:
    """Return the strength of the gradient in each direction at each pixel: N × DIRECTIONS × 64 × 64."""
    smooth = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    padded = functional.pad(smooth, (1, 1, 1, 1), mode="replicate")
    horizontal = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    vertical = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    strength = (horizontal.square() + vertical.square()).sqrt()
    strongest = strength.argmax(dim=1, keepdim=True)
    horizontal, vertical, strength = (channel.gather(1, strongest) for channel in (horizontal, vertical, strength))
    position = torch.atan2(vertical, horizontal) % math.pi / math.pi * DIRECTIONS
    lower_bin = position.long() % DIRECTIONS
    share = position - position.floor()
    histogram = torch.zeros(len(pictures), DIRECTIONS, *pictures.shape[2:])
    histogram.scatter_add_(1, lower_bin, strength * (1 - share))
    return histogram.scatter_add_(1, (lower_bin + 1) % DIRECTIONS, strength * share)
