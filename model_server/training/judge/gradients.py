"""What a picture looks like in numbers that change little with its manner: directions of edges, and tints."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

DIRECTIONS = 9
CELLS = ((8, 4), (16, 8))
"""Edges are counted in squares of so many pixels, so many pixels apart."""
MOST = 0.6
"""Of one direction in a square beside all that is around it, or a single strong edge would hide the others."""
TINT_WEIGHT = 1.5


def features(pictures: torch.Tensor) -> torch.Tensor:
    """N × 3 × 64 × 64, 0 to 1, to N × 2613: histograms of gradients' directions, and mean colours.

    Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005; directions are without a sign.
    """
    counts = _directions(pictures)
    parts = []
    for side, apart in CELLS:
        cells = functional.avg_pool2d(counts, side, apart)
        around = functional.avg_pool2d(cells.square().sum(1, keepdim=True), 3, 1, 1, count_include_pad=False)
        parts.append((cells / (around.sqrt() + 0.01)).clamp(max=MOST).sqrt().flatten(1))
    parts.append(TINT_WEIGHT * functional.avg_pool2d(pictures, 16, 8).flatten(1))
    return torch.cat(parts, dim=1)


def _directions(pictures: torch.Tensor) -> torch.Tensor:
    """How strong the edges of each direction are at each pixel: N × DIRECTIONS × 64 × 64."""
    smooth = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    wide = functional.pad(smooth, (1, 1, 1, 1), mode="replicate")
    across = wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]
    down = wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]
    strength = (across.square() + down.square()).sqrt()
    strongest = strength.argmax(dim=1, keepdim=True)
    across, down, strength = (each.gather(1, strongest) for each in (across, down, strength))
    place = torch.atan2(down, across) % math.pi / math.pi * DIRECTIONS
    first = place.long() % DIRECTIONS
    share = place - place.floor()
    counts = torch.zeros(len(pictures), DIRECTIONS, *pictures.shape[2:])
    counts.scatter_add_(1, first, strength * (1 - share))
    return counts.scatter_add_(1, (first + 1) % DIRECTIONS, strength * share)
