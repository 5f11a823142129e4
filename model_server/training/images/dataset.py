"""What the UNet is trained on: latents, their captions as hidden states, and the things that they show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    import numpy as np

EMPTY_SHARE = 0.1
"""How many captions are left out, so that the network also learns what guidance leads away from."""
NOTHING = -1
"""In the place of a thing's number: several things are shown, or none that has a name."""


@dataclass(frozen=True)
class ThingWords:
    """A thing's name and its descriptions, as rows of `TrainingSet.states`, and its latents' numbers.

    `often` says how often each description is shown, beside the others.
    """

    name: int
    descriptions: torch.Tensor
    latents: torch.Tensor
    often: torch.Tensor


class TrainingBatch(NamedTuple):
    """Latents, the states of words for each (N × tokens × width), and the numbers of the things in them."""

    latents: torch.Tensor
    states: torch.Tensor
    things: torch.Tensor


@dataclass(frozen=True)
class TrainingSet:
    """What is learnt: latents (N × 4 × 16 × 16), how likely each is drawn, and its captions.

    The captions of latent i are numbers `captions[starts[i]:starts[i + 1]]` of rows in `states`, whose row `empty` is
    that of the empty caption. `things` are the numbers of the one thing that each latent shows, or NOTHING.
    """

    latents: torch.Tensor
    probabilities: torch.Tensor
    captions: torch.Tensor
    starts: torch.Tensor
    states: np.ndarray
    empty: int
    things: torch.Tensor
    wordings: list[ThingWords] = field(default_factory=list)

    def draw(self, count: int, random: torch.Generator) -> TrainingBatch:
        """Some latents, each with one of its captions or, at times, with none."""
        chosen = torch.multinomial(self.probabilities, count, replacement=True, generator=random)
        rows = self._captions(chosen, random)
        rows[torch.rand(count, generator=random) < EMPTY_SHARE] = self.empty
        things = torch.where(rows == self.empty, NOTHING, self.things[chosen])
        return TrainingBatch(self.latents[chosen].float(), self._words(rows), things)

    def draw_named(self, count: int, random: torch.Generator) -> TrainingBatch:
        """Some latents that show one thing, each with one of its captions."""
        likely = self.probabilities * (self.things != NOTHING)
        chosen = torch.multinomial(likely, count, replacement=True, generator=random)
        return TrainingBatch(
            self.latents[chosen].float(), self._words(self._captions(chosen, random)), self.things[chosen]
        )

    def draw_described(self, count: int, random: torch.Generator) -> tuple[TrainingBatch, torch.Tensor]:
        """Latents of some things, all equally likely, with one description of each; and the states of their names."""
        things = [self.wordings[place] for place in torch.randint(len(self.wordings), (count,), generator=random)]
        shown = torch.stack([one.latents[torch.randint(len(one.latents), (), generator=random)] for one in things])
        said = torch.cat([one.descriptions[torch.multinomial(one.often, 1, generator=random)] for one in things])
        names = torch.tensor([thing.name for thing in things])
        return TrainingBatch(self.latents[shown].float(), self._words(said), self.things[shown]), self._words(names)

    def _captions(self, chosen: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """A row of `states` for each of the latents with these numbers."""
        first, last = self.starts[chosen], self.starts[chosen + 1]
        place = first + (torch.rand(len(chosen), generator=random) * (last - first)).long().clamp(max=last - first - 1)
        return self.captions[place]

    def _words(self, rows: torch.Tensor) -> torch.Tensor:
        """The states of captions: N × tokens × width."""
        return torch.from_numpy(self.states[rows.numpy()]).float()
