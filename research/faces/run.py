"""The training of the two networks against each other, with snapshots of both along the way.

What is known to help with few pictures is used here: spectral norms bound the discriminator (Miyato et al., “Spectral
Normalization for Generative Adversarial Networks”, arXiv 1802.05957), its pictures are augmented (see augment.py), and
a moving average of the generator is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from model_server.engines.duel.networks import Discriminator, Generator, Sizes
from model_server.errors import OperatorError
from model_server.files.cache import shorten
from research.faces.augment import augment
from research.loop import TrainingRun, save_atomically
from research.pictures.training.autoencoder import save_sheet, to_pixels, to_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from research.loop import Plan

SNAPSHOT_SHARES = (0.0, 0.01, 0.02, 0.035, 0.06, 0.1, 0.17, 0.27, 0.4, 0.57, 0.78, 1.0)
"""After which share of all steps both networks are kept: often at first, where most changes."""
BROKEN_SHARES = (0.0, 0.2, 0.5, 1.0)
"""The same for the run that loses its balance, whose networks are kept less often."""
LOSS_POINTS = 60
"""The number of points of each curve of losses."""
SAMPLE_COLUMNS = 8
FROZEN_RATE, FROZEN_DECAY = 1e-3, 0.99
"""Against a frozen discriminator, the generator learns fast and its average follows soon, so that it fails soon."""
BETAS = (0.0, 0.99)
"""Of Adam. Without momentum, neither network runs past what the other has become meanwhile."""
IMAGE_DIMENSIONS = 4

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True)
class Losses:
    """The mean losses of both networks up to `step`, since the point before."""

    step: int
    generator: float
    discriminator: float


class DuelTask:
    """Trains a generator and a discriminator on real pictures (N × 64 × 64 × 3, uint8); see `loop.Task`.

    With `is_frozen`, the discriminator stays as it is.
    """

    batch = 16
    rate = 3e-4
    decay = 0.999

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        pictures: np.ndarray,
        samples: Path,
        *,
        is_frozen: bool = False,
    ) -> None:
        self.module: nn.Module = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
        self._generator, self.discriminator = generator, discriminator
        self._is_frozen = is_frozen
        if is_frozen:
            self.rate, self.decay = FROZEN_RATE, FROZEN_DECAY
        discriminator.requires_grad_(requires_grad=not is_frozen)
        self._pictures = pictures
        self._samples = samples
        self.last: tuple[float, float] = (0.0, 0.0)
        """The losses of generator and discriminator in the last step."""

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """Return the sum of both losses, each of which changes only its own network."""
        latents = torch.randn(self.batch, self._generator.latent_size, generator=random)
        indices = torch.randint(len(self._pictures), (self.batch,), generator=random)
        real = to_tensor(self._pictures[indices.numpy()])
        fake = self._generator(latents)
        generator_loss = -self._judge(augment(fake, random)).mean()
        fake_scores, real_scores = self.discriminator(augment(torch.cat([fake.detach(), real]), random)).chunk(2)
        discriminator_loss = functional.relu(1 - real_scores).mean() + functional.relu(1 + fake_scores).mean()
        self.last = float(generator_loss.detach()), float(discriminator_loss.detach())
        return generator_loss if self._is_frozen else generator_loss + discriminator_loss

    def _judge(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's scores, with a gradient for the pictures alone."""
        frozen = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        scores: torch.Tensor = functional_call(self.discriminator, frozen, (pictures,))
        return scores

    def show(self, averaged: nn.Module, step: int) -> None:
        """Save what the averaged generator draws from 64 latents, always the same."""
        assert isinstance(averaged, nn.ModuleDict)  # noqa: S101 - a copy of our own module
        pictures = draw(cast(Generator, averaged["generator"]), range(SAMPLE_COLUMNS**2))
        save_sheet(self._samples / f"{step:06}.png", *np.split(pictures, SAMPLE_COLUMNS))


