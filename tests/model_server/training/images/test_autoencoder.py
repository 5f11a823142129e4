"""Pixels to numbers and back, and what counts as a difference."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from model_server.training.images.autoencoder import AutoencoderTask, encode, mean_psnr, to_pixels, to_tensor
from model_server.training.images.networks import Sizes, make_autoencoder


class Copying(torch.nn.Module):
    """Gives back what it gets, moved to the side by some pixels and lighter by some 255ths."""

    def __init__(self, moved: int = 0, lighter: int = 0, spread: float = 0.0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.moved, self.lighter, self.spread = moved, lighter, spread

    def encode(self, pictures: torch.Tensor) -> SimpleNamespace:
        self.seen = pictures
        still = torch.zeros(len(pictures), 4, 16, 16)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=still, std=still, logvar=still + self.spread))

    def decode(self, latents: torch.Tensor) -> SimpleNamespace:
        made = torch.roll(self.seen, self.moved, dims=3) + self.lighter / 127.5 + self.weight
        return SimpleNamespace(sample=made)


def test_pixels_come_back() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), np.uint8)
    tensor = to_tensor(pixels)
    assert tensor.shape == (3, 3, 64, 64)
    assert (tensor.min(), tensor.max()) == (-1, 1)
    assert np.array_equal(to_pixels(tensor), pixels)
    assert to_pixels(torch.full((1, 3, 1, 1), 9.0)).max() == 255


@pytest.mark.parametrize(("lighter", "decibels"), [(1, 48.13), (16, 24.05)])
def test_fidelity_is_in_decibels(lighter: int, decibels: float) -> None:
    grey = np.full((2, 64, 64, 3), 100, np.uint8)
    assert mean_psnr(Copying(lighter=lighter), grey) == pytest.approx(decibels, abs=0.01)


def test_latents_are_means_in_half_precision(squares: np.ndarray, sizes: Sizes) -> None:
    autoencoder = make_autoencoder(sizes, 1)
    latents = encode(autoencoder, squares)
    assert (latents.shape, latents.dtype) == ((8, 4, 16, 16), torch.float16)
    with torch.no_grad():
        again = autoencoder.encode(to_tensor(squares[2:3])).latent_dist.mean
    assert torch.allclose(latents[2:3].float(), again, atol=2e-3)


def loss(copying: Copying, pictures: np.ndarray) -> float:
    task = AutoencoderTask(copying, pictures, np.full(len(pictures), 1 / len(pictures)), Path())
    return float(task.loss(torch.Generator().manual_seed(1)).detach())


def test_a_perfect_copy_costs_nothing_and_a_wide_spread_something(squares: np.ndarray) -> None:
    assert loss(Copying(), squares) == pytest.approx(0, abs=1e-6)
    # Half of e - 1 - 1 for each number of the latents, of which a little counts.
    assert loss(Copying(spread=1.0), squares) == pytest.approx(5e-4 * 0.5 * (np.e - 2), rel=1e-3)


def test_a_wrong_colour_costs_thrice_its_difference_and_wrong_edges_more(squares: np.ndarray) -> None:
    assert loss(Copying(lighter=10), squares) == pytest.approx(3 * 10 / 127.5, rel=1e-3)
    assert loss(Copying(moved=1), squares) > 0.01
