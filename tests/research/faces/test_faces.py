"""Some emoji are held out in every set."""

from pathlib import Path

import numpy as np
import pytest

from research.faces import faces
from research.faces.faces import Face, choose_part, place_faces, read_faces
from research.packages import PIXEL_SETS
from research.pictures.data.emoji import Emoji


def test_an_eighth_is_held_out_for_two_purposes() -> None:
    parts = [choose_part(number) for number in range(128)]
    assert {part: parts.count(part) for part in parts} == {"learnt": 112, "measuring": 8, "calibrating": 8}


def test_a_held_out_emoji_is_so_in_every_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    emoji = [Emoji(f"{number:x}", f"face {number}", (), (), "Smileys & Emotion") for number in range(20)]
    heart = Emoji("99", "heart", (), (), "Smileys & Emotion")
    records = [{"unified": one.code.upper(), "subcategory": "face-smiling"} for one in emoji]
    picture = np.full((64, 64, 4), 200, np.uint8)
    monkeypatch.setattr(faces, "fetch", lambda *_: None)
    monkeypatch.setattr(faces, "read_json", lambda *_: [*records, {"unified": "99", "subcategory": "heart"}])
    monkeypatch.setattr(faces, "read_emoji", lambda _: [*emoji, heart])
    monkeypatch.setattr(
        faces,
        "read_pictures",
        lambda emoji_set, known, _, __: {
            one.code: picture for one in known if emoji_set.name != "noto-v1" or one.code < "8"
        },
    )
    read = read_faces(tmp_path, lambda _: None)
    codes = [{face.code for face in part} for part in (read.learnt, read.calibrating, read.measuring)]
    assert codes[1:] == [{"b"}, {"3", "13"}]
    assert not codes[0] & (codes[1] | codes[2])
    assert len(codes[0]) == 17
    assert {face.set_name for face in read.measuring if face.code == "3"} == {one.name for one in PIXEL_SETS}


def test_each_variant_is_placed_in_its_own_way() -> None:
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[10:50, 5:30] = (200, 40, 40, 255)
    placed = place_faces([Face("1", "one", "noto", picture)], 4, 7)
    assert placed.shape == (4, 64, 64, 3)
    assert len({one.tobytes() for one in placed}) == 4
    assert np.array_equal(placed, place_faces([Face("1", "one", "noto", picture)], 4, 7))
    # Every second one is mirrored.
    reds = [np.argwhere(one[..., 1] < 100)[:, 1].mean() > 32 for one in placed]
    assert reds == [False, True, False, True]
