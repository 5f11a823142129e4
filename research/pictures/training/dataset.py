"""The training set of the UNet: latents, the hidden states of their captions, and the drawings to look at."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    import numpy as np

    from research.pictures.training.references import References
    from research.pictures.training.text_encoder import TextStates

EMPTY_CAPTION_SHARE = 0.1
"""The share of captions that are left empty, which classifier-free guidance needs."""
BLIND_SHARE = 0.6
"""The share of pictures with empty captions that have no references, either."""


class TrainingBatch(NamedTuple):
    """Latents (N × 4 × 16 × 16), the states of a text for each (N × tokens × width), and its references.

    References are N × 16 × 16 × 16: the latents of SLOTS drawings one after the other, with zeros in free slots.
    """

    latents: torch.Tensor
    states: torch.Tensor
    references: torch.Tensor


@dataclass(frozen=True)
class TrainingSet:
    """Latents (N × 4 × 16 × 16), the probability with which each is drawn, their captions, and their references.

    `captions[starts[i]:starts[i + 1]]` are the captions of latent i, as rows of `states`; row `empty` is the empty
    caption.
    """

    latents: torch.Tensor
    probabilities: torch.Tensor
    captions: torch.Tensor
    starts: torch.Tensor
    states: np.ndarray | TextStates
    empty: int
    references: References

    def draw(self, count: int, random: torch.Generator) -> TrainingBatch:
        """Draw latents, each with one of its captions or sometimes with the empty one, and with references."""
        indices = torch.multinomial(self.probabilities, count, replacement=True, generator=random)
        first, last = self.starts[indices], self.starts[indices + 1]
        offset = (torch.rand(count, generator=random) * (last - first)).long().clamp(max=last - first - 1)
        is_empty = torch.rand(count, generator=random) < EMPTY_CAPTION_SHARE
        rows = torch.where(is_empty, self.empty, self.captions[first + offset])
        states = torch.from_numpy(self.states[rows.numpy()]).float()
        is_blind = is_empty & (torch.rand(count, generator=random) < BLIND_SHARE)
        references = self._draw_references(indices, random)
        references[is_blind] = 0
        return TrainingBatch(self.latents[indices].float(), states, references)

    def _draw_references(self, indices: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        seed = int(torch.randint(2**62, (), generator=random))
        choice = Random(seed)  # noqa: S311 - reproducible, not secret
        chosen = [self.references.choose(number, choice) for number in indices.tolist()]
        numbers = torch.tensor([[-1 if one is None else one for one in slots] for slots in chosen])
        latents = self.latents[numbers].float() * (numbers >= 0)[..., None, None, None]
        return latents.flatten(1, 2)
