"""Makes the originals of full size from which the decoder learns edges: emoji on white and on other grounds."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from research.pictures.data.choice import show_in_colour
from research.pictures.data.colours import BACKGROUNDS, COLOURS, tint
from research.pictures.data.emoji import SIZE
from research.pictures.data.scenes import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from research.pictures.data.emoji import Rgba
    from research.pictures.data.scenes import Rgb

ORIGINAL_SIZE = 2 * SIZE
WHITE_SHARE, RECOLOURED_SHARE, PAIR_SHARE = 0.8, 0.25, 0.2


def make_originals(emoji: Sequence[Rgba], count: int, seed: int) -> np.ndarray:
    """Return `count` pictures of 128 × 128 × 3 from drawings of 128 × 128 × 4, which take turns."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    order = [number % len(emoji) for number in range(count)]
    random.shuffle(order)
    return np.stack([_compose(emoji, number, random) for number in order])


def _compose(emoji: Sequence[Rgba], number: int, random: Random) -> Rgb:
    white = random.random() < WHITE_SHARE
    ground = "white" if white else tint(random.choice(list(BACKGROUNDS)), random.uniform(-1, 1))
    canvas = Image.new("RGB", (ORIGINAL_SIZE, ORIGINAL_SIZE), ground)
    if random.random() < PAIR_SHARE:
        side = random.randint(58, 68)
        parts = [(number, side, 0), (random.randrange(len(emoji)), side, ORIGINAL_SIZE - side)]
    else:
        side = random.randint(96, 120)
        parts = [(number, side, random.randint(0, ORIGINAL_SIZE - side))]
    for place, edge, across in parts:
        picture = emoji[place]
        if random.random() < RECOLOURED_SHARE:
            recoloured = show_in_colour(picture, random.choice(COLOURS))
            picture = picture if recoloured is None else recoloured
        small = resize(picture, edge)
        canvas.paste(small, (across, random.randint(0, ORIGINAL_SIZE - edge)), small)
    return np.asarray(canvas)
