"""A judge of drawn pictures: which of two hundred common things does one show?

It learns from emoji sets and is tested on one that neither it nor the generator has seen, so that what it says of the
generator's pictures can be trusted as far as that test goes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from model_server.training.autoencoder import to_tensor
from model_server.training.emoji import SIZE
from model_server.training.scenes import USUAL_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from model_server.training.emoji import Emoji, Rgba

THINGS = Path(__file__).with_name("things.txt")
WIDTHS = (32, 64, 128, 256)
GROUPS, FEATURES = 8, 256
FINE = 2
"""The levels whose channels are normalised each for itself."""
THINGS_SHARE = 0.6
"""How many of the learnt pictures show one of the things; the others teach what makes two drawings the same."""
SMOOTHING = 0.1
AT_ONCE = 100
BENT = 0.12
"""How far parts of a picture are moved against each other; 2 is its whole edge."""
VIEWS = ((1.0, 0.0, 0.0), (0.9, 0.0, 0.0), (1.12, 0.0, 0.0), (1.0, 0.06, 0.06), (1.0, -0.06, -0.06))
"""As what a picture is looked at: how much of it is seen, and from how far aside."""


@dataclass(frozen=True)
class Thing:
    """One of the two hundred: its emoji's `code` without variation selectors, and what a generator is asked for.

    A `paraphrase` describes the thing in words that are in no caption, in place of its `name`.
    """

    code: str
    name: str
    paraphrase: str = ""

    @property
    def prompt(self) -> str:
        return self.paraphrase or self.name


def read_things(path: Path = THINGS) -> list[Thing]:
    """One thing a line: the emoji, a space, its name, and perhaps a colon with a paraphrase."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        character, _, words = line.partition(" ")
        name, _, paraphrase = words.partition(": ")
        found.append(Thing("-".join(f"{ord(point):x}" for point in bare(character)), name, paraphrase))
    return found


def bare(text: str) -> str:
    """Without the selector that asks for a coloured picture, which some lists write and others leave out."""
    return text.replace("\ufe0f", "")


class _Block(nn.Module):
    """Two convolutions beside a short cut (He et al., arXiv 1512.03385).

    Where each channel is normalised `alone`, less is left of the style of a drawing (Pan et al., arXiv 1807.09441).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, alone: bool) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.GroupNorm(outputs if alone else GROUPS, outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.GroupNorm(GROUPS, outputs),
        )
        self.short = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.path(images) + self.short(images))


class Classifier(nn.Module):
    """From N × 3 × 64 × 64, -1 to 1, to N × classes logits."""

    def __init__(self, classes: int, seed: int, widths: Sequence[int]) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            first = _Block(widths[0], widths[0], 1, alone=True)
            blocks = [
                _Block(before, after, 2, alone=place < FINE)
                for place, (before, after) in enumerate(pairwise(widths), 1)
            ]
            self.body = nn.Sequential(nn.Conv2d(3, widths[0], 5, 2, 2), nn.ReLU(), first, *blocks)
            self.head = nn.Sequential(
                nn.Flatten(), nn.Linear(16 * widths[-1], FEATURES), nn.LayerNorm(FEATURES), nn.Linear(FEATURES, classes)
            )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(images))
        return logits


class JudgeTask:
    """Which emoji is it, whoever drew it and however it is disturbed; see `loop.Task`.

    `pictures` is N × 64 × 64 × 4, uint8, and `classes` says which emoji each shows: the things come first.
    """

    batch = 32
    rate = 2e-3
    decay = 0.998

    def __init__(self, module: Classifier, pictures: np.ndarray, classes: Sequence[int], things: int) -> None:
        self.module: nn.Module = module
        rgba = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() / 255
        # Premultiplied, or the colour that invisible pixels have would bleed into the edge.
        self._pictures = torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], dim=1)
        self._classes = torch.as_tensor(classes)
        self._things = things
        among = (self._classes < things).float()
        others = 1 - among
        self._draw = THINGS_SHARE * among / among.sum() + (1 - THINGS_SHARE) * others / others.sum().clamp(min=1)

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """Cross-entropy, with a tenth of the certainty taken away; of a thing only among the things."""
        chosen = torch.multinomial(self._draw, self.batch, replacement=True, generator=random)
        seen = disturb(self._pictures[chosen], random)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.module(seen)
        classes = self._classes[chosen]
        logits, number = logits.float(), torch.arange(logits.shape[1])
        elsewhere = (classes < self._things)[:, None] & (number >= self._things)
        certain = logits.masked_fill(elsewhere, -math.inf).log_softmax(dim=1)
        mean = certain.masked_fill(elsewhere, 0).sum(dim=1) / (~elsewhere).sum(dim=1)
        right = certain[torch.arange(len(classes)), classes]
        loss: torch.Tensor = -((1 - SMOOTHING) * right + SMOOTHING * mean).mean()
        return loss

    def show(self, averaged: nn.Module, step: int) -> None:
        """There is nothing to look at."""


def disturb(pictures: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Pictures as others might have drawn them: N × 4 × 64 × 64, premultiplied, to N × 3 × 64 × 64, -1 to 1.

    Moved, turned, stretched and mirrored; on a ground; in other colours; partly covered; blurred; and noisy.
    """
    count = len(pictures)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *(shape or (1, 1, 1)), generator=random)

    def sometimes(share: float) -> torch.Tensor:
        return torch.rand(count, 1, 1, 1, generator=random) < share

    moved = _move(pictures, uniform)
    ground = torch.where(sometimes(0.3), uniform(0, 1, 3, 1, 1), 1.0)
    seen = moved[:, :3] + (1 - moved[:, 3:]) * ground
    angle = torch.where(sometimes(0.2), uniform(-math.pi, math.pi), uniform(-0.25, 0.25))
    seen = _turn_hues(seen, angle[:, 0, 0, 0], uniform(0.2, 1.4)[:, 0, 0, 0])
    seen = (seen - 0.5) * uniform(0.7, 1.25) + 0.5 + uniform(-0.12, 0.12)
    down, across = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    top, left, side = uniform(-10, SIZE), uniform(-10, SIZE), uniform(10, 26)
    covered = (down >= top) & (down < top + side) & (across >= left) & (across < left + side)
    seen = torch.where(covered & sometimes(0.5), uniform(0, 1, 3, 1, 1), seen)
    blurred = functional.avg_pool2d(functional.pad(seen, (1, 1, 1, 1), mode="replicate"), 3, 1)
    seen = torch.where(sometimes(0.4), blurred, seen)
    noise = torch.randn(seen.shape, generator=random) * uniform(0, 0.06)
    return 2 * (seen + noise).clamp(0, 1) - 1


