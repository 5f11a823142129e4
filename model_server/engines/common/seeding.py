"""Random generators whose numbers a seed decides."""

from __future__ import annotations

import torch

LOWER_HALF = 0xFFFFFFFF
SPREAD = 0x9E3779B1
"""Odd and far from 0 and from its negative, in 32 bits."""


def seeded(seed: int) -> torch.Generator:
    """A generator on the CPU whose stream depends on all of the seed's lowest 64 bits.

    torch's own seeding looks at 32 of them; the upper half is folded in, which leaves small seeds as they are. It is
    multiplied first, so that neighbours stay apart on both sides of 0, where all of it changes at once.
    """
    upper = seed >> 32 & LOWER_HALF
    return torch.Generator().manual_seed((seed + upper * SPREAD) & LOWER_HALF)
