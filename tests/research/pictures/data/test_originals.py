"""The originals show all drawings, in full size."""

import numpy as np

from research.pictures.data.originals import make_originals


def drawing(colour: tuple[int, int, int]) -> np.ndarray:
    picture = np.zeros((128, 128, 4), np.uint8)
    picture[20:108, 20:108] = (*colour, 255)
    return picture


def test_each_drawing_is_shown_on_white_and_on_other_grounds() -> None:
    originals = make_originals([drawing((220, 30, 30)), drawing((30, 30, 220))], 80, seed=1)
    assert originals.shape == (80, 128, 128, 3)
    grounds = originals[:, 0, 0]
    is_white = (grounds == 255).all(axis=1)
    assert 50 < is_white.sum() < 80
    for colour in ((220, 30, 30), (30, 30, 220)):
        near = np.abs(originals.astype(int) - colour).sum(axis=3) < 30
        assert near.any(axis=(1, 2)).sum() > 10


def test_the_seed_decides_the_originals() -> None:
    drawings = [drawing((220, 30, 30))]
    assert np.array_equal(make_originals(drawings, 3, seed=1), make_originals(drawings, 3, seed=1))
    assert not np.array_equal(make_originals(drawings, 3, seed=1), make_originals(drawings, 3, seed=2))