def _move(pictures: torch.Tensor, uniform: Callable[..., torch.Tensor]) -> torch.Tensor:
    angle, shear = uniform(-0.35, 0.35)[:, 0, 0, 0], uniform(-0.2, 0.2)[:, 0, 0, 0]
    wide, high = uniform(0.9, 1.45)[:, 0, 0, 0], uniform(0.87, 1.15)[:, 0, 0, 0]
    mirrored = torch.where(uniform(0, 1)[:, 0, 0, 0] < 0.5, -1.0, 1.0)
    cosine, sine = angle.cos() * wide, angle.sin() * wide
    first = torch.stack([cosine * mirrored, -sine + shear, uniform(-0.15, 0.15)[:, 0, 0, 0]], dim=1)
    second = torch.stack([sine * mirrored, cosine * high, uniform(-0.15, 0.15)[:, 0, 0, 0]], dim=1)
    grid = functional.affine_grid(torch.stack([first, second], dim=1), list(pictures.shape), align_corners=False)
    bent = functional.interpolate(uniform(-BENT, BENT, 2, 5, 5), (SIZE, SIZE), mode="bicubic")
    return functional.grid_sample(pictures, grid + bent.permute(0, 2, 3, 1), align_corners=False)


def _turn_hues(seen: torch.Tensor, angle: torch.Tensor, saturation: torch.Tensor) -> torch.Tensor:
    """Turned by `angle` around the grey axis, and nearer to it or further from it."""
    grey = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    cosine, sine = (saturation * angle.cos())[:, None, None], (saturation * angle.sin())[:, None, None]
    return torch.einsum("nij,njhw->nihw", grey + cosine * (torch.eye(3) - grey) + sine * cross, seen)


def classes_of(emoji: Sequence[Emoji], things: Sequence[Thing]) -> dict[str, int]:
    """The number of each emoji's class by its code: the things in their order, then all others without skin tones."""
    codes = {thing.code: number for number, thing in enumerate(things)}
    by_code = {_plain(one): one.code for one in emoji if not one.tone}
    found = {by_code[code]: number for code, number in codes.items() if code in by_code}
    for one in emoji:
        if not one.tone and _plain(one) not in codes:
            found[one.code] = len(things) + len(found) - len(codes)
    return found


def _plain(emoji: Emoji) -> str:
    return "-".join(point for point in emoji.code.split("-") if point != "fe0f")


def gather(sets: Sequence[Mapping[str, Rgba]], classes: Mapping[str, int]) -> tuple[np.ndarray, list[int]]:
    """All pictures of `sets` that have a class, N × 64 × 64 × 4, and their classes."""
    found = [(picture, classes[code]) for one in sets for code, picture in one.items() if code in classes]
    return np.stack([picture for picture, _ in found]), [number for _, number in found]


def on_white(picture: Rgba) -> np.ndarray:
    """As the generator draws emoji: 64 × 64 × 3, in the middle and a little smaller than the picture."""
    small = Image.fromarray(picture).convert("RGBa").resize((USUAL_SIZE,) * 2, Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (SIZE, SIZE), "white")
    corner = (SIZE - USUAL_SIZE) // 2
    canvas.paste(small.convert("RGBA"), (corner, corner), small.convert("RGBA"))
    return np.asarray(canvas)


@torch.no_grad()
def probabilities(judge: nn.Module, pictures: np.ndarray, things: int) -> np.ndarray:
    """How likely each picture (N × 64 × 64 × 3, uint8) shows each of the things: N × things, rows add up to 1."""
    parts = []
    for start in range(0, len(pictures), AT_ONCE):
        seen = to_tensor(pictures[start : start + AT_ONCE])
        views = [judge(_view(seen, *view))[:, :things].log_softmax(dim=1) for view in VIEWS]
        parts.append(torch.stack(views).mean(dim=0).softmax(dim=1))
    return torch.cat(parts).numpy()


def _view(seen: torch.Tensor, part: float, right: float, down: float) -> torch.Tensor:
    where = torch.tensor([[part, 0.0, right], [0.0, part, down]]).expand(len(seen), 2, 3)
    grid = functional.affine_grid(where, list(seen.shape), align_corners=False)
    return functional.grid_sample(seen, grid, padding_mode="border", align_corners=False)


def ranks(probability: np.ndarray, right: Sequence[int]) -> np.ndarray:
    """The place of the right thing among all, 0 for the first: one for each row of `probability`.

    Of things that are as likely as the right one, all come before it.
    """
    own = probability[np.arange(len(right)), list(right)]
    return np.asarray((probability >= own[:, None]).sum(axis=1) - 1)
