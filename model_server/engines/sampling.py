"""Choosing the next token: exact, and for each request on its own.

Everything here looks at one row of logits (V numbers, V the size of the vocabulary), so that a request draws the same
tokens alone and in a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from model_server.job import Sampling

NUCLEUS_GUESS = 512
"""Tokens looked at first for a nucleus; sorting a whole vocabulary takes ten times as long."""


def seeded(seed: int) -> torch.Generator:
    """A generator on the CPU whose stream depends on all of the seed's lowest 64 bits.

    torch's own seeding looks at 32 of them; the upper half is folded in, which leaves small seeds as they are.
    """
    return torch.Generator().manual_seed((seed ^ (seed >> 32)) & 0xFFFFFFFF)


def probabilities(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """The exact distribution the next token is drawn from: softmax(logits / temperature), cut to the nucleus.

    `logits`: V finite numbers. The result: V float64 that add up to 1. Temperature 0 puts all on the largest logit, the
    first one where several are equal. The nucleus (arXiv 1904.09751) is the smallest set of most probable tokens
    whose mass is at least `top_p`; it always has one, and of equally probable tokens it takes those with lower ids.
    """
    if sampling.temperature == 0:
        certain = torch.zeros(logits.shape[-1], dtype=torch.float64)
        certain[int(logits.argmax())] = 1.0
        return certain
    # Subtracting before dividing keeps the smallest temperatures from overflowing.
    wide = logits.to("cpu", torch.float64)
    full = torch.softmax((wide - wide.max()) / sampling.temperature, dim=-1)
    return full if sampling.top_p >= 1 else _nucleus(full, sampling.top_p)


def draw(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """One token id. Takes exactly one number from `generator`, except at temperature 0, where it takes none."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    cumulative = probabilities(logits, sampling).cumsum(dim=0)
    # Scaled by the sum as it came out, so that rounding can neither overrun the end nor reach a token of probability 0.
    point = torch.rand((), generator=generator, dtype=torch.float64) * cumulative[-1]
    return int(torch.searchsorted(cumulative, point, right=True))


def log_probabilities(logits: torch.Tensor, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """Natural logarithms of the model's own probabilities, whatever temperature and nucleus are.

    Returns that of `token`, and the ids and logarithms of the `count` most probable tokens, best first.
    """
    logs = torch.log_softmax(logits.to(torch.float32), dim=-1)
    best = logs.topk(min(count, logs.shape[-1]))
    return float(logs[token]), list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def _nucleus(full: torch.Tensor, top_p: float) -> torch.Tensor:
    kept = _most_probable(full, top_p)
    cut = torch.zeros_like(full)
    cut[kept] = full[kept]
    return cut / cut.sum()


def _most_probable(full: torch.Tensor, top_p: float) -> torch.Tensor:
    guess = full.topk(min(NUCLEUS_GUESS, full.shape[-1]))
    # Everything that ties with the last guess must be looked at as well, or the cut would not go by id.
    candidates = torch.nonzero(full >= guess.values[-1]).flatten()
    if float(full[candidates].sum()) <= top_p:
        candidates = torch.arange(full.shape[-1])
    ranked, order = full[candidates].sort(descending=True, stable=True)
    count = int(torch.searchsorted(ranked.cumsum(dim=0), top_p)) + 1
    return candidates[order[:count]]
