"""Measures how nearly a picture copies a drawing, whichever way that is mirrored, shifted or recoloured."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from research.pictures.data.colours import HUES, recolour
from research.pictures.data.emoji import SMALL_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SHIFT = SMALL_SIZE // 16
"""Drawings are shifted by up to a sixteenth of their side each way: 8 of 128 pixels."""
COPY_DISTANCE = 0.08
"""Pictures that are nearer than this to a drawing count as copies of it."""
CANDIDATES = 10
COARSE = 16
"""The drawings that are compared in all ways are those nearest in grey, at 16 × 16 pixels."""

OUTSIDE = (255, 0, 254)
WHITE_TOLERANCE = 24
"""Pixels around a drawing whose channels differ from white by less than this in all count as background."""


class Distances(NamedTuple):
    """Distances of pictures of things, and of unseen prompts, to what was learnt, and to what they looked at."""

    learnt: np.ndarray
    unseen: np.ndarray
    looked_at: np.ndarray


def measure_distance(picture: np.ndarray, drawing: np.ndarray) -> float:
    """Return the least root mean square of the pixels' differences, 0 to 1, over all changes of `drawing`.

    Both are 64 × 64 × 3, uint8, on white. The drawing is mirrored or not, in its own or any other colour, and shifted.
    """
    ink = _ink(picture)
    spectrum = np.fft.rfft2(ink, axes=(0, 1), s=(2 * SMALL_SIZE,) * 2)
    around = _find_background(drawing)
    cut = np.dstack([drawing, np.where(around, 0, 255).astype(np.uint8)])
    least = np.inf
    for colour in (None, *HUES, "brown"):
        coloured = drawing if colour is None else np.where(around[..., None], 255, recolour(cut, colour)[..., :3])
        for turned in (coloured, coloured[:, ::-1]):
            other = _ink(turned)
            products = np.fft.rfft2(other, axes=(0, 1), s=(2 * SMALL_SIZE,) * 2).conj() * spectrum
            overlap = np.fft.irfft2(products.sum(2), s=(2 * SMALL_SIZE,) * 2)
            shifts = np.r_[0 : MAX_SHIFT + 1, -MAX_SHIFT:0]
            best = overlap[np.ix_(shifts, shifts)].max()
            # White is zero, so what a shift moves beyond the edge is the little that it loses.
            least = min(least, (ink**2).sum() + (other**2).sum() - 2 * best)
    return float(np.sqrt(max(least, 0) / ink.size))


def find_nearest(pictures: np.ndarray, drawings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the drawing nearest to each picture under all changes, and its distance."""
    bank = _coarse(drawings)
    squares = (bank**2).sum(1)
    numbers, distances = [], []
    for picture in pictures:
        both = _coarse(np.stack([picture, picture[:, ::-1]]))
        candidates = np.argsort((squares[:, None] - 2 * bank @ both.T).min(1))[:CANDIDATES]
        measured = [measure_distance(picture, drawings[number]) for number in candidates]
        numbers.append(int(candidates[np.argmin(measured)]))
        distances.append(min(measured))
    return np.asarray(numbers), np.asarray(distances)


def measure_looked_at(pictures: np.ndarray, references: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return the distance of each picture to the nearest of the drawings that it looked at, without those of none."""
    pairs = zip(pictures, references, strict=True)
    return np.asarray(
        [min(measure_distance(one, other) for other in looked_at) for one, looked_at in pairs if looked_at]
    )


def _find_background(drawing: np.ndarray) -> np.ndarray:
    """Return where the white around a drawing is; white inside it is part of it."""
    framed = ImageOps.expand(Image.fromarray(drawing), 1, "white")
    ImageDraw.floodfill(framed, (0, 0), OUTSIDE, thresh=WHITE_TOLERANCE)
    around: np.ndarray = (np.asarray(framed)[1:-1, 1:-1] == OUTSIDE).all(2)
    return around


def _ink(picture: np.ndarray) -> np.ndarray:
    ink: np.ndarray = 1 - picture.astype(np.float32) / 255
    return ink


def _coarse(pictures: np.ndarray) -> np.ndarray:
    cells = SMALL_SIZE // COARSE
    grey = pictures.mean(3, dtype=np.float32) / 255
    coarse: np.ndarray = grey.reshape(len(grey), COARSE, cells, COARSE, cells).mean((2, 4))
    return coarse.reshape(len(grey), -1)
