"""The training task of the UNet: to remove noise from latents, guided by captions and by drawings of the same things.

Retrieval-augmented diffusion: Blattmann et al., arXiv 2204.11824; Sheynin et al., “kNN-Diffusion”, arXiv 2204.02849.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from research.pictures.training.networks import make_scheduler, predict_velocity, timesteps_at, use_plain_attention
from research.pictures.training.samples import draw_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderKL, UNet2DConditionModel

    from research.pictures.training.dataset import TrainingSet

SNR_LIMIT = 5.0
NOISY_PART = 0.25
"""The noisiest part of the steps, in which the words decide what is drawn. Every fourth picture is shown there."""
SAMPLE_COUNT = 32


class DenoiserTask:
    """Trains velocity prediction with loss weights like min-SNR (Hang et al., arXiv 2303.09556); see `loop.Task`.

    The weights of that paper vanish for pure noise, from which every picture starts. So SNR + 1 is limited here, which
    is the weight that an error of the velocity has for the clean picture.
    """

    batch = 32
    rate = 5e-4
    decay = 0.9995

    def __init__(
        self, module: UNet2DConditionModel, training_set: TrainingSet, autoencoder: AutoencoderKL, samples: Path
    ) -> None:
        # In this memory format, a step takes an eighth less time.
        self.module = module.to(memory_format=torch.channels_last)
        use_plain_attention(module)
        self._training_set = training_set
        self._autoencoder = autoencoder
        self._samples = samples
        self._scheduler = make_scheduler()
        self._device = next(module.parameters()).device
        ratio = 1 / (1 - self._scheduler.alphas_cumprod)
        self._weights = (SNR_LIMIT + 1) / ratio.clamp(min=SNR_LIMIT + 1)

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """Return the mean weighted error of a batch. Three quarters are spread over all steps."""
        latents, states, references = self._training_set.draw(self.batch, random)
        noise_levels = (torch.arange(self.batch) + torch.rand(self.batch, generator=random)) / self.batch
        noise_levels[::4] = 1 - NOISY_PART * noise_levels[::4]
        steps = timesteps_at(noise_levels)
        noise = torch.randn(latents.shape, generator=random)
        noisy = self._scheduler.add_noise(latents, noise, steps)
        targets = self._scheduler.get_velocity(latents, noise, steps).to(self._device)
        predicted = predict_velocity(self.module, self._device, noisy, steps, states, references)
        errors = (predicted - targets).square().mean(dim=(1, 2, 3))
        weighted: torch.Tensor = (errors * self._weights[steps].to(self._device)).mean()
        return weighted

    def show(self, averaged: UNet2DConditionModel, step: int) -> None:
        """Save a sheet of samples, with the same captions, references and noise each time."""
        batch = self._training_set.draw(SAMPLE_COUNT, torch.Generator().manual_seed(0))
        self._samples.mkdir(parents=True, exist_ok=True)
        draw_sheet(averaged, self._autoencoder, batch).save(self._samples / f"{step:06}.png")
