"""Names the main colour of a picture, and recolours pictures."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from research.pictures.data.emoji import Rgba

HUES = {"red": 0, "orange": 28, "yellow": 50, "green": 120, "blue": 212, "purple": 275, "pink": 330}
"""The hues of the colour words, in degrees."""
HUE_RANGES = {
    "red": (-15, 14),
    "orange": (18, 40),
    "yellow": (43, 64),
    "green": (75, 165),
    "blue": (180, 248),
    "purple": (258, 305),
    "pink": (314, 340),
}
"""The range of hues, in degrees, for which people agree on the name."""
GREYS = {"black": (0.0, 0.28), "grey": (0.05, 0.75), "white": (0.02, 1.18)}
"""The factors of saturation and brightness that turn a colour into each grey."""
COLOURS = (*HUES, "brown", *GREYS)
BACKGROUNDS = {
    "red": (229, 57, 53),
    "orange": (251, 140, 0),
    "yellow": (255, 224, 70),
    "green": (102, 187, 106),
    "blue": (66, 165, 245),
    "purple": (149, 97, 205),
    "pink": (248, 165, 194),
    "brown": (141, 110, 99),
    "black": (20, 20, 20),
    "grey": (158, 158, 158),
}
MIN_HUE_SHARE = 0.5
"""A picture counts as coloured in its main hue if that has at least this share."""
HUE_TOLERANCE = 32
"""Hues within so many degrees of the main hue count as the same colour."""
DYED_SATURATION = 0.75
"""The saturation that white and grey parts get when they are dyed."""


def find_main_hue(picture: Rgba) -> tuple[float, float]:
    """Return the main hue in degrees, and the share (0 to 1) of the visible picture that is vivid and near that hue."""
    hue, saturation, value, alpha = _split_hsv(picture)
    visible = alpha > 0.5
    vivid = visible & (saturation > 0.3) & (value > 0.25)
    if not vivid.any():
        return 0.0, 0.0
    weights = np.bincount((hue[vivid] / 10).astype(int) % 36, minlength=36)
    peak = int(np.argmax(weights + np.roll(weights, 1) + np.roll(weights, -1))) * 10 + 5
    near = vivid & (np.abs(wrap_angle(hue - peak)) <= HUE_TOLERANCE)
    mean = peak + float(wrap_angle(hue[near] - peak).mean())
    return mean % 360, float(near.sum() / visible.sum())


def name_colour(picture: Rgba) -> str | None:
    """Return the colour word for a picture that is mostly of one vivid colour, else None."""
    hue, share = find_main_hue(picture)
    if share < 0.6:
        return None
    return next((name for name, (low, high) in HUE_RANGES.items() if low <= (hue + 20) % 360 - 20 <= high), None)


def recolour(picture: Rgba, colour: str) -> Rgba:
    """Return the picture with its main hue turned to `colour`; outlines, eyes and other hues stay as they are.

    If the picture is not mostly of one hue, its white and grey parts are dyed, too, unless `colour` is one of GREYS.
    """
    hue, saturation, value, alpha = _split_hsv(picture)
    peak, share = find_main_hue(picture)
    # The change fades out towards neighbouring hues; otherwise shading would break at a sharp line.
    near = np.clip((HUE_TOLERANCE + 14 - np.abs(wrap_angle(hue - peak))) / 14, 0, 1) * np.clip(saturation / 0.15, 0, 1)
    if share < MIN_HUE_SHARE and colour not in GREYS:
        pale = np.clip((0.35 - saturation) / 0.1, 0, 1) * np.clip((value - 0.2) / 0.1, 0, 1)
        near = np.maximum(near, pale)
        hue = hue * (1 - pale) + peak * pale
        saturation = np.maximum(saturation, DYED_SATURATION * pale)
    if colour in GREYS:
        less, brightness = GREYS[colour]
        new_hue, new_saturation = hue, saturation * less
        light = value * (1 - 0.35 * saturation) if colour == "white" else value
        # White stays a little darker than the white background, so that its shape is visible.
        new_value = np.clip(light * brightness + (0.12 if colour == "white" else 0), 0, 0.94)
    else:
        target = HUES["orange" if colour == "brown" else colour]
        new_hue = target + wrap_angle(hue - peak) * 0.5
        new_saturation = saturation * {"brown": 0.75, "pink": 0.6}.get(colour, 1.0)
        new_value = value * (0.55 if colour == "brown" else 1.0)
        if colour in {"yellow", "pink"}:
            new_value = np.clip(0.25 + 0.78 * new_value, 0, 1)
    changed = _to_rgb(new_hue % 360, np.clip(new_saturation, 0, 1), new_value)
    mixed = picture[..., :3] * (1 - near[..., None]) + changed * near[..., None]
    return np.dstack([np.clip(mixed + 0.5, 0, 255).astype(np.uint8), (alpha * 255).astype(np.uint8)])


def tint(colour: str, amount: float) -> tuple[int, int, int]:
    """Return a shade of a background colour; `amount` is from -1 (darker) to 1 (lighter)."""
    red, green, blue = (part / 255 for part in BACKGROUNDS[colour])
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    shade = colorsys.hls_to_rgb(hue, min(max(light + 0.08 * amount, 0), 1), saturation)
    return (round(shade[0] * 255), round(shade[1] * 255), round(shade[2] * 255))


def _split_hsv(picture: Rgba) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return hue in degrees, and saturation, value and alpha from 0 to 1."""
    hsv = np.asarray(Image.fromarray(np.ascontiguousarray(picture[..., :3])).convert("HSV"), np.float32) / 255
    return hsv[..., 0] * 360, hsv[..., 1], hsv[..., 2], picture[..., 3].astype(np.float32) / 255


def _to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    hsv = np.dstack([hue / 360, saturation, value]) * 255
    return np.asarray(Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB"), np.float32)


def wrap_angle(degrees: np.ndarray) -> np.ndarray:
    """Return the same angles in the range from -180 to 180."""
    return (degrees + 180) % 360 - 180
