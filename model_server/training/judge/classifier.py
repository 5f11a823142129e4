"""A judge of drawn pictures: which of two hundred common things does one show?

It learns from emoji sets and is tested on one that neither it nor the generator has seen, so that what it says of the
generator's pictures can be trusted as far as that test goes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from model_server.training.images.autoencoder import to_tensor
from model_server.training.images.emoji import SIZE
from model_server.training.images.scenes import USUAL_SIZE
from model_server.training.images.things import bare_code
from model_server.training.judge.gradients import features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.training.images.emoji import Emoji, Rgba
    from model_server.training.images.things import Thing

ROUNDS = 16
"""How often each picture is learnt from, disturbed in another way each time."""
WAVES = 4000
NARROW = 0.5
"""How alike two pictures must be to be taken for the same thing: the greater, the more."""
STRAIGHT = 0.5
"""How much the features count as they are, beside the waves."""
PENALTY = 0.01
BENT, STAINED = 0.06, 0.2
"""How far at most a drawing is bent, of half a side, and how strong its stains are: generators draw unsteadily."""
AT_ONCE = 500
VIEWS = tuple(
    (part, right, down)
    for part in (0.75, 0.87, 1.0)
    for right, down in ((0.0, 0.0), (0.07, 0.0), (-0.07, 0.0), (0.0, 0.07), (0.0, -0.07))
)
"""As what a picture is looked at, and mirrored, too: how much of it is seen, and from how far aside."""
VISION_ROUNDS = 8
VISION_VIEWS = ((0.87, 0.0, 0.0), (1.0, 0.0, 0.0))
"""The deep network takes a hundred times as long for a picture as edges and tints do."""
VISION_PENALTY = 0.03
VISION_SHARE = 2 / 3
"""How much its word counts: found on sets that were left out of the learning, one by one."""

Features = Callable[[torch.Tensor], torch.Tensor]


class PictureClassifier:
    """Learns from pictures (N × 64 × 64 × 4, uint8) which of so many `things` each shows: `classes` has the numbers.

    Two judge, each for itself, and what they say is added. One looks at edges and tints, which change little with the
    manner of a drawing and with its faults; the other at what a deep network sees, which `vision` gives for pictures
    (N × 3 × 64 × 64, 0 to 1): so little data could not teach it that.
    """

    def __init__(self, pictures: np.ndarray, classes: Sequence[int], things: int, seed: int, vision: Features) -> None:
        random = torch.Generator().manual_seed(seed)
        self._vision = vision
        rgba = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() / 255
        # Premultiplied, or the colour that invisible pixels have would bleed into the edge.
        pure = torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], dim=1)
        edges, sights = [], []
        for turn in range(ROUNDS):
            for part in _parts(pure):
                disturbed = disturb(part, random)
                edges.append(features(disturbed))
                if turn < VISION_ROUNDS:
                    sights.append(vision(disturbed))
        wanted = functional.one_hot(torch.as_tensor(classes).repeat(ROUNDS), things).float()
        self._by_edges = _Ridge(torch.cat(edges), wanted, PENALTY, WAVES, random)
        seen = torch.cat(sights)
        self._by_vision = _Ridge(seen, wanted[: len(seen)], VISION_PENALTY, 0, random)

    def scores(self, pictures: np.ndarray) -> np.ndarray:
        """How much each picture (N × 64 × 64 × 3, uint8) shows each of the things: N × things, from about 0 to 1."""
        parts = []
        for start in range(0, len(pictures), AT_ONCE):
            seen = (to_tensor(pictures[start : start + AT_ONCE]) + 1) / 2
            by_edges = _over_views(seen, VIEWS, lambda view: self._by_edges(features(view)))
            by_vision = _over_views(seen, VISION_VIEWS, lambda view: self._by_vision(self._vision(view)))
            parts.append((1 - VISION_SHARE) * by_edges + VISION_SHARE * by_vision)
        return torch.cat(parts).numpy()


class _Ridge:
    """Linear regression from `seen` (N × features) to `wanted` (N × things), held back by a penalty.

    Beside the features stand so many random `waves` of them, which stand for a Gaussian kernel (Rahimi and Recht,
    "Random Features for Large-Scale Kernel Machines", NIPS 2007).
    """

    def __init__(
        self, seen: torch.Tensor, wanted: torch.Tensor, penalty: float, waves: int, random: torch.Generator
    ) -> None:
        self._mean, self._spread = seen.mean(dim=0), (seen.std(dim=0) + 0.02) * math.sqrt(seen.shape[1])
        self._waves = NARROW * torch.randn(seen.shape[1], waves, generator=random)
        self._phases = 2 * math.pi * torch.rand(waves, generator=random)
        self._shares = wanted.mean(dim=0)
        self._usual = torch.stack([self._lifted(part).sum(dim=0) for part in _parts(seen)]).sum(dim=0) / len(seen)
        products, sums = torch.zeros(len(self._usual), len(self._usual)), torch.zeros(len(self._usual), wanted.shape[1])
        for part, target in zip(_parts(seen), _parts(wanted), strict=True):
            lifted = self._lifted(part) - self._usual
            products += lifted.T @ lifted
            sums += lifted.T @ target
        products.diagonal().add_(penalty * products.diagonal().mean())
        self._weights = torch.linalg.solve(products, sums)

    def _lifted(self, seen: torch.Tensor) -> torch.Tensor:
        scaled = (seen - self._mean) / self._spread
        waves = torch.cos(scaled @ self._waves + self._phases) * math.sqrt(2 / max(len(self._phases), 1))
        return torch.cat([STRAIGHT * scaled, waves], dim=1)

    def __call__(self, seen: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self._shares + (self._lifted(seen) - self._usual) @ self._weights
        return scores


def _over_views(seen: torch.Tensor, views: Sequence[tuple[float, float, float]], score: Features) -> torch.Tensor:
    """The mean of the scores of all views, mirrored, too."""
    found = [score(_view(picture, *view)) for view in views for picture in (seen, seen.flip(3))]
    return torch.stack(found).mean(dim=0)


def _parts(rows: torch.Tensor) -> list[torch.Tensor]:
    return [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]


def disturb(pictures: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Pictures as others might have drawn them: N × 4 × 64 × 64, premultiplied, to N × 3 × 64 × 64, 0 to 1.

    Moved, turned, stretched, mirrored, some bent; on a ground; in other colours; some stained or blurred.
    """
    count = len(pictures)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *(shape or (1, 1, 1)), generator=random)

    def sometimes(share: float) -> torch.Tensor:
        return torch.rand(count, 1, 1, 1, generator=random) < share

    bent = _bend(pictures, torch.where(sometimes(0.5), uniform(0, BENT), 0.0), random)
    moved = _move(bent, uniform)
    ground = torch.where(sometimes(0.25), uniform(0, 1, 3, 1, 1), 1.0)
    seen = moved[:, :3] + (1 - moved[:, 3:]) * ground
    angle = torch.where(sometimes(0.3), uniform(-math.pi, math.pi), uniform(-0.3, 0.3))
    seen = _turn_hues(seen, angle[:, 0, 0, 0], uniform(0.3, 1.3)[:, 0, 0, 0])
    stains = torch.randn(count, 3, 16, 16, generator=random) * torch.where(sometimes(0.25), uniform(0, STAINED), 0.0)
    seen = seen + functional.interpolate(stains, size=seen.shape[2:], mode="bilinear", align_corners=False)
    blurred = functional.avg_pool2d(functional.pad(seen, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return torch.where(sometimes(0.2), blurred, seen).clamp(0, 1)


def _bend(pictures: torch.Tensor, strength: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """As drawn by an unsteady hand: each place comes from about `strength` (N × 1 × 1 × 1) of half a side away."""
    aside = torch.randn(len(pictures), 2, 6, 6, generator=random) * strength
    smooth = functional.interpolate(aside, size=pictures.shape[2:], mode="bicubic", align_corners=False)
    straight = torch.eye(2, 3).expand(len(pictures), 2, 3)
    grid = functional.affine_grid(straight, list(pictures.shape), align_corners=False) + smooth.permute(0, 2, 3, 1)
    return functional.grid_sample(pictures, grid, align_corners=False)


def _move(pictures: torch.Tensor, uniform: Callable[..., torch.Tensor]) -> torch.Tensor:
    def one(low: float, high: float) -> torch.Tensor:
        return uniform(low, high)[:, 0, 0, 0]

    angle, high = one(-0.25, 0.25), one(0.95, 1.3)
    wide = high * one(0.9, 1.1)
    mirrored = torch.where(one(0, 1) < 0.5, -1.0, 1.0)
    first = torch.stack([angle.cos() * wide * mirrored, -angle.sin() * high, one(-0.1, 0.1)], dim=1)
    second = torch.stack([angle.sin() * wide * mirrored, angle.cos() * high, one(-0.1, 0.1)], dim=1)
    grid = functional.affine_grid(torch.stack([first, second], dim=1), list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, align_corners=False)


def _turn_hues(seen: torch.Tensor, angle: torch.Tensor, saturation: torch.Tensor) -> torch.Tensor:
    """Turned by `angle` around the grey axis, and nearer to it or further from it."""
    grey = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    cosine, sine = (saturation * angle.cos())[:, None, None], (saturation * angle.sin())[:, None, None]
    return torch.einsum("nij,njhw->nihw", grey + cosine * (torch.eye(3) - grey) + sine * cross, seen)


def classes_of(emoji: Sequence[Emoji], things: Sequence[Thing]) -> dict[str, int]:
    """The number of the thing that each emoji shows, by its code, for those that show one."""
    numbers = {thing.code: number for number, thing in enumerate(things)}
    return {one.code: numbers[code] for one in emoji if not one.tone and (code := bare_code(one.code)) in numbers}


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
