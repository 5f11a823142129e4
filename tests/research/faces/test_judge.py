"""The judge of emoji-faces finds what was learnt that is nearest to a picture."""

import numpy as np
import pytest

from research.faces import judge


def flat(*colour: int) -> np.ndarray:
    """A picture of one colour."""
    return np.full((64, 64, 3), colour, np.uint8)


def test_the_nearest_picture_is_found_in_any_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "COMPARISON_BATCH", 2)
    training_pictures = np.stack([flat(level, 0, 0) for level in (0, 50, 100, 150, 200)])
    numbers, distances = judge.find_nearest(
        np.stack([flat(150, 0, 0), flat(205, 0, 0), flat(0, 0, 0)]), training_pictures
    )
    assert numbers.tolist() == [3, 4, 0]
    # Five 255ths in one of three channels.
    assert distances.tolist() == pytest.approx([0, 5 / 255 / 3**0.5, 0], abs=1e-3)
