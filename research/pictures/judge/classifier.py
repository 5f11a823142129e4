"""The judge: a classifier that names which of two hundred common things a drawn picture shows.

It is trained on emoji sets and tested on a set that neither it nor the generator has seen. That test tells how far its
judgement of the generator's pictures can be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from research.pictures.data.things import strip_selector
from research.pictures.judge.augmentation import augment
from research.pictures.judge.gradients import compute_hog_features
from research.pictures.training.autoencoder import to_tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from research.pictures.data.emoji import Emoji, Rgba
    from research.pictures.data.things import Thing

AUGMENTATIONS = 16
"""The number of differently augmented copies of each picture in the training."""
RANDOM_FEATURES = 4000
KERNEL_SCALE = 0.5
"""The inverse width of the Gaussian kernel: the greater, the more alike two pictures of a thing must be."""
LINEAR_WEIGHT = 0.5
"""The weight of the plain features beside the random ones."""
PENALTY = 0.01
BATCH = 500
VIEWS = tuple(
    (part, right, down)
    for part in (0.75, 0.87, 1.0)
    for right, down in ((0.0, 0.0), (0.07, 0.0), (-0.07, 0.0), (0.0, 0.07), (0.0, -0.07))
)
"""The crops of each picture that are scored, also mirrored: the visible part, and the shift to the right and down."""
VISION_AUGMENTATIONS = 8
VISION_VIEWS = ((0.87, 0.0, 0.0), (1.0, 0.0, 0.0))
"""Fewer crops, because the deep network takes a hundred times as long for a picture as the gradients do."""
VISION_PENALTY = 0.03
VISION_SHARE = 2 / 3
"""The weight of the deep network's scores, found by leaving out one training set after the other."""

FeatureExtractor = Callable[[torch.Tensor], torch.Tensor]


