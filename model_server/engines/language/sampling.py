"""Exact sampling of the next token, for each request by itself.

All functions take one row of logits (V numbers, where V is the size of the vocabulary), so that a request draws the
same tokens alone and in a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from model_server.jobs import Sampling

SUM_DTYPE = torch.float64
BINS = 4096
BIN_SPAN = 64.0
"""The bins cover logits / temperature down to this much below the largest; the last bin takes all lower ones."""
BLOCK_LENGTH = 64
"""Number of weights that are added up as one block before a token is found in it."""
MIN_TEMPERATURE = 1e-30
"""A lower temperature would be zero in float32; the distribution does not change below this one."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """The tokens that can be drawn: `ids` (ascending; None means all) with unnormalised float32 `weights`."""

    ids: torch.Tensor | None
    weights: torch.Tensor

    def draw(self, generator: torch.Generator) -> int:
        """Draw one token id. Takes one number from `generator`, or none if there is only one token."""
        place = (
            0
            if len(self.weights) == 1
            else self._find_place(float(torch.rand((), generator=generator, dtype=SUM_DTYPE)))
        )
        return place if self.ids is None else int(self.ids[place])

    def log_probabilities(self, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
        """Return the natural log-probabilities of `token` and of the `count` most probable tokens that can be drawn."""
        logs = (self.weights / self.weights.sum(dtype=SUM_DTYPE)).log()
        own = token if self.ids is None else int(torch.searchsorted(self.ids, token))
        best = logs.topk(min(count, len(logs)))
        ids = best.indices if self.ids is None else self.ids[best.indices]
        pairs = zip(ids.tolist(), best.values.tolist(), strict=True)
        return float(logs[own]), [(other, value) for other, value in pairs if value > float("-inf")]

    def probabilities(self, tokens: torch.Tensor) -> list[float]:
        """Return the probabilities of token ids; 0 for one that cannot be drawn."""
        shares = self.weights.to(SUM_DTYPE) / self.weights.sum(dtype=SUM_DTYPE)
        if self.ids is None:
            return shares[tokens].tolist()
        places = torch.searchsorted(self.ids, tokens).clamp_(max=len(self.ids) - 1)
        return torch.where(self.ids[places] == tokens, shares[places], 0.0).tolist()

    def entropy(self) -> float:
        """Return the entropy of a draw in nats."""
        shares = self.weights / self.weights.sum(dtype=SUM_DTYPE)
        return float(torch.special.entr(shares).sum(dtype=SUM_DTYPE))

    def _find_place(self, share: float) -> int:
        """Return the place at which the cumulative weight exceeds `share` (0 up to 1) of the total, in float64.

        Blocks are summed first, because a cumulative sum over a whole vocabulary takes as long as all the rest.
        """
        even = len(self.weights) // BLOCK_LENGTH * BLOCK_LENGTH
        blocks = self.weights[:even].view(-1, BLOCK_LENGTH).sum(dim=1, dtype=SUM_DTYPE)
        totals = torch.cat([blocks, self.weights[even:].sum(dtype=SUM_DTYPE)[None]]).cumsum(dim=0)
        point = share * float(totals[-1])
        block = int(torch.searchsorted(totals, point, right=True))
        part = self.weights[block * BLOCK_LENGTH : (block + 1) * BLOCK_LENGTH].to(SUM_DTYPE)
        running = part.cumsum(dim=0) + (totals[block - 1] if block else 0.0)
        place = int(torch.searchsorted(running, point, right=True))
        # Both sums may differ in the last bit, which must not lead to a token of weight 0.
        return block * BLOCK_LENGTH + min(place, int(part.nonzero()[-1]))


def distribution(logits: torch.Tensor, sampling: Sampling) -> Distribution:
    """Return the exact distribution of the next token. `logits`: V float32 on the CPU, the largest one finite.

    The logits are overwritten: the result reuses their memory, because new memory costs more than the arithmetic.
    Temperature 0 keeps only the largest logit, the first one if several are equal. Otherwise softmax(logits /
    temperature) is cut in this order. `top_k` keeps the k most probable tokens. `top_p` keeps the nucleus (arXiv
    1904.09751): the smallest set of most probable tokens whose mass is at least top_p of the rest, never empty.
    `min_p` keeps tokens that are at least min_p times as probable as the most probable one (arXiv 2407.01082). Of
    equally probable tokens those with lower ids are kept.
    """
    if sampling.temperature == 0:
        # numpy's argmax takes a tenth of the time of torch's.
        return Distribution(torch.tensor([int(logits.numpy().argmax())]), torch.ones(1))
    shifted = logits.sub_(logits.max()).div_(max(sampling.temperature, MIN_TEMPERATURE))
    if sampling.top_k is None and sampling.top_p >= 1 and sampling.min_p == 0:
        return Distribution(None, shifted.exp_())
    weights, ids = shifted.exp(), None
    if sampling.top_k is not None and sampling.top_k < len(logits):
        ids = _find_top(shifted, None, sampling.top_k)
        shifted, weights = shifted[ids], weights[ids]
    if sampling.top_p < 1:
        nucleus = _find_top(shifted, weights, sampling.top_p * float(weights.sum(dtype=SUM_DTYPE)))
        ids, weights = nucleus if ids is None else ids[nucleus], weights[nucleus]
    if sampling.min_p > 0:
        # The most probable token's weight is exactly 1.
        enough = torch.nonzero(weights >= sampling.min_p).flatten()
        ids, weights = enough if ids is None else ids[enough], weights[enough]
    return Distribution(ids, weights)


def log_probabilities(logits: torch.Tensor, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """Return natural log-probabilities of the model itself, without temperature and cuts.

    They are that of `token`, and pairs of id and log-probability of the `count` most probable tokens, best first.
    """
    logs = torch.log_softmax(logits, dim=-1)
    best = logs.topk(min(count, len(logs)))
    return float(logs[token]), list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def _find_top(shifted: torch.Tensor, weights: torch.Tensor | None, target: float) -> torch.Tensor:
    """Return the places, ascending, of the fewest highest logits whose `weights` add up to `target`; ties by place.

    `shifted`: logits / temperature minus their largest. Without weights each counts 1. Logits are counted into bins,
    and only those in the bin that contains the border are sorted, which takes a fiftieth of the time of sorting all.
    """
    bins = (shifted * (-BINS / BIN_SPAN)).clamp_(max=BINS - 1).to(torch.int32)
    totals = torch.bincount(bins, weights=None if weights is None else weights.to(SUM_DTYPE), minlength=BINS).cumsum(
        dim=0
    )
    edge = min(int(torch.searchsorted(totals, target)), BINS - 1)
    near = torch.nonzero(bins <= edge).flatten()
    border = torch.nonzero(bins[near] == edge).flatten()
    border = border[shifted[near[border]].sort(descending=True, stable=True).indices]
    masses = torch.ones(len(border)) if weights is None else weights[near[border]]
    reached = masses.cumsum(dim=0, dtype=SUM_DTYPE) + (totals[edge - 1] if edge else 0)
    beyond = border[int(torch.searchsorted(reached, target)) + 1 :]
    return near[torch.ones(len(near), dtype=torch.bool).index_fill_(0, beyond, value=False)]
