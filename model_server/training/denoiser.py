"""Trains the UNet to take noise out of latents, guided by the captions.

What a description should do is known once names are: the same as the name of its thing. Then the network's own moving
average, given the name, is the teacher, and says without chance what pictures and their noise say only in the mean:
Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531; Tarvainen and Valpola, "Mean
teachers are better role models", arXiv 1703.01780.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from diffusers import StableDiffusionPipeline

from model_server.training.networks import make_scheduler, mixed_precision, train_quickly
from model_server.training.samples import draw_sheet

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from diffusers import AutoencoderKL, UNet2DConditionModel

    from model_server.training.words import TextEncoder

EMPTY_SHARE = 0.1
"""How many captions are left out, so that the network also learns what guidance leads away from."""
SNR_LIMIT = 5.0
NOISIEST = 0.2
"""The part of the steps, from noise alone on, where words decide what is drawn: every second picture is shown there."""
NOISY_DESCRIPTIONS = 0.75
"""How many descriptions are shown there, once they are learnt."""
DESCRIPTION_WEIGHT = 4.0
"""How much a description's error counts: without chance in it, it is so much smaller."""


@dataclass(frozen=True)
class Wording:
    """A thing's name and its descriptions, as rows of `Lesson.states`, and its latents' numbers."""

    name: int
    descriptions: torch.Tensor
    latents: torch.Tensor


