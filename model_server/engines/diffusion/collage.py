"""Puts pictures of single things on white together into one picture."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageFilter, ImageOps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.engines.diffusion.parts import Arrangement

PAPER_BRIGHTNESS = 225
"""A pixel whose darkest channel is brighter than this belongs to the white ground, if it lies outside the thing."""
ROWS = {1: (1,), 2: (2,), 3: (1, 2), 4: (2, 2), 5: (2, 3), 6: (3, 3)}
"""The number of parts in each row, from the top, for each number of parts."""


class Cell(NamedTuple):
    """A rectangle in shares of the picture's sides, in which a part lies: in the middle, or on its lower edge."""

    left: float
    top: float
    right: float
    bottom: float
    stands: bool = False

    def to_pixels(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the rectangle in pixels of a picture of this size."""
        width, height = size
        left, top = round(self.left * width), round(self.top * height)
        return left, top, max(left + 1, round(self.right * width)), max(top + 1, round(self.bottom * height))


CELLS: dict[Arrangement, tuple[Cell, Cell]] = {
    "on": (Cell(0.2, 0.0, 0.8, 0.6, stands=True), Cell(0.14, 0.3, 0.86, 1.0, stands=True)),
    "with": (Cell(0.0, 0.12, 0.74, 0.92), Cell(0.57, 0.5, 1.0, 0.98)),
    "behind": (Cell(0.02, 0.0, 0.7, 0.7), Cell(0.36, 0.34, 1.0, 1.0, stands=True)),
    "in": (Cell(0.22, 0.02, 0.78, 0.64), Cell(0.1, 0.38, 0.9, 1.0, stands=True)),
    "hat": (Cell(0.13, 0.25, 0.87, 1.0, stands=True), Cell(0.26, 0.0, 0.74, 0.4, stands=True)),
    "place": (Cell(0.0, 0.0, 1.0, 1.0), Cell(0.13, 0.14, 0.87, 0.93, stands=True)),
    "under": (Cell(0.3, 0.58, 0.7, 1.0, stands=True), Cell(0.08, 0.0, 0.92, 0.84, stands=True)),
}
"""Where the first and the second part lie in each arrangement but rows."""
STANDS_ON: Mapping[Arrangement, tuple[int, int]] = {"on": (0, 1), "hat": (1, 0)}
"""Arrangements in which one part stands on another, with the places of the upper and the lower one."""
FIRST_IN_FRONT: tuple[Arrangement, ...] = ("on", "under")
"""Arrangements in which the first part lies over the second one."""
SMALLEST = 0.8
"""How large the smallest thing is, as a share of the size that its cell lets it have."""
OVERLAP = 0.1
"""How far one part sinks into the one that it stands on, as a share of the picture's height."""


def find_cells(arrangement: Arrangement, count: int) -> tuple[Cell, ...]:
    """Return where each of `count` parts lies."""
    if arrangement != "row":
        return CELLS[arrangement]
    rows = ROWS[count]
    cells = []
    for row, in_row in enumerate(rows):
        margin = 0.25 if in_row == 1 else 0.0
        width = (1 - 2 * margin) / in_row
        for place in range(in_row):
            left = margin + place * width
            cells.append(Cell(left, row / len(rows), left + width, (row + 1) / len(rows)))
    return tuple(cells)


def make_collage(arrangement: Arrangement, pictures: Sequence[Image.Image], seed: int) -> Image.Image:
    """Return the parts in one picture, as large as each of `pictures`. What is white around each thing is left out.

    The seed decides how large each thing is, and where exactly in its cell it lies. A place is shown as it is.
    """
    cells = find_cells(arrangement, len(pictures))
    [size, *_] = [picture.size for picture in pictures]
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    things, corners = [], []
    for picture, cell in zip(pictures, cells, strict=True):
        thing = _fit(_cut_out(picture), cell.to_pixels(size), random.uniform(SMALLEST, 1.0))
        things.append(thing)
        corners.append(_find_corner(thing, cell, cell.to_pixels(size), random))
    if arrangement in STANDS_ON:
        upper, lower = STANDS_ON[arrangement]
        bottom = corners[lower][1] + round(OVERLAP * size[1])
        corners[upper] = (corners[upper][0], max(0, bottom - things[upper].height))
    canvas = pictures[0].convert("RGB") if arrangement == "place" else Image.new("RGB", size, "white")
    order = range(1 if arrangement == "place" else 0, len(things))
    for place in reversed(order) if arrangement in FIRST_IN_FRONT else order:
        canvas.paste(things[place], corners[place], things[place])
    return canvas


def make_tiles(arrangement: Arrangement, pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures that are still noisy, each whole, where its thing is going to lie."""
    [size, *_] = [picture.size for picture in pictures]
    canvas = Image.new("RGB", size, "white")
    for picture, cell in zip(pictures, find_cells(arrangement, len(pictures)), strict=True):
        left, top, right, bottom = cell.to_pixels(size)
        tile = ImageOps.contain(picture, (right - left, bottom - top), Image.Resampling.BOX)
        canvas.paste(tile, ((left + right - tile.width) // 2, (top + bottom - tile.height) // 2))
    return canvas


def cut_parts(arrangement: Arrangement, count: int, picture: Image.Image) -> list[Image.Image]:
    """Return what a picture shows where each part lies, each as large as the picture."""
    cells = find_cells(arrangement, count)
    return [picture.crop(cell.to_pixels(picture.size)).resize(picture.size, Image.Resampling.BICUBIC) for cell in cells]


def _cut_out(picture: Image.Image) -> Image.Image:
    """Return the thing in a picture with the white around it transparent.

    White that has the thing to its left and right, above and below belongs to the thing.
    """
    is_thing = np.asarray(picture.convert("RGB")).min(axis=2) < PAPER_BRIGHTNESS
    across, down = np.maximum.accumulate(is_thing, axis=1), np.maximum.accumulate(is_thing, axis=0)
    back = np.maximum.accumulate(is_thing[:, ::-1], axis=1)[:, ::-1]
    up = np.maximum.accumulate(is_thing[::-1], axis=0)[::-1]
    mask = Image.fromarray(((across & back & down & up) * 255).astype(np.uint8))
    box = mask.getbbox()
    thing = picture.convert("RGBA")
    # One pixel less, which is half white, and a soft edge, without which the outline would be a staircase.
    thing.putalpha(mask.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(0.6)))
    return thing.crop(box) if box else thing


def _fit(thing: Image.Image, cell: tuple[int, int, int, int], share: float) -> Image.Image:
    """Return the thing in a `share` of the size that the cell lets it have, with its own proportions."""
    left, top, right, bottom = cell
    scale = share * min((right - left) / thing.width, (bottom - top) / thing.height)
    sides = (max(1, round(thing.width * scale)), max(1, round(thing.height * scale)))
    # Premultiplied alpha, so that the colour of invisible pixels does not bleed into the edges.
    return thing.convert("RGBa").resize(sides, Image.Resampling.LANCZOS).convert("RGBA")


def _find_corner(thing: Image.Image, cell: Cell, pixels: tuple[int, int, int, int], random: Random) -> tuple[int, int]:
    left, top, right, bottom = pixels
    down = bottom - top - thing.height
    # Things that stand on each other stay in the middle, so that they still meet.
    across = (right - left - thing.width) * (0.5 if cell.stands else random.uniform(0.2, 0.8))
    return left + round(across), top + (down if cell.stands else round(down * random.uniform(0.2, 0.8)))
