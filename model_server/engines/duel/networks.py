"""The two networks of the GAN of emoji faces: a generator and a discriminator of pictures of 64 × 64.

The generator is a DCGAN (Radford et al., arXiv 1511.06434) whose batch normalisation is scaled and shifted by the
latent in every block (Chen et al., “On Self Modulation for Generative Adversarial Networks”, arXiv 1810.01365).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

EDGE = 64
"""Width and height of a picture in pixels."""
FIRST_EDGE = 4
SLOPE = 0.2


@dataclass(frozen=True)
class Sizes:
    """The length of a latent, and the channels of each level: of the generator from 4 × 4 to 64 × 64, then back."""

    latent: int = 48
    generator: tuple[int, int, int, int, int] = (64, 64, 64, 40, 24)
    discriminator: tuple[int, int, int, int] = (24, 48, 64, 64)


class _Modulation(nn.Module):
    """Batch normalisation whose scale and shift follow from the latent."""

    def __init__(self, channels: int, latent: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.styles = nn.Linear(latent, 2 * channels)

    def forward(self, values: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        scales, shifts = self.styles(latents)[:, :, None, None].chunk(2, dim=1)
        modulated: torch.Tensor = self.norm(values) * (1 + scales) + shifts
        return modulated


class Generator(nn.Module):
    """Turns latents into pictures: N × L standard normal numbers to N × 3 × 64 × 64 in [-1, 1].

    The length of a latent does not matter: each is scaled to the length that normal numbers have on average.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels = sizes.generator
        self.latent_size = sizes.latent
        self.first = nn.Linear(sizes.latent, channels[0] * FIRST_EDGE**2)
        self.modulations = nn.ModuleList(_Modulation(count, sizes.latent) for count in channels)
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(inputs, outputs, 4, 2, 1) for inputs, outputs in pairwise(channels)
        )
        self.convolutions.append(nn.Conv2d(channels[-1], 3, 3, 1, 1))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        latents = functional.normalize(latents, dim=1) * self.latent_size**0.5
        values = self.first(latents).reshape(len(latents), -1, FIRST_EDGE, FIRST_EDGE)
        for modulation, convolution in zip(self.modulations, self.convolutions, strict=True):
            values = convolution(functional.leaky_relu(modulation(values, latents), SLOPE))
        pictures: torch.Tensor = values.tanh()
        return pictures


class Discriminator(nn.Module):
    """Scores pictures: N × 3 × 64 × 64 in [-1, 1] to N scores, which are higher for what looks real.

    `bound` is applied to each layer with weights when the network is made: the training bounds them by spectral norms.
    """

    def __init__(self, sizes: Sizes, bound: Callable[[nn.Module], nn.Module] = lambda layer: layer) -> None:
        super().__init__()
        channels = sizes.discriminator
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *channels[:-1]), channels, strict=True):
            layers += [bound(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(SLOPE)]
            if outputs > inputs:
                layers += [bound(nn.Conv2d(outputs, outputs, 3, 1, 1)), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)
        self.score = bound(nn.Linear(channels[-1] * FIRST_EDGE**2, 1))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.score(self.layers(pictures).flatten(1))
        return scores[:, 0]
