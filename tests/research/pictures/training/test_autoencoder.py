"""Pictures are converted and encoded, and the loss measures the right differences."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from research.pictures.training.autoencoder import AutoencoderTask, encode, measure_psnr, to_pixels, to_tensor
from research.pictures.training.networks import Sizes, make_autoencoder


class CopyingAutoencoder(torch.nn.Module):
    """Returns its input, shifted to the side by some pixels and brighter by some 255ths."""

    def __init__(self, shift: int = 0, brightness: int = 0, spread: float = 0.0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.shift, self.brightness, self.spread = shift, brightness, spread

    def encode(self, pictures: torch.Tensor) -> SimpleNamespace:
        self.pictures = pictures
        still = torch.zeros(len(pictures), 4, 16, 16)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=still, std=still, logvar=still + self.spread))

    def decode(self, latents: torch.Tensor) -> SimpleNamespace:
        made = torch.roll(self.pictures, self.shift, dims=3) + self.brightness / 127.5 + self.weight
        return SimpleNamespace(sample=made)


def test_pixels_survive_the_conversion() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), np.uint8)
    tensor = to_tensor(pixels)
    assert tensor.shape == (3, 3, 64, 64)
    assert (tensor.min(), tensor.max()) == (-1, 1)
    assert np.array_equal(to_pixels(tensor), pixels)
    assert to_pixels(torch.full((1, 3, 1, 1), 9.0)).max() == 255


@pytest.mark.parametrize(("brightness", "decibels"), [(1, 48.13), (16, 24.05)])
def test_psnr_is_in_decibels(brightness: int, decibels: float) -> None:
    grey = np.full((2, 64, 64, 3), 100, np.uint8)
    assert measure_psnr(CopyingAutoencoder(brightness=brightness), grey) == pytest.approx(decibels, abs=0.01)


def test_latents_are_means_in_half_precision(squares: np.ndarray, sizes: Sizes) -> None:
    autoencoder = make_autoencoder(sizes, 1)
    latents = encode(autoencoder, squares)
    assert (latents.shape, latents.dtype) == ((8, 4, 16, 16), torch.float16)
    with torch.no_grad():
        expected = autoencoder.encode(to_tensor(squares[2:3])).latent_dist.mean
    assert torch.allclose(latents[2:3].float(), expected, atol=0.03)


def loss(autoencoder: CopyingAutoencoder, pictures: np.ndarray) -> float:
    task = AutoencoderTask(autoencoder, pictures, np.full(len(pictures), 1 / len(pictures)), Path())
    return float(task.loss(torch.Generator().manual_seed(1)).detach())


def test_a_perfect_copy_costs_nothing_and_a_large_variance_a_little(squares: np.ndarray) -> None:
    assert loss(CopyingAutoencoder(), squares) == pytest.approx(0, abs=1e-6)
    # Half of e - 1 - 1 for each number of the latents, of which a little counts.
    assert loss(CopyingAutoencoder(spread=1.0), squares) == pytest.approx(5e-4 * 0.5 * (np.e - 2), rel=1e-3)


def test_a_wrong_colour_costs_three_times_its_difference_and_wrong_edges_also_cost(squares: np.ndarray) -> None:
    assert loss(CopyingAutoencoder(brightness=10), squares) == pytest.approx(3 * 10 / 127.5, rel=1e-3)
    assert loss(CopyingAutoencoder(shift=1), squares) > 0.01
