"""Choosing the next token: exact, and for each request on its own.

Everything here looks at one row of logits (V numbers, V the size of the vocabulary), so that a request draws the same
tokens alone and in a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from model_server.job import Sampling

BINS = 4096
SPAN = 64.0
"""Logits over temperature that the bins cover; what lies further below the largest shares the last bin."""


def seeded(seed: int) -> torch.Generator:
    """A generator on the CPU whose stream depends on all of the seed's lowest 64 bits.

    torch's own seeding looks at 32 of them; the upper half is folded in, which leaves small seeds as they are.
    """
    return torch.Generator().manual_seed((seed ^ (seed >> 32)) & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a token is drawn from: `ids` (int64, ascending) with their `weights` (float64, in no particular unit)."""

    ids: torch.Tensor
    weights: torch.Tensor

    def draw(self, generator: torch.Generator) -> int:
        """One token id. Takes exactly one number from `generator`, or none where there is only one token."""
        if len(self.ids) == 1:
            return int(self.ids)
        cumulative = self.weights.cumsum(dim=0)
        # Scaled by the sum as it came out, so that rounding can neither overrun the end nor reach a weight of 0.
        point = torch.rand((), generator=generator, dtype=torch.float64) * cumulative[-1]
        return int(self.ids[torch.searchsorted(cumulative, point, right=True)])

    def log_probabilities(self, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
        """Natural logarithms: that of `token`, and of at most `count` most probable tokens that can be drawn."""
        logs = (self.weights / self.weights.sum()).log()
        own = float(logs[torch.searchsorted(self.ids, token)])
        best = logs.topk(min(count, len(logs)))
        pairs = zip(self.ids[best.indices].tolist(), best.values.tolist(), strict=True)
        return own, [(other, value) for other, value in pairs if value > float("-inf")]


def distribution(logits: torch.Tensor, sampling: Sampling) -> Distribution:
    """The exact distribution the next token is drawn from. `logits`: V float32 on the CPU, the largest one finite.

    Temperature 0 leaves the largest logit alone, the first one where several are equal. Otherwise softmax(logits /
    temperature) is cut in this order. `top_k` keeps the k most probable tokens. `top_p` keeps the nucleus (arXiv
    1904.09751): the smallest set of most probable tokens whose mass is at least top_p of what is left, never empty.
    `min_p` keeps what is at least min_p times as probable as the most probable token. Of equally probable tokens those
    with lower ids stay.
    """
    if sampling.temperature == 0:
        # numpy's argmax takes a tenth of the time of torch's.
        return Distribution(torch.tensor([int(logits.numpy().argmax())]), torch.ones(1, dtype=torch.float64))
    # Subtracting before dividing keeps the smallest temperatures from overflowing.
    heights = (logits.to(torch.float64) - logits.max()) / sampling.temperature
    kept = Distribution(torch.arange(len(logits)), heights.exp())
    if sampling.top_k is not None and sampling.top_k < len(logits):
        head = _head(heights, torch.ones_like(heights), sampling.top_k)
        heights, kept = heights[head], Distribution(kept.ids[head], kept.weights[head])
    if sampling.top_p < 1:
        head = _head(heights, kept.weights, sampling.top_p * float(kept.weights.sum()))
        kept = Distribution(kept.ids[head], kept.weights[head])
    if sampling.min_p > 0:
        # The most probable token's weight is exactly 1.
        enough = kept.weights >= sampling.min_p
        kept = Distribution(kept.ids[enough], kept.weights[enough])
    return kept


def log_probabilities(logits: torch.Tensor, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """Natural logarithms of the model's own probabilities, whatever the sampling is.

    Returns that of `token`, and the ids and logarithms of the `count` most probable tokens, best first.
    """
    logs = torch.log_softmax(logits, dim=-1)
    best = logs.topk(min(count, len(logs)))
    return float(logs[token]), list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def _head(heights: torch.Tensor, masses: torch.Tensor, target: float) -> torch.Tensor:
    """Places, ascending, of the fewest highest `heights` (at most 0, ties by place) whose `masses` reach `target`.

    A sort of a whole vocabulary takes twenty times as long as this: heights are counted into bins, and only those in
    the one bin that the border falls into are sorted.
    """
    bins = (heights * (-BINS / SPAN)).clamp_(max=BINS - 1).to(torch.int64)
    totals = torch.bincount(bins, weights=masses, minlength=BINS).cumsum(dim=0)
    edge = min(int(torch.searchsorted(totals, target)), BINS - 1)
    border = torch.nonzero(bins == edge).flatten()
    border = border[heights[border].sort(descending=True, stable=True).indices]
    before = totals[edge - 1] if edge else 0.0
    count = int(torch.searchsorted(masses[border].cumsum(dim=0) + before, target)) + 1
    inside = torch.nonzero(bins < edge).flatten()
    return torch.cat([inside, border[:count]]).sort().values
