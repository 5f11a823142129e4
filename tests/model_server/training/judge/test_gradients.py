"""Features of pictures whose edges are known."""

import pytest
import torch

from model_server.training.judge.gradients import DIRECTIONS, hog_features

CELL = 15 * 15
"""The finer cells come first, direction by direction."""


def stripes(angle: float) -> torch.Tensor:
    """Grey waves whose brightness changes along `angle` (degrees, from the right downwards)."""
    turn = torch.deg2rad(torch.tensor(angle))
    down, across = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    wave = torch.sin((across * torch.cos(turn) + down * torch.sin(turn)) / 3)
    return (0.5 + 0.4 * wave).expand(1, 3, 64, 64)


def strengths(picture: torch.Tensor) -> torch.Tensor:
    """The mean of each direction in the finer cells."""
    return hog_features(picture)[0, : DIRECTIONS * CELL].reshape(DIRECTIONS, CELL).mean(dim=1)


@pytest.mark.parametrize("direction", [0, 2, 4, 7])
def test_edges_are_counted_by_their_direction(direction: int) -> None:
    found = strengths(stripes(direction * 180 / DIRECTIONS))
    assert int(found.argmax()) == direction
    assert found[direction] > 3 * found[(direction + 4) % DIRECTIONS]


def test_from_light_to_dark_is_as_from_dark_to_light_and_contrast_does_not_matter() -> None:
    picture = stripes(40)
    assert torch.allclose(strengths(picture), strengths(1 - picture), atol=1e-3)
    assert torch.allclose(strengths(picture), strengths(0.5 + (picture - 0.5) / 2), atol=0.05)


def test_a_plain_picture_has_no_edges_but_a_tint() -> None:
    plain = torch.tensor([0.2, 0.4, 0.8])[None, :, None, None].expand(2, 3, 64, 64)
    found = hog_features(plain)
    assert found.shape == (2, 2613)
    assert found[:, : -3 * 49].abs().max() == 0
    assert torch.allclose(found[0, -3 * 49 :].reshape(3, 49).mean(dim=1), 1.5 * torch.tensor([0.2, 0.4, 0.8]))
