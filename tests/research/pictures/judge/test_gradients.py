"""Gradient features of pictures with known edges."""

import pytest
import torch

from research.pictures.judge.gradients import DIRECTIONS, compute_hog_features

CELL = 15 * 15
"""The number of finer cells, which come first, direction by direction."""


def stripes(angle: float) -> torch.Tensor:
    """Grey waves whose brightness changes along `angle` (degrees, from the right downwards)."""
    radians = torch.deg2rad(torch.tensor(angle))
    down, across = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    wave = torch.sin((across * torch.cos(radians) + down * torch.sin(radians)) / 3)
    return (0.5 + 0.4 * wave).expand(1, 3, 64, 64)


def mean_strengths(picture: torch.Tensor) -> torch.Tensor:
    """The mean feature of each direction over the finer cells."""
    return compute_hog_features(picture)[0, : DIRECTIONS * CELL].reshape(DIRECTIONS, CELL).mean(dim=1)


@pytest.mark.parametrize("direction", [0, 2, 4, 7])
def test_gradients_are_counted_by_direction(direction: int) -> None:
    strengths = mean_strengths(stripes(direction * 180 / DIRECTIONS))
    assert int(strengths.argmax()) == direction
    assert strengths[direction] > 3 * strengths[(direction + 4) % DIRECTIONS]


def test_a_plain_picture_has_only_a_tint() -> None:
    plain = torch.tensor([0.2, 0.4, 0.8])[None, :, None, None].expand(2, 3, 64, 64)
    strengths = compute_hog_features(plain)
    assert strengths.shape == (2, 2613)
    assert strengths[:, : -3 * 49].abs().max() == 0
    assert torch.allclose(strengths[0, -3 * 49 :].reshape(3, 49).mean(dim=1), 1.5 * torch.tensor([0.2, 0.4, 0.8]))
