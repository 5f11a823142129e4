"""The training set of the UNet: latents, the hidden states of their captions, and the things that they show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    import numpy as np

    from research.pictures.training.text_encoder import TextStates

EMPTY_CAPTION_SHARE = 0.1
"""The share of captions that are left empty, which classifier-free guidance needs."""
NO_THING = -1
"""Takes the place of a thing's number if a picture shows several things, or none that has a name."""


@dataclass(frozen=True)
class ThingWords:
    """The words for one thing.

    `latents` are numbers of latents that show the thing, and `styles` is the style of each. `names` are the rows of
    the thing's name in `TrainingSet.states`, one for each style; `descriptions` (styles × descriptions) those of its
    descriptions. `frequencies` says how often each description is drawn, relative to the others.
    """

    names: torch.Tensor
    descriptions: torch.Tensor
    latents: torch.Tensor
    styles: torch.Tensor
    frequencies: torch.Tensor


class TrainingBatch(NamedTuple):
    """Latents, the hidden states of a text for each (N × tokens × width), and the numbers of the things in them."""

    latents: torch.Tensor
    states: torch.Tensor
    things: torch.Tensor


@dataclass(frozen=True)
class TrainingSet:
    """Latents (N × 4 × 16 × 16), the probability with which each is drawn, and their captions.

    `captions[starts[i]:starts[i + 1]]` are the captions of latent i, as rows of `states`; row `empty` is the empty
    caption. `things` has the number of the one thing that each latent shows, or NO_THING.
    """

    latents: torch.Tensor
    probabilities: torch.Tensor
    captions: torch.Tensor
    starts: torch.Tensor
    states: np.ndarray | TextStates
    empty: int
    things: torch.Tensor
    thing_words: list[ThingWords] = field(default_factory=list)

    def draw(self, count: int, random: torch.Generator) -> TrainingBatch:
        """Draw latents, each with one of its captions or sometimes with the empty one."""
        indices = torch.multinomial(self.probabilities, count, replacement=True, generator=random)
        rows = self._draw_captions(indices, random)
        rows[torch.rand(count, generator=random) < EMPTY_CAPTION_SHARE] = self.empty
        things = torch.where(rows == self.empty, NO_THING, self.things[indices])
        return TrainingBatch(self.latents[indices].float(), self._states_at(rows), things)

    def draw_named(self, count: int, random: torch.Generator) -> TrainingBatch:
        """Draw latents that show one thing, each with one of its captions."""
        probabilities = self.probabilities * (self.things != NO_THING)
        indices = torch.multinomial(probabilities, count, replacement=True, generator=random)
        states = self._states_at(self._draw_captions(indices, random))
        return TrainingBatch(self.latents[indices].float(), states, self.things[indices])

    def draw_described(self, count: int, random: torch.Generator) -> tuple[TrainingBatch, torch.Tensor]:
        """Draw things, all equally likely: a latent and a description of each, and the states of their names."""
        drawn = [
            self.thing_words[number] for number in torch.randint(len(self.thing_words), (count,), generator=random)
        ]
        places = [torch.randint(len(one.latents), (), generator=random) for one in drawn]
        indices = torch.stack([one.latents[place] for one, place in zip(drawn, places, strict=True)])
        styles = [one.styles[place] for one, place in zip(drawn, places, strict=True)]
        numbers = [torch.multinomial(one.frequencies, 1, generator=random) for one in drawn]
        words = zip(drawn, styles, numbers, strict=True)
        rows = torch.cat([one.descriptions[style, number] for one, style, number in words])
        names = torch.stack([one.names[style] for one, style in zip(drawn, styles, strict=True)])
        batch = TrainingBatch(self.latents[indices].float(), self._states_at(rows), self.things[indices])
        return batch, self._states_at(names)

    def _draw_captions(self, indices: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """Draw one caption for each of these latents, as a row of `states`."""
        first, last = self.starts[indices], self.starts[indices + 1]
        offset = (torch.rand(len(indices), generator=random) * (last - first)).long().clamp(max=last - first - 1)
        return self.captions[first + offset]

    def _states_at(self, rows: torch.Tensor) -> torch.Tensor:
        """Return these rows of `states`: N × tokens × width, float32."""
        return torch.from_numpy(self.states[rows.numpy()]).float()
