"""Composes training pictures: emoji on white, in pairs, on coloured backgrounds, in scenes, and with things worn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from research.pictures.data.colours import tint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from research.pictures.data.emoji import Rgba

    Rgb = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
    Painter = Callable[[Image.Image, Random], None]

GRID = 64
"""Places and sides are counted in units of which a picture has so many a side, whatever its size in pixels."""
EMOJI_SIDE = 56
MAX_TURN = 8
"""The degrees by which an emoji is turned at most."""
MAX_SQUEEZE, MAX_SHEAR = 0.22, 0.16
"""The shares of its side by which an emoji becomes narrower or lower, and by which its top is shifted, at most."""
SCENE_SIDES = (46, 52)
"""The smallest and the largest side in units; smaller emoji became blobs, as a latent covers 4 × 4 of them."""


def place(picture: Rgba, random: Random, *, flip: bool) -> Rgb:
    """Place the emoji on white, slightly scaled, shifted and turned, and mirrored with `flip`."""
    canvas = _canvas(picture, "white")
    # With much wider shifts, the network drew outlines that were as blurred as the shifts were wide.
    side = EMOJI_SIDE + random.randint(-4, 3)
    spare = GRID - side
    corner = (spare // 2 + random.randint(-2, 2), spare // 2 + random.randint(-2, 2))
    turn = random.uniform(-MAX_TURN, MAX_TURN) if random.random() < 0.4 else 0.0
    _paste(canvas, picture, side, corner, flip=flip, turn=turn)
    return np.asarray(canvas)


def distort(picture: Rgba, random: Random) -> Rgba:
    """Return the emoji narrower or lower and slanted, as no set has it, so that its outline is not learnt by heart."""
    side = len(picture)
    across, down = random.choice([(1 - random.uniform(0, MAX_SQUEEZE), 1.0), (1.0, 1 - random.uniform(0, MAX_SQUEEZE))])
    shear, middle = random.uniform(-MAX_SHEAR, MAX_SHEAR), (side - 1) / 2
    across *= 1 - abs(shear)  # or its corners would be cut off
    # From each place in the new picture to the place in the old one that it shows.
    matrix = (1 / across, shear, middle * (1 - 1 / across - shear), 0.0, 1 / down, middle * (1 - 1 / down))
    image = Image.fromarray(picture).convert("RGBa")
    bent = image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return np.asarray(bent.convert("RGBA"))


def centre(picture: Rgba) -> Rgb:
    """Place the emoji in the middle, on white, as others look at it."""
    canvas = _canvas(picture, "white")
    _paste(canvas, picture, EMOJI_SIDE, ((GRID - EMOJI_SIDE) // 2,) * 2, flip=False)
    return np.asarray(canvas)


def place_pair(left: Rgba, right: Rgba, random: Random) -> Rgb:
    """Place two emoji side by side on white."""
    side = random.randint(30, 33)
    height = (GRID - side) // 2 + random.randint(-4, 4)
    return _arrange([(left, side, 0, height), (right, side, GRID - side, height + random.randint(-2, 2))])


def place_copies(picture: Rgba, count: int, random: Random) -> Rgb:
    """Place two, three or four copies of an emoji on white."""
    if count == 2:
        return place_pair(picture, picture, random)
    side = random.randint(27, 31)
    far, middle = GRID - side - 1, (GRID - side) // 2
    corners = [(middle, 2), (1, far), (far, far)] if count == 3 else [(1, 1), (far, 1), (1, far), (far, far)]
    return _arrange([(picture, side, across, down) for across, down in corners])


def place_on(upper: Rgba, lower: Rgba, random: Random) -> Rgb:
    """Place one emoji on top of another one, on white."""
    low, high = random.randint(42, 46), random.randint(31, 35)
    across = (GRID - high) // 2 + random.randint(-3, 3)
    return _arrange([(lower, low, (GRID - low) // 2, GRID - low), (upper, high, across, random.randint(0, 2))])


def place_with(main: Rgba, small: Rgba, random: Random) -> Rgb:
    """Place a big emoji with a small one in front of it, at its right, on white."""
    side = random.randint(24, 28)
    corner = (GRID - side, random.randint(4, GRID - side))
    return _arrange([(main, random.randint(45, 49), 0, random.randint(8, 14)), (small, side, *corner)])


def place_behind(back: Rgba, front: Rgba, random: Random) -> Rgb:
    """Place one emoji behind another one, on white."""
    side = random.randint(37, 41)
    return _arrange([(back, random.randint(42, 46), random.randint(0, 3), 0), (front, side, GRID - side, GRID - side)])


def cut_out_features(face: Rgba) -> Rgba:
    """Return the eyes, mouth and tears of a yellow face: all that is not yellow or orange, on transparent ground."""
    hsv = np.asarray(Image.fromarray(face[..., :3]).convert("HSV"), np.int16)
    hue, saturation, value = (hsv[..., channel] for channel in range(3))
    is_skin = (hue > 15) & (hue < 50) & (saturation > 60) & (value > 140)
    down, across = np.mgrid[: len(face), : len(face)] - (len(face) - 1) / 2
    inside = np.hypot(down, across) < len(face) * 0.42
    features = face.copy()
    features[..., 3] = np.where(is_skin | ~inside, 0, face[..., 3])
    return features


def put_features(picture: Rgba, features: Rgba, random: Random) -> Rgba:
    """Put the features of a face on an emoji."""
    canvas = Image.fromarray(picture)
    side = random.randint(36, 42)
    corner = ((GRID - side) // 2 + random.randint(-2, 2), (GRID - side) // 2 + random.randint(-1, 5))
    canvas.alpha_composite(resize(features, side), _to_pixels(canvas, corner))
    return np.asarray(canvas)


def _arrange(parts: Sequence[tuple[Rgba, int, int, int]]) -> Rgb:
    """Place emoji on white in this order, each with its side and the distance of its corner from the left and top."""
    canvas = _canvas(parts[0][0], "white")
    for picture, side, across, down in parts:
        _paste(canvas, picture, side, (across, down), flip=False)
    return np.asarray(canvas)


def place_on_colour(picture: Rgba, colour: str, random: Random, *, flip: bool) -> Rgb:
    """Place the emoji on a background of one colour."""
    canvas = _canvas(picture, tint(colour, random.uniform(-1, 1)))
    side = random.randint(*SCENE_SIDES)
    _paste(canvas, picture, side, ((GRID - side) // 2, (GRID - side) // 2 + random.randint(-2, 2)), flip=flip)
    return np.asarray(canvas)


def place_in_scene(picture: Rgba, scene: str, random: Random, *, flip: bool) -> Rgb:
    """Place the emoji in one of SCENES."""
    canvas = _canvas(picture, "white")
    behind, before = SCENES[scene]
    behind(canvas, random)
    side = random.randint(*SCENE_SIDES)
    _paste(canvas, picture, side, ((GRID - side) // 2 + random.randint(-3, 3), GRID - side - 5), flip=flip)
    before(canvas, random)
    return np.asarray(canvas)


def put_on(picture: Rgba, thing: Rgba, *, position: str) -> Rgba:
    """Put `thing` on the emoji, at the `position` “eyes” or “head”; the background stays transparent."""
    canvas = Image.new("RGBA", (len(picture), len(picture)))
    if position == "eyes":
        canvas.alpha_composite(Image.fromarray(picture))
        canvas.alpha_composite(resize(thing, 44), _to_pixels(canvas, (10, 9)))
    else:
        canvas.alpha_composite(resize(picture, 48), _to_pixels(canvas, (8, 16)))
        canvas.alpha_composite(resize(thing, 30), _to_pixels(canvas, (17, 0)))
    return np.asarray(canvas)


def resize(picture: Rgba, side: int) -> Image.Image:
    """Scale a picture to a side of so many of its units."""
    pixels = side * len(picture) // GRID
    # Premultiplied alpha, so that the colour of invisible pixels does not bleed into the edges.
    return Image.fromarray(picture).convert("RGBa").resize((pixels, pixels), Image.Resampling.LANCZOS).convert("RGBA")


def _paste(
    canvas: Image.Image, picture: Rgba, side: int, corner: tuple[int, int], *, flip: bool, turn: float = 0.0
) -> None:
    small = resize(picture, side)
    if turn:
        small = small.convert("RGBa").rotate(turn, Image.Resampling.BICUBIC).convert("RGBA")
    if flip:
        small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    canvas.paste(small, _to_pixels(canvas, corner), small)


def _canvas(picture: Rgba, colour: str | tuple[int, int, int]) -> Image.Image:
    """Return an empty picture of the size of `picture`."""
    return Image.new("RGB", (len(picture), len(picture)), colour)


def _to_pixels(canvas: Image.Image, place: tuple[int, int]) -> tuple[int, int]:
    unit = canvas.width // GRID
    return place[0] * unit, place[1] * unit


def _ellipse(canvas: Image.Image, box: tuple[int, int, int, int], colour: str | tuple[int, int, int]) -> None:
    unit = canvas.width // GRID
    ImageDraw.Draw(canvas).ellipse([value * unit for value in box], fill=colour)


def _gradient(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Painter:
    def paint(canvas: Image.Image, _: Random) -> None:
        side = canvas.width
        part = np.linspace(0, 1, side)[:, None, None]
        rows = np.asarray(top) * (1 - part) + np.asarray(bottom) * part
        canvas.paste(Image.fromarray(np.broadcast_to(rows, (side, side, 3)).astype(np.uint8)))

    return paint


def _ground(colour: tuple[int, int, int], sky: Painter) -> Painter:
    def paint(canvas: Image.Image, random: Random) -> None:
        sky(canvas, random)
        edge = 44 + random.randint(-2, 2)
        _ellipse(canvas, (-30, edge, GRID + 30, GRID + 50), colour)

    return paint


def _dots(colour: str, count: int, radius: int, lowest: int = GRID) -> Painter:
    def paint(canvas: Image.Image, random: Random) -> None:
        for _ in range(count):
            x, y, size = random.randrange(GRID), random.randrange(lowest), random.randint(1, radius)
            _ellipse(canvas, (x, y, x + size, y + size), colour)

    return paint


def _rain(canvas: Image.Image, random: Random) -> None:
    draw, unit = ImageDraw.Draw(canvas), canvas.width // GRID
    for _ in range(22):
        x, y = random.randrange(canvas.width), random.randrange(canvas.width)
        draw.line((x, y, x - 2 * unit, y + 5 * unit), fill="#4a90d9", width=unit)


def _night(canvas: Image.Image, random: Random) -> None:
    _gradient((18, 24, 66), (52, 58, 120))(canvas, random)
    _dots("#fff6c8", 14, 2)(canvas, random)
    _ellipse(canvas, (50, 4, 60, 14), "#fff0a0")


def _sunny(canvas: Image.Image, random: Random) -> None:
    _gradient((125, 200, 250), (215, 240, 255))(canvas, random)
    _ellipse(canvas, (50, 2, 62, 14), "#ffd93b")


def _nothing(canvas: Image.Image, random: Random) -> None:
    del canvas, random


_SNOWY_GROUND = _ground((250, 252, 255), _gradient((150, 190, 225), (205, 225, 243)))
SCENES: dict[str, tuple[Painter, Painter]] = {
    "in the snow": (_SNOWY_GROUND, _dots("white", 26, 3)),
    "in the rain": (_gradient((150, 165, 185), (195, 205, 215)), _rain),
    "at night": (_night, _nothing),
    "on the grass": (_ground((110, 190, 80), _sunny), _nothing),
    "in the desert": (_ground((240, 205, 130), _sunny), _nothing),
    "under water": (_gradient((70, 170, 225), (20, 90, 170)), _dots("#c8ecff", 10, 4)),
    "at sunset": (_ground((95, 60, 95), _gradient((255, 120, 70), (255, 205, 120))), _nothing),
}
"""For each scene, the functions that paint behind the emoji and in front of it."""
SCENE_WORDS = {
    "in the snow": ("in the snow", "in snow", "in winter", "on a snowy day", "while it is snowing"),
    "in the rain": ("in the rain", "on a rainy day", "while it rains"),
    "at night": ("at night", "under the stars", "in the moonlight", "in the dark"),
    "on the grass": ("on the grass", "in a meadow", "on a green field", "in the sunshine", "in a garden"),
    "in the desert": ("in the desert", "on sand", "on the beach"),
    "under water": ("under water", "in the sea", "in the ocean"),
    "at sunset": ("at sunset", "in the evening", "at dusk"),
}
