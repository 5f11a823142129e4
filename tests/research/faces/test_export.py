"""Verdicts are calibrated: of what gets 80 %, about 80 % are real."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_server.engines.duel.weights import load_real_pictures
from research.faces.export import calibrate, write_sheet


def probabilities(scores: np.ndarray, slope: float, offset: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(slope * scores + offset)))


def test_probabilities_are_shares() -> None:
    random = np.random.default_rng(0)
    # Of scores from two normal distributions with deviation 1, the log odds are 2 · score - 4.
    real, fake = random.normal(3, 1, 4000), random.normal(1, 1, 4000)
    slope, offset = calibrate(real, fake)
    assert slope == pytest.approx(2, abs=0.15)
    assert offset == pytest.approx(-4, abs=0.3)
    both = probabilities(np.concatenate([real, fake]), slope, offset)
    sure = (both > 0.7) & (both < 0.9)
    assert sure[:4000].sum() / sure.sum() == pytest.approx(0.8, abs=0.05)


def test_real_and_generated_pictures_count_the_same() -> None:
    random = np.random.default_rng(0)
    real, fake = random.normal(3, 1, 200), random.normal(1, 1, 4000)
    slope, offset = calibrate(real, fake)
    assert probabilities(np.array([2.0]), slope, offset)[0] == pytest.approx(0.5, abs=0.1)


def test_scores_that_tell_nothing_give_a_half() -> None:
    constant = np.zeros(50)
    assert probabilities(constant, *calibrate(constant, constant)) == pytest.approx(0.5)
    # A discriminator that is worse than chance here is not turned round.
    slope, offset = calibrate(np.linspace(0, 1, 50), np.linspace(2, 3, 50))
    assert (slope, offset) == (0, 0)


def test_separated_scores_stay_finite() -> None:
    slope, offset = calibrate(np.linspace(2, 3, 50), np.linspace(0, 1, 50))
    sure = probabilities(np.array([0.0, 3.0]), slope, offset)
    assert sure[0] < 0.05
    assert 0.95 < sure[1] < 0.9999


def test_the_sheet_of_real_pictures_is_read_again(tmp_path: Path) -> None:
    pictures = np.full((19, 64, 64, 3), 250, np.uint8)
    pictures[:, 10:20, 10:20] = np.arange(19, dtype=np.uint8)[:, None, None, None]
    write_sheet(pictures, tmp_path / "real.png")
    assert Image.open(tmp_path / "real.png").size == (1024, 128)
    assert np.array_equal(np.stack([np.asarray(one) for one in load_real_pictures(tmp_path / "real.png")]), pictures)
