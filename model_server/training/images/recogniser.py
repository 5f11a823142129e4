"""Names the thing in a latent that the UNet guesses, so that the UNet is told when nobody would know it again.

The mean of squared errors hardly sees which thing a guess shows: a brown blob is near to a dog and to a bear. What a
classifier says of a guess, and passes back, is what Xu et al. call reward feedback (“ImageReward”, arXiv 2304.05977,
section 3): here the reward is that the thing that was asked for is seen.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from model_server.training.images.networks import LATENT_CHANNELS, make_scheduler, mixed_precision, steps_at, velocity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffusers import UNet2DConditionModel

    from model_server.training.images.dataset import TrainingSet

WIDTHS = (48, 96, 192)
"""Channels from the finest level down."""
GROUPS = 8
SMOOTHING = 0.05
FARTHEST = 2
"""By how many places latents are moved at most, each way."""
NOISIEST = 0.35
"""How much noise is laid over latents at most, of their own deviation."""


class _Residual(nn.Module):
    """Two convolutions beside a short cut."""

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
    """N × 4 × 16 × 16 latents to N × things."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.Conv2d(LATENT_CHANNELS, widths[0], 3, 1, 1), _Residual(widths[0], widths[0])]
        for width, out in pairwise(widths):
            layers += [_Residual(width, out, 2), _Residual(out, out)]
        last = [nn.GroupNorm(GROUPS, widths[-1]), nn.SiLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        return nn.Sequential(*layers, *last, nn.Linear(4 * widths[-1], things))


def cross_entropy(
    recogniser: nn.Module, latents: torch.Tensor, things: torch.Tensor, random: torch.Generator
) -> torch.Tensor:
    """How far each of N × 4 × 16 × 16 latents is from showing its thing: N numbers.

    All are moved alike and have noise laid over them, so that no single place or number decides.
    """
    down, across = (int(shift) for shift in torch.randint(-FARTHEST, FARTHEST + 1, (2,), generator=random))
    edges = functional.pad(latents, (FARTHEST,) * 4, mode="replicate")
    side = latents.shape[-1]
    moved = edges[..., FARTHEST + down : FARTHEST + down + side, FARTHEST + across : FARTHEST + across + side]
    strength = NOISIEST * torch.rand(len(latents), 1, 1, 1, generator=random)
    noise = (strength * torch.randn(latents.shape, generator=random)).to(latents.device)
    with mixed_precision(latents.device):
        seen = recogniser(moved + noise)
    far: torch.Tensor = functional.cross_entropy(seen.float(), things, reduction="none", label_smoothing=SMOOTHING)
    return far


def guessed(noisy: torch.Tensor, found: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """The clean latents that the velocity `found` means; `kept` is each row's part of the picture, `alphas_cumprod`."""
    kept = kept.view(-1, 1, 1, 1)
    return kept.sqrt() * noisy - (1 - kept).sqrt() * found


class RecogniserTask:
    """Learns from pictures that show one thing: half as they are, half as `unet` guesses them; see `loop.Task`.

    Guesses are blurred the more, the noisier what they are made of is, and are recognised all the same.
    """

    batch = 128
    rate = 2e-3
    decay = 0.99

    def __init__(self, module: nn.Module, lesson: TrainingSet, unet: UNet2DConditionModel) -> None:
        self.module = module
        self._lesson = lesson
        self._unet = unet
        self._scheduler = make_scheduler()
        self._device = next(module.parameters()).device

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """The mean cross entropy of a batch."""
        latents, states, things = self._lesson.draw_named(self.batch, random)
        half = self.batch // 2
        latents = latents.to(self._device)
        shown = torch.cat([latents[:half], self._guesses(latents[half:], states[half:], random)])
        return cross_entropy(self.module, shown, things.to(self._device), random).mean()

    @torch.no_grad()
    def _guesses(self, latents: torch.Tensor, states: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """What the UNet makes of latents under noise; every second one under much, where guesses are hard to tell."""
        places = torch.rand(len(latents), generator=random)
        places[1::2] = 1 - places[1::2] / 4
        steps = steps_at(places)
        kept = self._scheduler.alphas_cumprod[steps].to(self._device)
        noise = torch.randn(latents.shape, generator=random).to(self._device)
        noisy = self._scheduler.add_noise(latents, noise, steps.to(self._device))
        return guessed(noisy, velocity(self._unet, self._device, noisy, steps, states), kept)

    def show(self, averaged: nn.Module, step: int) -> None:
        """It makes no pictures."""
