"""One more level makes pictures of twice the side from the same latents."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from research.loop import Plan
from research.pictures.training.autoencoder import to_tensor
from research.pictures.training.enlargement import EnlargementRun, EnlargementTask, add_level, shrink
from research.pictures.training.networks import Sizes, make_autoencoder


@pytest.fixture(scope="module")
def small() -> AutoencoderKL:
    return make_autoencoder(Sizes(autoencoder=(32, 8, 8), groups=4), 1).eval()


@pytest.fixture(scope="module")
def originals() -> np.ndarray:
    """Pictures with soft spots of colour: 8 × 128 × 128 × 3."""
    random = torch.Generator().manual_seed(1)
    spots = torch.rand(8, 3, 16, 16, generator=random)
    large = torch.nn.functional.interpolate(spots, size=(128, 128), mode="bicubic").clamp(0, 1)
    return (large * 255).byte().permute(0, 2, 3, 1).numpy()


def test_a_new_level_changes_neither_latents_nor_coarse_pictures(small: AutoencoderKL, originals: np.ndarray) -> None:
    large = add_level(small, originals).eval()
    pictures = to_tensor(originals)
    with torch.no_grad():
        latents, again = small.encode(shrink(pictures)).latent_dist.mean, large.encode(pictures).latent_dist.mean
        coarse, decoded = small.decode(latents).sample, large.decode(latents).sample
    assert decoded.shape == (8, 3, 128, 128)
    assert (again - latents).std() < 0.1 * latents.std()
    middle = (..., slice(8, -8), slice(8, -8))
    assert (shrink(decoded)[middle] - coarse[middle]).std() < 0.6 * coarse.std()


def test_the_decoder_learns_and_the_rest_stays(small: AutoencoderKL, originals: np.ndarray, tmp_path: Path) -> None:
    def run(steps: int, name: str) -> EnlargementRun:
        task = EnlargementTask(add_level(small, originals), small, originals, tmp_path / "samples")
        task.batch, task.adversarial_step = 1, 0
        made = EnlargementRun(task, Plan(steps, 1, tmp_path, name))
        made.resume()
        made.train(lambda _: None)
        return made

    before = add_level(small, originals).state_dict()
    whole = run(2, "whole")
    after = whole.task.module.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)
    whole.task.show(whole.averaged, 2)
    assert (tmp_path / "samples" / "enlargement-000002.png").is_file()


def test_a_run_that_was_interrupted_has_the_same_result(
    small: AutoencoderKL, originals: np.ndarray, tmp_path: Path
) -> None:
    def run(name: str) -> EnlargementRun:
        task = EnlargementTask(add_level(small, originals), small, originals, tmp_path)
        task.batch, task.adversarial_step = 1, 1
        made = EnlargementRun(task, Plan(3, 1, tmp_path, name))
        made.resume()
        return made

    whole, before = run("whole"), run("interrupted")
    whole.train(lambda _: None)
    before.train(lambda _: None, until=2)
    after = run("interrupted")
    assert after.step == 2
    after.train(lambda _: None)
    values = zip(whole.averaged.state_dict().values(), after.averaged.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in values)