@dataclass(frozen=True)
class Lesson:
    """What is learnt: latents (N × 4 × 16 × 16), how likely each is drawn, and its captions.

    The captions of latent i are numbers `captions[starts[i]:starts[i + 1]]` of rows in `states`, whose row `empty` is
    that of the empty caption.
    """

    latents: torch.Tensor
    probabilities: torch.Tensor
    captions: torch.Tensor
    starts: torch.Tensor
    states: np.ndarray
    empty: int
    wordings: list[Wording] = field(default_factory=list)

    def draw(self, count: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Some latents, and the states of one caption of each."""
        chosen = torch.multinomial(self.probabilities, count, replacement=True, generator=random)
        first, last = self.starts[chosen], self.starts[chosen + 1]
        place = first + (torch.rand(count, generator=random) * (last - first)).long().clamp(max=last - first - 1)
        rows = self.captions[place]
        rows[torch.rand(count, generator=random) < EMPTY_SHARE] = self.empty
        return self.latents[chosen].float(), self._words(rows)

    def draw_described(self, count: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents of some things, all equally likely, and the states of their names and of one description of each."""
        things = [self.wordings[place] for place in torch.randint(len(self.wordings), (count,), generator=random)]
        shown, said = (
            torch.stack([rows[torch.randint(len(rows), (), generator=random)] for rows in choices])
            for choices in ([thing.latents for thing in things], [thing.descriptions for thing in things])
        )
        names = torch.tensor([thing.name for thing in things])
        return self.latents[shown].float(), self._words(names), self._words(said)

    def _words(self, rows: torch.Tensor) -> torch.Tensor:
        """The states of captions: N × tokens × width."""
        return torch.from_numpy(self.states[rows.numpy()]).float()


class _Rows(NamedTuple):
    """What the network is shown: latents with noise, steps and the words' states; and the velocities it should find."""

    noisy: torch.Tensor
    steps: torch.Tensor
    states: torch.Tensor
    wanted: torch.Tensor


class DenoiserTask:
    """Velocity prediction with weights like those of min-SNR (Hang et al., arXiv 2303.09556); see `loop.Task`.

    Theirs vanish where there is noise alone, which is where every picture begins. So it is SNR + 1, the weight that an
    error of the velocity has for the clean picture, that is limited here.
    """

    batch = 32
    described = 12
    """How many of a batch are descriptions, once there is a teacher."""
    rate = 5e-4
    decay = 0.999
    teacher: UNet2DConditionModel | None = None

    def __init__(
        self,
        module: UNet2DConditionModel,
        lesson: Lesson,
        autoencoder: AutoencoderKL,
        encoder: TextEncoder,
        samples: Path,
    ) -> None:
        self.module = module
        train_quickly(module)
        self._lesson = lesson
        self._autoencoder = autoencoder
        self._encoder = encoder
        self._samples = samples
        self._scheduler = make_scheduler()
        self._device = next(module.parameters()).device
        ratio = 1 / (1 - self._scheduler.alphas_cumprod)
        self._weights = (SNR_LIMIT + 1) / ratio.clamp(min=SNR_LIMIT + 1)

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """The mean of the weighted errors of a batch, in which some are descriptions once there is a teacher."""
        if self.teacher is None:
            return self._errors(self._pictures(self.batch, random)).mean()
        pictures = self._pictures(self.batch - self.described, random)
        rows = _Rows(*map(torch.cat, zip(pictures, self._descriptions(self.teacher, random), strict=True)))
        errors = self._errors(rows)
        errors[-self.described :] *= DESCRIPTION_WEIGHT
        return errors.mean()

    def _pictures(self, count: int, random: torch.Generator) -> _Rows:
        """Pictures with their captions; each half is spread evenly over its steps."""
        latents, states = self._lesson.draw(count, random)
        places = (torch.arange(count) // 2 + torch.rand(count, generator=random)) * 2 / count
        places[1::2] = 1 - NOISIEST * places[1::2]
        steps = self._steps(places)
        noise = torch.randn(latents.shape, generator=random)
        wanted = self._scheduler.get_velocity(latents, noise, steps)
        return _Rows(self._scheduler.add_noise(latents, noise, steps), steps, states, wanted.to(self._device))

    def _descriptions(self, teacher: UNet2DConditionModel, random: torch.Generator) -> _Rows:
        """Pictures of things with a description of each, and what `teacher` finds by the names of the things."""
        latents, names, descriptions = self._lesson.draw_described(self.described, random)
        places = torch.rand(self.described, generator=random)
        noisy = torch.rand(self.described, generator=random) < NOISY_DESCRIPTIONS
        steps = self._steps(torch.where(noisy, 1 - NOISIEST * places, places))
        shown = self._scheduler.add_noise(latents, torch.randn(latents.shape, generator=random), steps)
        with torch.no_grad():
            wanted = self._velocity(teacher, shown, steps, names)
        return _Rows(shown, steps, descriptions, wanted)

    def _steps(self, places: torch.Tensor) -> torch.Tensor:
        """The steps at places from 0, where hardly any noise is, to 1."""
        return (places * len(self._weights)).long().clamp(max=len(self._weights) - 1)

    def _errors(self, rows: _Rows) -> torch.Tensor:
        """How wrong the velocities are that the network finds, weighted by their steps."""
        made = self._velocity(self.module, rows.noisy, rows.steps, rows.states)
        errors: torch.Tensor = (made - rows.wanted).square().mean(dim=(1, 2, 3))
        weighted: torch.Tensor = errors * self._weights[rows.steps].to(self._device)
        return weighted

    def _velocity(
        self, unet: UNet2DConditionModel, noisy: torch.Tensor, steps: torch.Tensor, states: torch.Tensor
    ) -> torch.Tensor:
        with mixed_precision(self._device):
            made = unet(*(part.to(self._device) for part in (noisy, steps, states))).sample
        velocity: torch.Tensor = made.float()
        return velocity

    def show(self, averaged: UNet2DConditionModel, step: int) -> None:
        """A sheet of samples, of the same prompts and noise each time."""
        pipeline = StableDiffusionPipeline(
            vae=self._autoencoder,
            text_encoder=self._encoder.model,
            tokenizer=self._encoder.tokenizer,
            unet=averaged,
            scheduler=make_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        self._samples.mkdir(parents=True, exist_ok=True)
        draw_sheet(pipeline).save(self._samples / f"{step:06}.png")
