"""The real pictures: the faces of several emoji sets, some of which are never shown to either network."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from research.packages import GOOGLE, PIXEL_SETS, WORD_PACKAGES, fetch, read_json
from research.pictures.data.emoji import SMALL_SIZE, read_emoji, read_pictures
from research.pictures.data.scenes import place

if TYPE_CHECKING:
    from pathlib import Path

    from research.console import Log
    from research.pictures.data.emoji import Rgba

HELD_OUT_EVERY, FIRST_HELD_OUT = 8, 3
"""In Unicode's order, every eighth face from the fourth on is held out, in all sets."""
VARIANTS = 12
"""The number of positions in which each face is shown."""


@dataclass(frozen=True)
class Face:
    """One emoji as one set draws it: 64 × 64 × 4."""

    code: str
    name: str
    set_name: str
    picture: Rgba


@dataclass(frozen=True)
class FaceCollection:
    """The faces that are learnt, and those that are not. Half of the held-out emoji calibrate the discriminator."""

    learnt: list[Face]
    calibrating: list[Face]
    measuring: list[Face]


def read_faces(folder: Path, log: Log) -> FaceCollection:
    """Read the faces of all sets, from packages in `folder` that are fetched if they are missing."""
    fetch([*(one.package for one in PIXEL_SETS), *WORD_PACKAGES], folder, log)
    log("reading the faces of the emoji sets")
    records = read_json(GOOGLE, folder, "emoji.json")
    face_codes = {record["unified"].lower() for record in records if "face" in (record["subcategory"] or "").split("-")}
    emoji = [one for one in read_emoji(folder) if one.code in face_codes and not one.tone]
    faces = FaceCollection([], [], [])
    pictures = {one.name: read_pictures(one, emoji, folder, SMALL_SIZE) for one in PIXEL_SETS}
    for number, one in enumerate(emoji):
        part = choose_part(number)
        for name, drawn in pictures.items():
            if one.code in drawn:
                getattr(faces, part).append(Face(one.code, one.name, name, drawn[one.code]))
    log(
        f"{len(faces.learnt)} faces to learn, {len(faces.calibrating)} and {len(faces.measuring)} that are held out, "
        "to calibrate and to measure the discriminator"
    )
    return faces


def choose_part(number: int) -> str:
    """Return the part of `FaceCollection` to which the emoji with this number belongs."""
    if number % HELD_OUT_EVERY != FIRST_HELD_OUT:
        return "learnt"
    return "calibrating" if number // HELD_OUT_EVERY % 2 else "measuring"


def place_faces(faces: list[Face], variants: int, seed: int) -> np.ndarray:
    """Place each face on white in so many positions, every second mirrored: N × 64 × 64 × 3, variants in a row."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    placed = [place(face.picture, random, flip=bool(variant % 2)) for face in faces for variant in range(variants)]
    return np.stack(placed) if placed else np.zeros((0, SMALL_SIZE, SMALL_SIZE, 3), np.uint8)
