"""Trains the UNet to take noise out of latents, guided by the captions.

What a description should do is known once names are: the same as the name of its thing. Then the network's own moving
average, given the name, is the teacher, and says without chance what pictures and their noise say only in the mean:
Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531; Tarvainen and Valpola, "Mean
teachers are better role models", arXiv 1703.01780.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from diffusers import StableDiffusionPipeline

from model_server.training.images.dataset import NOTHING
from model_server.training.images.networks import make_scheduler, steps_at, train_quickly, velocity
from model_server.training.images.recogniser import cross_entropy, guessed
from model_server.training.images.samples import draw_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderKL, UNet2DConditionModel

    from model_server.training.images.dataset import TrainingSet
    from model_server.training.images.text_encoder import TextEncoder

SNR_LIMIT = 5.0
NOISIEST = 0.2
"""The part of the steps, from noise alone on, where words decide what is drawn: every second picture is shown there."""
NOISY_DESCRIPTIONS = 0.75
"""How many descriptions are shown there, once they are learnt."""
DESCRIPTION_WEIGHT = 4.0
"""How much a description's error counts: without chance in it, it is so much smaller."""
RECOGNITION_WEIGHT = 0.2
"""How much it counts beside the errors whether the thing that was asked for is seen in a guess."""


class _Rows(NamedTuple):
    """What the network is shown: latents with noise, steps and the words' states; and what it should find.

    These are velocities, and the numbers of the things that should be seen in what they mean.
    """

    noisy: torch.Tensor
    steps: torch.Tensor
    states: torch.Tensor
    wanted: torch.Tensor
    things: torch.Tensor


class DenoiserTask:
    """Velocity prediction with weights like those of min-SNR (Hang et al., arXiv 2303.09556); see `loop.Task`.

    Theirs vanish where there is noise alone, which is where every picture begins. So it is SNR + 1, the weight that an
    error of the velocity has for the clean picture, that is limited here.
    """

    batch = 32
    described = 10
    """How many of a batch are descriptions, once there is a teacher."""
    rate = 5e-4
    decay = 0.999
    teacher: UNet2DConditionModel | None = None
    recogniser: torch.nn.Module | None = None

    def __init__(
        self,
        module: UNet2DConditionModel,
        lesson: TrainingSet,
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
        """The mean of the weighted errors of a batch, and of how hard its things are to recognise.

        Some are descriptions once there is a teacher, and things are looked for once there is a recogniser.
        """
        described = 0 if self.teacher is None else self.described
        rows = self._pictures(self.batch - described, random)
        if self.teacher is not None:
            rows = _Rows(*map(torch.cat, zip(rows, self._descriptions(self.teacher, random), strict=True)))
        made = velocity(self.module, self._device, rows.noisy, rows.steps, rows.states)
        errors: torch.Tensor = (made - rows.wanted).square().mean(dim=(1, 2, 3))
        weights = self._weights[rows.steps]
        weights[self.batch - described :] *= DESCRIPTION_WEIGHT
        total: torch.Tensor = (errors * weights.to(self._device)).mean()
        return total if self.recogniser is None else total + self._unseen(self.recogniser, rows, made, random)

    def _pictures(self, count: int, random: torch.Generator) -> _Rows:
        """Pictures with their captions; each half is spread evenly over its steps."""
        latents, states, things = self._lesson.draw(count, random)
        places = (torch.arange(count) // 2 + torch.rand(count, generator=random)) * 2 / count
        places[1::2] = 1 - NOISIEST * places[1::2]
        steps = steps_at(places)
        noise = torch.randn(latents.shape, generator=random)
        wanted = self._scheduler.get_velocity(latents, noise, steps)
        return _Rows(self._scheduler.add_noise(latents, noise, steps), steps, states, wanted.to(self._device), things)

    def _descriptions(self, teacher: UNet2DConditionModel, random: torch.Generator) -> _Rows:
        """Pictures of things with a description of each, and what `teacher` finds by the names of the things."""
        (latents, said, things), names = self._lesson.draw_described(self.described, random)
        places = torch.rand(self.described, generator=random)
        noisy = torch.rand(self.described, generator=random) < NOISY_DESCRIPTIONS
        steps = steps_at(torch.where(noisy, 1 - NOISIEST * places, places))
        shown = self._scheduler.add_noise(latents, torch.randn(latents.shape, generator=random), steps)
        with torch.no_grad():
            wanted = velocity(teacher, self._device, shown, steps, names)
        return _Rows(shown, steps, said, wanted, things)

    def _unseen(
        self, recogniser: torch.nn.Module, rows: _Rows, made: torch.Tensor, random: torch.Generator
    ) -> torch.Tensor:
        """How hard it is to see in what the velocities mean which things were asked for, weighted; 0 without things."""
        asked = rows.things != NOTHING
        kept = self._scheduler.alphas_cumprod[rows.steps[asked]].to(self._device)
        guesses = guessed(rows.noisy[asked].to(self._device), made[asked.to(self._device)], kept)
        far = cross_entropy(recogniser, guesses, rows.things[asked].to(self._device), random)
        mean: torch.Tensor = far.sum() / len(rows.things)
        return RECOGNITION_WEIGHT * mean

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