class DuelRun(TrainingRun[DuelTask]):
    """A run that keeps the losses, and a snapshot of both networks after each share of `shares` of its steps."""

    def __init__(self, task: DuelTask, plan: Plan, shares: Sequence[float] = SNAPSHOT_SHARES) -> None:
        super().__init__(task, plan)
        self._optimizer = torch.optim.AdamW(
            task.module.parameters(), lr=task.rate, betas=BETAS, weight_decay=0.0, fused=True
        )
        self.snapshot_steps = [round(share * plan.steps) for share in shares]
        self.first_step = 0
        """How many steps another run had taken before this one began with its networks."""
        self.losses: list[Losses] = []
        self._sums, self._summed = [0.0, 0.0], 0

    def load_snapshot(self, number: int) -> dict[str, Any]:
        """Return a snapshot. Raises OperatorError if it was not taken, or at another step."""
        file = self.snapshot_file(number)
        snapshot: dict[str, Any] = (
            torch.load(file, map_location="cpu", weights_only=True) if file.is_file() else {"step": None}
        )
        if snapshot["step"] != self.snapshot_steps[number]:
            raise OperatorError(
                f"Snapshot {number} of {self.plan.name} is missing, as if the number of pictures had been changed on "
                f"the way. Go on with the number of before, or move {shorten(self.plan.folder)} away to start again."
            )
        return snapshot

    def snapshot_file(self, number: int) -> Path:
        """Return the file of a snapshot."""
        return self.plan.folder / f"{self.plan.name}-{number:02}.pt"

    def start_from(self, other: DuelRun, number: int) -> None:
        """Begin with both networks of another run, as they were at its snapshot with this number."""
        saved = other.load_snapshot(number)
        self.first_step = saved["step"]
        self.task.module.load_state_dict(saved["module"])
        self.averaged.load_state_dict(saved["averaged"])

    def _train_step(self) -> float:
        if self.step == 0:
            self._keep_snapshots()
        loss = super()._train_step()
        self._sums = [total + one for total, one in zip(self._sums, self.task.last, strict=True)]
        self._summed += 1
        if self.step * LOSS_POINTS // self.plan.steps > (self.step - 1) * LOSS_POINTS // self.plan.steps:
            self.losses.append(Losses(self.step, *(total / self._summed for total in self._sums)))
            self._sums, self._summed = [0.0, 0.0], 0
        self._keep_snapshots()
        return loss

    def _keep_snapshots(self) -> None:
        for number, step in enumerate(self.snapshot_steps):
            if step == self.step:
                self.plan.folder.mkdir(parents=True, exist_ok=True)
                save_atomically(self._snapshot(), self.snapshot_file(number))

    def _snapshot(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "module": self.task.module.state_dict(),
            "averaged": self.averaged.state_dict(),
            "discriminator": resolve_norms(self.task.discriminator),
        }

    def _more_state(self) -> dict[str, Any]:
        return {
            "first_step": self.first_step,
            "points": [[one.step, one.generator, one.discriminator] for one in self.losses],
            "sums": self._sums,
            "summed": self._summed,
        }

    def _load_more(self, state: dict[str, Any]) -> None:
        self.first_step = state["first_step"]
        self.losses = [Losses(int(step), *values) for step, *values in state["points"]]
        self._sums, self._summed = list(state["sums"]), state["summed"]

    @torch.no_grad()
    def _update_average(self) -> None:
        super()._update_average()
        # The averaged generator has statistics of its own to normalise with.
        for average, value in zip(self.averaged.buffers(), self.task.module.buffers(), strict=True):
            average.copy_(value)


def make_generator(sizes: Sizes, seed: int) -> Generator:
    """Make a generator with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _put_channels_last(Generator(sizes))


def make_discriminator(sizes: Sizes, seed: int) -> Discriminator:
    """Make a discriminator with random weights and bounded layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _put_channels_last(Discriminator(sizes, spectral_norm))


def _put_channels_last(network: ModuleT) -> ModuleT:
    """Store the weights of the convolutions with their channels last, by which a step on a CPU takes less time."""
    for parameter in network.parameters():
        if parameter.ndim == IMAGE_DIMENSIONS:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


@torch.no_grad()
def resolve_norms(discriminator: nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights of a discriminator without spectral norms that gives the same scores."""
    was_training = discriminator.training
    # In training, each look at a weight would change the estimate of its norm.
    discriminator.eval()
    weights = {
        f"{name}.{part}": getattr(layer, part).clone()
        for name, layer in discriminator.named_modules()
        if parametrize.is_parametrized(layer, "weight")
        for part in ("weight", "bias")
    }
    discriminator.train(was_training)
    return weights


@torch.no_grad()
def draw(generator: Generator, seeds: Sequence[int]) -> np.ndarray:
    """Draw one picture for each seed: N × 64 × 64 × 3, uint8."""
    latents = torch.stack(
        [torch.randn(generator.latent_size, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )
    was_training = generator.training
    generator.eval()
    pictures = to_pixels(generator(latents))
    generator.train(was_training)
    return pictures
