"""The recogniser: a classifier of latents that tells the UNet whether the requested thing can be recognised.

The mean squared error hardly sees which thing an estimate shows: a brown blob is near to a dog and to a bear. So the
cross entropy of a classifier is added to the loss, which Xu et al. call reward feedback (“ImageReward”, arXiv
2304.05977, section 3). Here the reward is that the requested thing is recognised.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from research.pictures.training.networks import (
    LATENT_CHANNELS,
    make_scheduler,
    mixed_precision,
    predict_velocity,
    timesteps_at,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffusers import UNet2DConditionModel

    from research.pictures.training.dataset import TrainingSet

WIDTHS = (48, 96, 192)
"""The channels of each level, from the finest to the coarsest."""
GROUPS = 8
SMOOTHING = 0.05
MAX_SHIFT = 2
"""The number of positions by which latents are shifted at most in each direction."""
MAX_NOISE = 0.35
"""The standard deviation of the noise that is added to latents, at most, relative to their own of 1."""


class _ResidualBlock(nn.Module):
    """Two convolutions with a residual connection. The names of its layers are keys of saved states."""

    def __init__(self, width: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.first, self.second = nn.GroupNorm(GROUPS, width), nn.GroupNorm(GROUPS, out)
        self.into, self.on = nn.Conv2d(width, out, 3, stride, 1), nn.Conv2d(out, out, 3, 1, 1)
        self.short = nn.Conv2d(width, out, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        inner = self.into(functional.silu(self.first(latents)))
        short: torch.Tensor = self.short(latents)
        long: torch.Tensor = self.on(functional.silu(self.second(inner)))
        return short + long


def make_recogniser(things: int, seed: int, widths: Sequence[int] = WIDTHS) -> nn.Sequential:
    """Make the network from N × 4 × 16 × 16 latents to N × things scores."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.Conv2d(LATENT_CHANNELS, widths[0], 3, 1, 1), _ResidualBlock(widths[0], widths[0])]
        for width, out in pairwise(widths):
            layers += [_ResidualBlock(width, out, 2), _ResidualBlock(out, out)]
        last = [nn.GroupNorm(GROUPS, widths[-1]), nn.SiLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        return nn.Sequential(*layers, *last, nn.Linear(4 * widths[-1], things))


def cross_entropy(
    recogniser: nn.Module, latents: torch.Tensor, things: torch.Tensor, random: torch.Generator
) -> torch.Tensor:
    """Return the cross entropy of each of N × 4 × 16 × 16 latents for its thing: N numbers.

    All latents are shifted alike and get noise, so that no single position or number decides.
    """
    down, across = (int(shift) for shift in torch.randint(-MAX_SHIFT, MAX_SHIFT + 1, (2,), generator=random))
    edges = functional.pad(latents, (MAX_SHIFT,) * 4, mode="replicate")
    side = latents.shape[-1]
    moved = edges[..., MAX_SHIFT + down : MAX_SHIFT + down + side, MAX_SHIFT + across : MAX_SHIFT + across + side]
    strength = MAX_NOISE * torch.rand(len(latents), 1, 1, 1, generator=random)
    noise = (strength * torch.randn(latents.shape, generator=random)).to(latents.device)
    with mixed_precision(latents.device):
        scores = recogniser(moved + noise)
    losses: torch.Tensor = functional.cross_entropy(scores.float(), things, reduction="none", label_smoothing=SMOOTHING)
    return losses


def estimate_clean_latents(noisy: torch.Tensor, velocity: torch.Tensor, alphas: torch.Tensor) -> torch.Tensor:
    """Return the clean latents that a predicted velocity implies, from the `alphas_cumprod` of each row."""
    alphas = alphas.view(-1, 1, 1, 1)
    return alphas.sqrt() * noisy - (1 - alphas).sqrt() * velocity


class RecogniserTask:
    """Trains the recogniser on latents that show one thing (see `loop.Task`).

    Half of each batch are clean latents, half are estimates of `unet` from noisy ones. The noisier its input is, the
    more blurred an estimate is; the recogniser learns to name those, too.
    """

    batch = 128
    rate = 2e-3
    decay = 0.99

    def __init__(self, module: nn.Module, training_set: TrainingSet, unet: UNet2DConditionModel) -> None:
        self.module = module
        self._training_set = training_set
        self._unet = unet
        self._scheduler = make_scheduler()
        self._device = next(module.parameters()).device

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """Return the mean cross entropy of a batch."""
        latents, states, things = self._training_set.draw_named(self.batch, random)
        half = self.batch // 2
        latents = latents.to(self._device)
        inputs = torch.cat([latents[:half], self._estimates(latents[half:], states[half:], random)])
        return cross_entropy(self.module, inputs, things.to(self._device), random).mean()

    @torch.no_grad()
    def _estimates(self, latents: torch.Tensor, states: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """Return what the UNet estimates from noisy latents; every second has much noise and is hard to recognise."""
        noise_levels = torch.rand(len(latents), generator=random)
        noise_levels[1::2] = 1 - noise_levels[1::2] / 4
        steps = timesteps_at(noise_levels)
        alphas = self._scheduler.alphas_cumprod[steps].to(self._device)
        noise = torch.randn(latents.shape, generator=random).to(self._device)
        noisy = self._scheduler.add_noise(latents, noise, steps.to(self._device))
        return estimate_clean_latents(noisy, predict_velocity(self._unet, self._device, noisy, steps, states), alphas)

    def show(self, averaged: nn.Module, step: int) -> None:
        """Do nothing, as a classifier makes no pictures."""
