"""Trains the UNet to take noise out of latents, guided by the captions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
        chosen, rows = self.draw_rows(count, random)
        return self.latents[chosen].float(), self.words(rows)

    def draw_rows(self, count: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """The numbers of some latents, and the rows of one caption of each."""
        chosen = torch.multinomial(self.probabilities, count, replacement=True, generator=random)
        first, last = self.starts[chosen], self.starts[chosen + 1]
        place = first + (torch.rand(count, generator=random) * (last - first)).long().clamp(max=last - first - 1)
        rows = self.captions[place]
        rows[torch.rand(count, generator=random) < EMPTY_SHARE] = self.empty
        return chosen, rows

    def words(self, rows: torch.Tensor) -> torch.Tensor:
        """The states of captions: N × tokens × width."""
        return torch.from_numpy(self.states[rows.numpy()]).float()


class DenoiserTask:
    """Velocity prediction with weights like those of min-SNR (Hang et al., arXiv 2303.09556); see `loop.Task`.

    Theirs vanish where there is noise alone, which is where every picture begins. So it is SNR + 1, the weight that an
    error of the velocity has for the clean picture, that is limited here.
    """

    batch = 32
    rate = 5e-4
    decay = 0.999

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
        """The weighted squared error of the velocity; each half of the batch is spread evenly over its steps."""
        latents, states = self._lesson.draw(self.batch, random)
        places = (torch.arange(self.batch) // 2 + torch.rand(self.batch, generator=random)) * 2 / self.batch
        places[1::2] = 1 - NOISIEST * places[1::2]
        steps = (places * len(self._weights)).long().clamp(max=len(self._weights) - 1)
        noise = torch.randn(latents.shape, generator=random)
        noisy = self._scheduler.add_noise(latents, noise, steps)
        wanted = self._scheduler.get_velocity(latents, noise, steps)
        with mixed_precision(self._device):
            made = self.module(noisy.to(self._device), steps.to(self._device), states.to(self._device)).sample
        error = (made.float() - wanted.to(self._device)).square().mean(dim=(1, 2, 3))
        loss: torch.Tensor = (error * self._weights[steps].to(self._device)).mean()
        return loss

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
