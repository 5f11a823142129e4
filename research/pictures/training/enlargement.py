"""Gives the autoencoder one more level, so that the same latents become pictures of twice the side.

Encoder and decoder keep all that they have learnt. The new level of the encoder is computed: it shrinks pictures as the
training data were shrunk. The last levels of the decoder learn from the originals. Differences of pixels alone would
leave edges soft, so a small discriminator looks at patches, too (Isola et al., “Image-to-Image Translation with
Conditional Adversarial Networks”, arXiv 1611.07004), and its features are compared (Wang et al., arXiv 1711.11585).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn import functional

from research.loop import TrainingRun
from research.pictures.training.autoencoder import encode, save_sheet, to_pixels, to_tensor
from research.pictures.training.networks import mixed_precision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TAPS = 27
"""The colours of 3 × 3 pixels, which the first layer passes on to the second one."""
SAMPLED_PICTURES = 64
RIDGE = 1e-3
MAX_NOISE = 0.25
"""The largest standard deviation of the noise that latents get, because drawn ones are not as clean as encoded ones."""
EDGE_WEIGHT, FEATURE_WEIGHT, ADVERSARIAL_WEIGHT = 1.0, 0.5, 0.02
DISCRIMINATOR_RATE = 5e-4
DISCRIMINATOR_WIDTHS = (24, 48, 96)
SAMPLE_COUNT = 12


def shrink(pictures: torch.Tensor) -> torch.Tensor:
    """Halve the side of N × 3 × S × S pictures: each pixel is the mean of four."""
    return functional.avg_pool2d(pictures, 2)


def add_level(small: AutoencoderKL, pictures: np.ndarray) -> AutoencoderKL:
    """Return a copy of `small` for pictures of twice the side. It makes the same latents, and coarse pictures of them.

    `pictures` (N × S × S × 3, of twice the side) show what the encoder has to shrink.
    """
    channels = small.config.block_out_channels
    config = dict(small.config) | {
        "block_out_channels": (channels[0], *channels),
        "down_block_types": (small.config.down_block_types[0], *small.config.down_block_types),
        "up_block_types": (small.config.up_block_types[0], *small.config.up_block_types),
        "sample_size": 2 * small.config.sample_size,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        large: Any = AutoencoderKL.from_config(config)
    state = {name: value for name, value in small.state_dict().items() if not name.startswith("encoder.conv_in.")}
    renamed = {_name_in_large(name): value for name, value in state.items()}
    large.load_state_dict(renamed, strict=False)
    last = large.decoder.up_blocks[-1]
    for block in (*last.resnets, *large.encoder.down_blocks[0].resnets):
        nn.init.zeros_(block.conv2.weight)
        nn.init.zeros_(block.conv2.bias)
    nn.init.dirac_(large.decoder.up_blocks[-2].upsamplers[0].conv.weight)
    nn.init.zeros_(large.decoder.up_blocks[-2].upsamplers[0].conv.bias)
    _compute_first_level(large.encoder, small.encoder.conv_in, to_tensor(pictures[:SAMPLED_PICTURES]))
    return large


def _name_in_large(name: str) -> str:
    """Return the name that a weight has in the network with one more level at the fine end."""
    start, _, rest = name.partition("down_blocks.")
    if not rest:
        return name
    number, _, rest = rest.partition(".")
    return f"{start}down_blocks.{int(number) + 1}.{rest}"


@torch.no_grad()
def _compute_first_level(encoder: Any, conv_in: nn.Conv2d, pictures: torch.Tensor) -> None:
    """Set the first level so that it gives what `conv_in` gives for shrunk pictures, as exactly as it can."""
    count = min(TAPS, encoder.conv_in.out_channels)
    nn.init.zeros_(encoder.conv_in.weight)
    nn.init.zeros_(encoder.conv_in.bias)
    encoder.conv_in.weight[:count] = torch.eye(TAPS).view(TAPS, 3, 3, 3)[:count]
    targets = conv_in(shrink(pictures))
    inputs = functional.pad(encoder.conv_in(pictures)[:, :count], (0, 1, 0, 1))
    columns = functional.unfold(inputs, 3, stride=2).transpose(1, 2).reshape(-1, count * 9)
    columns = torch.cat([columns, torch.ones(len(columns), 1)], dim=1).double()
    wanted = targets.flatten(2).transpose(1, 2).reshape(len(columns), -1).double()
    products = columns.T @ columns
    products.diagonal().add_(RIDGE * len(columns))
    solution = torch.linalg.solve(products, columns.T @ wanted).float()
    down = encoder.down_blocks[0].downsamplers[0].conv
    nn.init.zeros_(down.weight)
    down.weight[:, :count] = solution[:-1].T.reshape(-1, count, 3, 3)
    down.bias.copy_(solution[-1])


def make_discriminator(seed: int) -> nn.ModuleList:
    """Make the layers that score patches of N × 3 × S × S pictures; each gives features for the next one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers, width = nn.ModuleList(), 3
        for out in DISCRIMINATOR_WIDTHS:
            convolution = nn.utils.parametrizations.spectral_norm(nn.Conv2d(width, out, 4, 2, 1))
            layers.append(nn.Sequential(convolution, nn.LeakyReLU(0.2)))
            width = out
        layers.append(nn.utils.parametrizations.spectral_norm(nn.Conv2d(width, 1, 3, 1, 1)))
        return layers


