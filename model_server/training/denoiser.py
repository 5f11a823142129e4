"""Trains the UNet to take noise out of latents, guided by the captions.

What a description should do is known once names are: the same as the name of its thing. Then a network that knows these
is the teacher (the moving average of the one that learns, or the weights that it began with), and says without chance
what pictures and their noise say only in the mean: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural
Network", arXiv 1503.02531; Tarvainen and Valpola, "Mean teachers are better role models", arXiv 1703.01780.

The UNet reads a text twice: token by token in its attention, and as a whole beside the step (`addition_embed_type` in
`networks`). Tokens alone say too little of what words mean together, and a network that always has both reads the
tokens only. So the attention at times does not hear them, and what is read as a whole of a description is drawn to what
is read of its thing's name, and away from the names of others: van den Oord, Li and Vinyals, "Representation Learning
with Contrastive Predictive Coding", arXiv 1807.03748.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from diffusers import StableDiffusionPipeline
from torch.nn.functional import cross_entropy, normalize

from model_server.training.networks import make_scheduler, mixed_precision, train_quickly
from model_server.training.samples import draw_sheet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from diffusers import AutoencoderKL, UNet2DConditionModel

    from model_server.training.words import TextEncoder

EMPTY_SHARE = 0.1
"""How many captions are left out, so that the network also learns what guidance leads away from."""
SNR_LIMIT = 5.0
NOISIEST = 0.2
"""The part of the steps, from noise alone on, where words decide what is drawn: every second picture is shown there."""
NOISY_TAUGHT = 0.75
"""How many of those that a teacher is asked of are shown there."""
TAUGHT_WEIGHT = 4.0
"""How much the error of what a teacher wants counts: without chance in it, it is so much smaller."""
MEANINGS = 64
"""Of so many things a batch has a description that is to mean what the name means, and not what the others' do."""
MEANING_WEIGHT = 0.1
SHARPNESS = 14.0
"""What cosines between -1 and 1 are multiplied by before they compete; CLIP (arXiv 2103.00020) began with as much."""


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

    def draw_meanings(self, count: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """The states of the names of `count` things at most, none of them twice, and of one description of each."""
        order = torch.randperm(len(self.wordings), generator=random)[:count]
        things = [self.wordings[place] for place in order]
        said = torch.stack(
            [one.descriptions[torch.randint(len(one.descriptions), (), generator=random)] for one in things]
        )
        return self._words(torch.tensor([one.name for one in things])), self._words(said)

    @property
    def silence(self) -> torch.Tensor:
        """The states of the empty caption: tokens × width."""
        return self._words(torch.tensor([self.empty]))[0]

    def _words(self, rows: torch.Tensor) -> torch.Tensor:
        """The states of captions: N × tokens × width."""
        return torch.from_numpy(self.states[rows.numpy()]).float()


class _Rows(NamedTuple):
    """What the network is shown: latents with noise, steps and the words' states; and the velocities it should find.

    `heard` (N × tokens) is false where the attention finds the empty caption's token in place of the words'.
    """

    noisy: torch.Tensor
    steps: torch.Tensor
    states: torch.Tensor
    heard: torch.Tensor
    wanted: torch.Tensor


class DenoiserTask:
    """Velocity prediction with weights like those of min-SNR (Hang et al., arXiv 2303.09556); see `loop.Task`.

    Theirs vanish where there is noise alone, which is where every picture begins. So it is SNR + 1, the weight that an
    error of the velocity has for the clean picture, that is limited here.
    """

    batch = 32
    described = 12
    unheard = 6
    """How many of a batch are descriptions, and captions that are read as a whole only, once there is a teacher."""
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
        self._whole: torch.nn.Module | None = getattr(module, "add_embedding", None)

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """The mean of the weighted errors of a batch, in which some are descriptions once there is a teacher."""
        if self.teacher is None:
            return self._errors(self._pictures(self.batch, random)).mean()
        taught = self.described + self.unheard
        parts = (self._pictures(self.batch - taught, random), self._taught(self.teacher, random))
        errors = self._errors(_Rows(*map(torch.cat, zip(*parts, strict=True))))
        errors[-taught:] *= TAUGHT_WEIGHT
        if self._whole is None:
            return errors.mean()
        return errors.mean() + MEANING_WEIGHT * self._confusion(self._whole, random)

    def _pictures(self, count: int, random: torch.Generator) -> _Rows:
        """Pictures with their captions; each half is spread evenly over its steps."""
        latents, states = self._lesson.draw(count, random)
        places = (torch.arange(count) // 2 + torch.rand(count, generator=random)) * 2 / count
        places[1::2] = 1 - NOISIEST * places[1::2]
        steps = self._steps(places)
        noise = torch.randn(latents.shape, generator=random)
        wanted = self._scheduler.get_velocity(latents, noise, steps)
        heard = torch.ones(states.shape[:2], dtype=torch.bool)
        return _Rows(self._scheduler.add_noise(latents, noise, steps), steps, states, heard, wanted.to(self._device))

    def _taught(self, teacher: UNet2DConditionModel, random: torch.Generator) -> _Rows:
        """Pictures of things with a description of each, for which `teacher` is told the names of the things; and
        pictures with a caption of each, of which `teacher` alone hears the tokens.
        """
        shown, names, said = self._lesson.draw_described(self.described, random)
        others, captions = self._lesson.draw(self.unheard, random)
        latents, told = torch.cat([shown, others]), torch.cat([names, captions])
        places = torch.rand(len(latents), generator=random)
        noisy = torch.rand(len(latents), generator=random) < NOISY_TAUGHT
        steps = self._steps(torch.where(noisy, 1 - NOISIEST * places, places))
        noisy_latents = self._scheduler.add_noise(latents, torch.randn(latents.shape, generator=random), steps)
        with torch.no_grad():
            wanted = self._velocity(teacher, noisy_latents, steps, told)
        # Of some descriptions all is heard, of some nothing, and of most a part.
        chances = torch.rand(self.described, 1, generator=random) * 1.5 - 0.25
        heard = torch.rand(told.shape[:2], generator=random) < torch.cat([chances, torch.zeros(self.unheard, 1)])
        return _Rows(noisy_latents, steps, torch.cat([said, captions]), heard, wanted)

    def _confusion(self, whole: torch.nn.Module, random: torch.Generator) -> torch.Tensor:
        """The cross-entropy of the names of some things, by what `whole` reads of a description of each."""
        texts = self._lesson.draw_meanings(MEANINGS, random)
        with mixed_precision(self._device):
            names, said = (normalize(whole(states.to(self._device)).float(), dim=1) for states in texts)
        return cross_entropy(SHARPNESS * said @ names.T, torch.arange(len(names), device=self._device))

    def _steps(self, places: torch.Tensor) -> torch.Tensor:
        """The steps at places from 0, where hardly any noise is, to 1."""
        return (places * len(self._weights)).long().clamp(max=len(self._weights) - 1)

    def _errors(self, rows: _Rows) -> torch.Tensor:
        """How wrong the velocities are that the network finds, weighted by their steps."""
        heard = torch.where(rows.heard[..., None], rows.states, self._lesson.silence)
        with self._reading(rows.states):
            made = self._velocity(self.module, rows.noisy, rows.steps, rows.states if self._whole is None else heard)
        errors: torch.Tensor = (made - rows.wanted).square().mean(dim=(1, 2, 3))
        weighted: torch.Tensor = errors * self._weights[rows.steps].to(self._device)
        return weighted

    @contextmanager
    def _reading(self, states: torch.Tensor) -> Iterator[None]:
        """Meanwhile what is read as a whole is `states`, whatever of these the attention hears."""
        if self._whole is None:
            yield
            return
        given = states.to(self._device)
        with self._whole.register_forward_pre_hook(lambda *_: (given,)):
            yield

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
