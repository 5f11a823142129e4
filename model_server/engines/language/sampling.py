"""Choosing the next token: exact, and for each request on its own.

Everything here looks at one row of logits (V numbers, V the size of the vocabulary), so that a request draws the same
tokens alone and in a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from model_server.jobs import Sampling

WIDE = torch.float64
BINS = 4096
SPAN = 64.0
"""Logits over temperature that the bins cover; what lies further below the largest shares the last bin."""
BLOCK = 64
"""Weights added up together on the way to the one that is drawn."""
LEAST_TEMPERATURE = 1e-30
"""Below it float32 would divide by zero; between two logits it makes no difference any more."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a token is drawn from: float32 `weights`, in no particular unit, of `ids` (ascending; None: of all)."""

    ids: torch.Tensor | None
    weights: torch.Tensor

    def draw(self, generator: torch.Generator) -> int:
        """One token id. Takes exactly one number from `generator`, or none where there is only one token."""
        place = 0 if len(self.weights) == 1 else self._place(float(torch.rand((), generator=generator, dtype=WIDE)))
        return place if self.ids is None else int(self.ids[place])

    def log_probabilities(self, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
        """Natural logarithms: that of `token`, and of at most `count` most probable tokens that can be drawn."""
        logs = (self.weights / self.weights.sum(dtype=WIDE)).log()
        own = token if self.ids is None else int(torch.searchsorted(self.ids, token))
        best = logs.topk(min(count, len(logs)))
        ids = best.indices if self.ids is None else self.ids[best.indices]
        pairs = zip(ids.tolist(), best.values.tolist(), strict=True)
        return float(logs[own]), [(other, value) for other, value in pairs if value > float("-inf")]

    def probabilities(self, tokens: torch.Tensor) -> list[float]:
        """Those of some token ids; 0 for what cannot be drawn."""
        shares = self.weights.to(WIDE) / self.weights.sum(dtype=WIDE)
        if self.ids is None:
            return shares[tokens].tolist()
        places = torch.searchsorted(self.ids, tokens).clamp_(max=len(self.ids) - 1)
        return torch.where(self.ids[places] == tokens, shares[places], 0.0).tolist()

    def entropy(self) -> float:
        """How uncertain a draw is, in nats."""
        shares = self.weights / self.weights.sum(dtype=WIDE)
        return float(torch.special.entr(shares).sum(dtype=WIDE))

    def _place(self, share: float) -> int:
        """Where the running sum of the weights passes `share` of all (0 up to 1); sums are float64.

        Whole blocks first: one running sum over a vocabulary would take as long as all the rest.
        """
        even = len(self.weights) // BLOCK * BLOCK
        blocks = self.weights[:even].view(-1, BLOCK).sum(dim=1, dtype=WIDE)
        totals = torch.cat([blocks, self.weights[even:].sum(dtype=WIDE)[None]]).cumsum(dim=0)
        point = share * float(totals[-1])
        block = int(torch.searchsorted(totals, point, right=True))
        part = self.weights[block * BLOCK : (block + 1) * BLOCK].to(WIDE)
        running = part.cumsum(dim=0) + (totals[block - 1] if block else 0.0)
        place = int(torch.searchsorted(running, point, right=True))
        # Two ways of adding up may differ in the last bit, which must not lead to a token of weight 0.
        return block * BLOCK + min(place, int(part.nonzero()[-1]))


def distribution(logits: torch.Tensor, sampling: Sampling) -> Distribution:
    """The exact distribution the next token is drawn from. `logits`: V float32 on the CPU, the largest one finite.

    The logits are used up: their memory becomes the result's, because fresh memory costs more than the arithmetic.
    Temperature 0 leaves the largest logit alone, the first one where several are equal. Otherwise softmax(logits /
    temperature) is cut in this order. `top_k` keeps the k most probable tokens. `top_p` keeps the nucleus (arXiv
    1904.09751): the smallest set of most probable tokens whose mass is at least top_p of what is left, never empty.
    `min_p` keeps what is at least min_p times as probable as the most probable token. Of equally probable tokens those
    with lower ids stay.
    """
    if sampling.temperature == 0:
        # numpy's argmax takes a tenth of the time of torch's.
        return Distribution(torch.tensor([int(logits.numpy().argmax())]), torch.ones(1))
    heights = logits.sub_(logits.max()).div_(max(sampling.temperature, LEAST_TEMPERATURE))
    if sampling.top_k is None and sampling.top_p >= 1 and sampling.min_p == 0:
        return Distribution(None, heights.exp_())
    weights, ids = heights.exp(), None
    if sampling.top_k is not None and sampling.top_k < len(logits):
        ids = _head(heights, None, sampling.top_k)
        heights, weights = heights[ids], weights[ids]
    if sampling.top_p < 1:
        head = _head(heights, weights, sampling.top_p * float(weights.sum(dtype=WIDE)))
        ids, weights = head if ids is None else ids[head], weights[head]
    if sampling.min_p > 0:
        # The most probable token's weight is exactly 1.
        enough = torch.nonzero(weights >= sampling.min_p).flatten()
        ids, weights = enough if ids is None else ids[enough], weights[enough]
    return Distribution(ids, weights)


def log_probabilities(logits: torch.Tensor, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """Natural logarithms of the model's own probabilities, whatever the sampling is.

    Returns that of `token`, and the ids and logarithms of the `count` most probable tokens, best first.
    """
    logs = torch.log_softmax(logits, dim=-1)
    best = logs.topk(min(count, len(logs)))
    return float(logs[token]), list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def _head(heights: torch.Tensor, weights: torch.Tensor | None, target: float) -> torch.Tensor:
    """Places, ascending, of the fewest highest `heights` (at most 0, ties by place) whose `weights` reach `target`.

    Without weights each counts 1. A sort of a whole vocabulary takes fifty times as long as this: heights are counted
    into bins, and only those in the one bin that the border falls into are sorted.
    """
    bins = (heights * (-BINS / SPAN)).clamp_(max=BINS - 1).to(torch.int32)
    totals = torch.bincount(bins, weights=None if weights is None else weights.to(WIDE), minlength=BINS).cumsum(dim=0)
    edge = min(int(torch.searchsorted(totals, target)), BINS - 1)
    near = torch.nonzero(bins <= edge).flatten()
    border = torch.nonzero(bins[near] == edge).flatten()
    border = border[heights[near[border]].sort(descending=True, stable=True).indices]
    masses = torch.ones(len(border)) if weights is None else weights[near[border]]
    reached = masses.cumsum(dim=0, dtype=WIDE) + (totals[edge - 1] if edge else 0)
    beyond = border[int(torch.searchsorted(reached, target)) + 1 :]
    return near[torch.ones(len(near), dtype=torch.bool).index_fill_(0, beyond, value=False)]