def _look(discriminator: nn.ModuleList, pictures: torch.Tensor) -> list[torch.Tensor]:
    """Return the features of each layer; the last ones are the scores of the patches."""
    features = []
    for layer in discriminator:
        pictures = layer(pictures)
        features.append(pictures)
    return features


class EnlargementTask:
    """Trains the last levels of the decoder on pictures of full size (N × S × S × 3); see `loop.Task`.

    `small` is the autoencoder that knows only shrunk pictures, whose latents are decoded.
    """

    batch = 6
    rate = 1e-3
    decay = 0.99
    adversarial_step = 100
    """Before this step, the discriminator learns alone: it would tell the decoder nothing yet."""

    def __init__(self, module: AutoencoderKL, small: AutoencoderKL, pictures: np.ndarray, samples: Path) -> None:
        self.module = module.requires_grad_(requires_grad=False)
        for part in (*module.decoder.up_blocks[-2:], module.decoder.conv_norm_out, module.decoder.conv_out):
            part.requires_grad_(requires_grad=True)
        self._pictures = pictures
        self._latents = encode(small, shrink_pixels(pictures))
        self._samples = samples
        self._device = next(module.parameters()).device
        self.discriminator = make_discriminator(0).to(self._device)
        self.discriminator_optimizer = torch.optim.AdamW(
            self.discriminator.parameters(), lr=DISCRIMINATOR_RATE, betas=(0.0, 0.99)
        )
        self._step = 0

    def start_from(self, step: int) -> None:
        """Go on after so many steps."""
        self._step = step

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """Return the decoder's loss, after a step of the discriminator."""
        self._step += 1
        indices = torch.randint(len(self._pictures), (self.batch,), generator=random)
        originals = to_tensor(self._pictures[indices.numpy()]).to(self._device)
        latents = self._latents[indices].float()
        strength = MAX_NOISE * torch.rand(self.batch, 1, 1, 1, generator=random)
        latents = latents + strength * torch.randn(latents.shape, generator=random)
        with mixed_precision(self._device):
            decoded = self.module.decode(latents.to(self._device)).sample
        decoded = decoded.float()
        self._train_discriminator(originals, decoded.detach())
        loss: torch.Tensor = (decoded - originals).abs().mean() + EDGE_WEIGHT * _edge_difference(decoded, originals)
        if self._step > self.adversarial_step:
            self.discriminator.requires_grad_(requires_grad=False)
            *features, scores = _look(self.discriminator, decoded)
            with torch.no_grad():
                *wanted, _ = _look(self.discriminator, originals)
            for one, other in zip(features, wanted, strict=True):
                loss = loss + FEATURE_WEIGHT * (one - other).abs().mean()
            loss = loss - ADVERSARIAL_WEIGHT * scores.mean()
            self.discriminator.requires_grad_(requires_grad=True)
        return loss

    def _train_discriminator(self, originals: torch.Tensor, decoded: torch.Tensor) -> None:
        """Let the discriminator learn to tell decoded pictures from originals, by the hinge loss."""
        scores = _look(self.discriminator, torch.cat([originals, decoded]))[-1]
        real, made = scores.chunk(2)
        loss = functional.relu(1 - real).mean() + functional.relu(1 + made).mean()
        self.discriminator_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.discriminator_optimizer.step()

    @torch.no_grad()
    def show(self, averaged: AutoencoderKL, step: int) -> None:
        """Save some originals, with the decoded pictures below them."""
        places = np.linspace(0, len(self._pictures) - 1, SAMPLE_COUNT).astype(int)
        decoded = to_pixels(averaged.decode(self._latents[places].float().to(self._device)).sample)
        save_sheet(self._samples / f"enlargement-{step:06}.png", self._pictures[places], decoded)


class EnlargementRun(TrainingRun[EnlargementTask]):
    """The training of the decoder, which saves the discriminator, too."""

    def _more_state(self) -> dict[str, Any]:
        return {
            "discriminator": self.task.discriminator.state_dict(),
            "discriminator_optimizer": self.task.discriminator_optimizer.state_dict(),
        }

    def _load_more(self, state: dict[str, Any]) -> None:
        self.task.discriminator.load_state_dict(state["discriminator"])
        self.task.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        self.task.start_from(state["step"])


def shrink_pixels(pictures: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Do the same with N × S × S × 3, 0 to 255."""
    return np.concatenate(
        [
            to_pixels(shrink(to_tensor(np.stack(list(pictures[start : start + 256])))))
            for start in range(0, len(pictures), 256)
        ]
    )


def _edge_difference(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    difference = one - other
    across = (difference[..., 1:] - difference[..., :-1]).abs().mean()
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    return across + down
