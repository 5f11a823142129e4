"""The training task of the UNet: to remove noise from latents, guided by captions.

Once the UNet knows the names of things, it learns descriptions from them: a description should have the same effect as
the name of its thing. The teacher is the UNet's own moving average, which is given the name. Its target is free of the
random noise that single pictures have: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv
1503.02531; Tarvainen and Valpola, "Mean teachers are better role models", arXiv 1703.01780.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from diffusers import StableDiffusionPipeline

from research.pictures.training.dataset import NO_THING
from research.pictures.training.networks import make_scheduler, predict_velocity, timesteps_at, use_plain_attention
from research.pictures.training.recogniser import cross_entropy, estimate_clean_latents
from research.pictures.training.samples import draw_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderKL, UNet2DConditionModel

    from research.pictures.training.dataset import TrainingSet
    from research.pictures.training.text_encoder import TextEncoder

SNR_LIMIT = 5.0
NOISY_PART = 0.2
"""The noisiest part of the steps, in which the words decide what is drawn. Every second picture is shown there."""
NOISY_DESCRIPTION_SHARE = 0.75
"""The share of descriptions that are shown in the noisiest part."""
DESCRIPTION_WEIGHT = 4.0
"""The weight of a description's error, which is smaller because its target has no noise."""
RECOGNITION_WEIGHT = 0.2
"""The weight of the recogniser's cross entropy in the loss."""


class _DenoisingBatch(NamedTuple):
    """Inputs of the UNet (noisy latents, steps, states of texts) and its targets (velocities, numbers of things)."""

    noisy: torch.Tensor
    steps: torch.Tensor
    states: torch.Tensor
    targets: torch.Tensor
    things: torch.Tensor


class DenoiserTask:
    """Trains velocity prediction with loss weights like min-SNR (Hang et al., arXiv 2303.09556); see `loop.Task`.

    The weights of that paper vanish for pure noise, from which every picture starts. So SNR + 1 is limited here, which
    is the weight that an error of the velocity has for the clean picture.
    """

    batch = 32
    descriptions_per_batch = 10
    """The number of descriptions in a batch once there is a teacher."""
    rate = 5e-4
    decay = 0.999
    teacher: UNet2DConditionModel | None = None
    recogniser: torch.nn.Module | None = None

    def __init__(
        self,
        module: UNet2DConditionModel,
        training_set: TrainingSet,
        autoencoder: AutoencoderKL,
        encoder: TextEncoder,
        samples: Path,
    ) -> None:
        # In this memory format, a step takes an eighth less time.
        self.module = module.to(memory_format=torch.channels_last)
        use_plain_attention(module)
        self._training_set = training_set
        self._autoencoder = autoencoder
        self._encoder = encoder
        self._samples = samples
        self._scheduler = make_scheduler()
        self._device = next(module.parameters()).device
        ratio = 1 / (1 - self._scheduler.alphas_cumprod)
        self._weights = (SNR_LIMIT + 1) / ratio.clamp(min=SNR_LIMIT + 1)

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """Return the mean weighted error of a batch, and with a recogniser also its weighted cross entropy.

        With a teacher, some rows of the batch are descriptions.
        """
        description_count = 0 if self.teacher is None else self.descriptions_per_batch
        rows = self._picture_rows(self.batch - description_count, random)
        if self.teacher is not None:
            rows = _DenoisingBatch(
                *map(torch.cat, zip(rows, self._description_rows(self.teacher, random), strict=True))
            )
        predicted = predict_velocity(self.module, self._device, rows.noisy, rows.steps, rows.states)
        errors: torch.Tensor = (predicted - rows.targets).square().mean(dim=(1, 2, 3))
        weights = self._weights[rows.steps]
        weights[self.batch - description_count :] *= DESCRIPTION_WEIGHT
        total: torch.Tensor = (errors * weights.to(self._device)).mean()
        return (
            total
            if self.recogniser is None
            else total + self._recognition_loss(self.recogniser, rows, predicted, random)
        )

    def _picture_rows(self, count: int, random: torch.Generator) -> _DenoisingBatch:
        """Draw pictures with their captions; one half is spread over all steps, the other over the noisiest."""
        latents, states, things = self._training_set.draw(count, random)
        noise_levels = (torch.arange(count) // 2 + torch.rand(count, generator=random)) * 2 / count
        noise_levels[1::2] = 1 - NOISY_PART * noise_levels[1::2]
        steps = timesteps_at(noise_levels)
        noise = torch.randn(latents.shape, generator=random)
        targets = self._scheduler.get_velocity(latents, noise, steps)
        return _DenoisingBatch(
            self._scheduler.add_noise(latents, noise, steps), steps, states, targets.to(self._device), things
        )

    def _description_rows(self, teacher: UNet2DConditionModel, random: torch.Generator) -> _DenoisingBatch:
        """Draw pictures with a description of each, and as targets what `teacher` predicts by the things' names."""
        (latents, states, things), names = self._training_set.draw_described(self.descriptions_per_batch, random)
        noise_levels = torch.rand(self.descriptions_per_batch, generator=random)
        is_noisy = torch.rand(self.descriptions_per_batch, generator=random) < NOISY_DESCRIPTION_SHARE
        steps = timesteps_at(torch.where(is_noisy, 1 - NOISY_PART * noise_levels, noise_levels))
        noisy = self._scheduler.add_noise(latents, torch.randn(latents.shape, generator=random), steps)
        with torch.no_grad():
            targets = predict_velocity(teacher, self._device, noisy, steps, names)
        return _DenoisingBatch(noisy, steps, states, targets, things)

    def _recognition_loss(
        self, recogniser: torch.nn.Module, rows: _DenoisingBatch, predicted: torch.Tensor, random: torch.Generator
    ) -> torch.Tensor:
        """Return the weighted cross entropy of the recogniser for the requested things; 0 if there are none."""
        has_thing = rows.things != NO_THING
        alphas = self._scheduler.alphas_cumprod[rows.steps[has_thing]].to(self._device)
        estimates = estimate_clean_latents(
            rows.noisy[has_thing].to(self._device), predicted[has_thing.to(self._device)], alphas
        )
        losses = cross_entropy(recogniser, estimates, rows.things[has_thing].to(self._device), random)
        mean: torch.Tensor = losses.sum() / len(rows.things)
        return RECOGNITION_WEIGHT * mean

    def show(self, averaged: UNet2DConditionModel, step: int) -> None:
        """Save a sheet of samples, with the same prompts and noise each time."""
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