class PictureClassifier:
    """Learns from pictures (N × 64 × 64 × 4, uint8) with the `classes` 0 to `class_count` - 1.

    The scores of two regressions are added. One uses gradients and tints, which depend little on the style of a drawing
    and its faults. The other uses the features of a deep network, `vision`, for images (N × 3 × 64 × 64, 0 to 1), which
    could not be learnt from so few pictures.
    """

    def __init__(
        self, pictures: np.ndarray, classes: Sequence[int], class_count: int, seed: int, vision: FeatureExtractor
    ) -> None:
        random = torch.Generator().manual_seed(seed)
        self._vision = vision
        rgba = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() / 255
        # Premultiplied alpha, so that the colour of invisible pixels does not bleed into the edges.
        premultiplied = torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], dim=1)
        gradient_features, vision_features = [], []
        for repetition in range(AUGMENTATIONS):
            for batch in torch.split(premultiplied, BATCH):
                augmented = augment(batch, random)
                gradient_features.append(compute_hog_features(augmented))
                if repetition < VISION_AUGMENTATIONS:
                    vision_features.append(vision(augmented))
        targets = functional.one_hot(torch.as_tensor(classes).repeat(AUGMENTATIONS), class_count).float()
        self._by_gradients = _RidgeRegression(torch.cat(gradient_features), targets, PENALTY, RANDOM_FEATURES, random)
        inputs = torch.cat(vision_features)
        self._by_vision = _RidgeRegression(inputs, targets[: len(inputs)], VISION_PENALTY, 0, random)

    def scores(self, pictures: np.ndarray) -> np.ndarray:
        """Return how much each picture (N × 64 × 64 × 3, uint8) shows each class: N × classes, from about 0 to 1."""
        parts = []
        for start in range(0, len(pictures), BATCH):
            images = (to_tensor(pictures[start : start + BATCH]) + 1) / 2
            by_gradients = _mean_over_views(images, VIEWS, lambda view: self._by_gradients(compute_hog_features(view)))
            by_vision = _mean_over_views(images, VISION_VIEWS, lambda view: self._by_vision(self._vision(view)))
            parts.append((1 - VISION_SHARE) * by_gradients + VISION_SHARE * by_vision)
        return torch.cat(parts).numpy()

    def features(self, pictures: np.ndarray) -> np.ndarray:
        """Return what the deep network sees in N × 64 × 64 × 3, standardised as the judge reads it: N × features."""
        parts = np.array_split(pictures, -(-len(pictures) // BATCH))
        seen = torch.cat([self._vision((to_tensor(part) + 1) / 2) for part in parts])
        return self._by_vision.standardise(seen).numpy()


class _RidgeRegression:
    """Linear regression from `inputs` (N × features) to `targets` (N × classes) with a penalty on the weights.

    `random_features` random Fourier features, which approximate a Gaussian kernel, are added to the plain ones (Rahimi
    and Recht, "Random Features for Large-Scale Kernel Machines", NIPS 2007).
    """

    def __init__(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        penalty: float,
        random_features: int,
        random: torch.Generator,
    ) -> None:
        self._mean, self._scale = inputs.mean(dim=0), (inputs.std(dim=0) + 0.02) * math.sqrt(inputs.shape[1])
        self._frequencies = KERNEL_SCALE * torch.randn(inputs.shape[1], random_features, generator=random)
        self._phases = 2 * math.pi * torch.rand(random_features, generator=random)
        self._target_means = targets.mean(dim=0)
        batches = torch.split(inputs, BATCH)
        self._feature_means = torch.stack([self._map(batch).sum(dim=0) for batch in batches]).sum(dim=0) / len(inputs)
        width = len(self._feature_means)
        products, sums = torch.zeros(width, width), torch.zeros(width, targets.shape[1])
        for batch, batch_targets in zip(batches, torch.split(targets, BATCH), strict=True):
            mapped = self._map(batch) - self._feature_means
            products += mapped.T @ mapped
            sums += mapped.T @ batch_targets
        products.diagonal().add_(penalty * products.diagonal().mean())
        self._weights = torch.linalg.solve(products, sums)

    def standardise(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the inputs with mean 0, on a scale on which all features count alike."""
        return (inputs - self._mean) / self._scale

    def _map(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the scaled features, and the random features after them."""
        scaled = self.standardise(inputs)
        waves = torch.cos(scaled @ self._frequencies + self._phases) * math.sqrt(2 / max(len(self._phases), 1))
        return torch.cat([LINEAR_WEIGHT * scaled, waves], dim=1)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self._target_means + (self._map(inputs) - self._feature_means) @ self._weights
        return scores


def _mean_over_views(
    images: torch.Tensor, views: Sequence[tuple[float, float, float]], score: FeatureExtractor
) -> torch.Tensor:
    """Return the mean of the scores of all views and their mirror images."""
    scores = [score(_crop(version, *view)) for view in views for version in (images, images.flip(3))]
    return torch.stack(scores).mean(dim=0)


def _crop(images: torch.Tensor, part: float, right: float, down: float) -> torch.Tensor:
    matrices = torch.tensor([[part, 0.0, right], [0.0, part, down]]).expand(len(images), 2, 3)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def map_classes(emoji: Sequence[Emoji], things: Sequence[Thing]) -> dict[str, int]:
    """Return the number of the thing that each emoji shows, by the emoji's code; others are left out."""
    numbers = {thing.code: number for number, thing in enumerate(things)}
    return {one.code: numbers[code] for one in emoji if not one.tone and (code := strip_selector(one.code)) in numbers}


def stack_pictures(sets: Sequence[Mapping[str, Rgba]], classes: Mapping[str, int]) -> tuple[np.ndarray, list[int]]:
    """Return all pictures of `sets` that have a class, N × 64 × 64 × 4, and their classes."""
    labelled = [(picture, classes[code]) for one in sets for code, picture in one.items() if code in classes]
    return np.stack([picture for picture, _ in labelled]), [number for _, number in labelled]


def rank_right_things(scores: np.ndarray, right: Sequence[int]) -> np.ndarray:
    """Return the rank of the right thing in each row of `scores`, 0 for the first.

    Things with the same score as the right one count as ranked before it.
    """
    right_scores = scores[np.arange(len(right)), list(right)]
    return np.asarray((scores >= right_scores[:, None]).sum(axis=1) - 1)
