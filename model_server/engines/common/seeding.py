"""Random generators made from a seed of 64 bits."""

from __future__ import annotations

import torch

LOWER_32_BITS = 0xFFFFFFFF
UPPER_HALF_FACTOR = 0x9E3779B1
"""The prime next to 2^32 divided by the golden ratio, as in Fibonacci hashing; it is odd, so no upper half is lost."""


def make_generator(seed: int) -> torch.Generator:
    """Return a generator on the CPU whose numbers depend on the lowest 64 bits of `seed`.

    torch's CPU generator uses only 32 bits of a seed. The upper half is therefore added to the lower one, which leaves
    small seeds as they are. It is multiplied first, because between the seeds -1 and 0 all of its bits change at once,
    and neighbouring seeds must not become equal there.
    """
    upper = seed >> 32 & LOWER_32_BITS
    return torch.Generator().manual_seed((seed + upper * UPPER_HALF_FACTOR) & LOWER_32_BITS)
