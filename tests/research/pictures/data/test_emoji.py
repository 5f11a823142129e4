"""The names and pictures of emoji are read from packages in npm's format."""

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from research.packages import CLDR, EMOJILIB, GOOGLE, EmojiSet, Package
from research.pictures.data.emoji import TONES, Emoji, read_emoji, read_pictures, read_pictures_by_any_name

SQUARE = '<rect width="16" height="16" fill="{colour}"/>'


def pack(package: Package, folder: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(folder / package.file, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def png(colour: tuple[int, int, int], edge: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (edge, edge), colour).save(stream, "PNG")
    return stream.getvalue()


def record(unified: str, name: str, shorts: list[str], order: int, **more: object) -> dict[str, object]:
    return {
        "unified": unified,
        "name": name,
        "short_names": shorts,
        "sort_order": order,
        "category": "Food & Drink",
        **more,
    }


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    records = [
        record("1F44B", "WAVING HAND SIGN", ["wave"], 3, skin_variations={"1F3FF": {"unified": "1F44B-1F3FF"}}),
        record("1F34E", "RED APPLE", ["apple"], 1),
        record("1F3FF", "EMOJI MODIFIER", ["skin-tone-6"], 2, category="Component"),
        record("1F1E9-1F1EA", "Germany Flag", ["flag-de"], 4, category="Flags"),
    ]
    pack(
        GOOGLE,
        tmp_path,
        {
            "emoji.json": json.dumps(records).encode(),
            "img/google/64/1f34e.png": png((200, 0, 0), 64),
            "img/google/64/1f44b.png": png((0, 200, 0), 32),
        },
    )
    words = {"🍎": ["red_apple", "fruit", "mac", "ripe_thing", "4ever"]}
    pack(EMOJILIB, tmp_path, {"dist/emoji-en-US.json": json.dumps(words).encode()})
    notes = {"🍎": {"tts": ["red apple"], "default": ["apple", "red", "fruit"]}, "👋": {"tts": ["waving hand"]}}
    annotations = {"annotations": {"annotations": notes}}
    pack(CLDR, tmp_path, {"annotations/en/annotations.json": json.dumps(annotations).encode()})
    return tmp_path


def test_emoji_come_in_order_with_their_names_and_tones(packages: Path) -> None:
    apple, hand, dark, flag = read_emoji(packages)
    assert apple == Emoji(
        "1f34e", "red apple", ("apple",), ("apple", "red", "fruit", "mac", "ripe thing"), "Food & Drink"
    )
    assert (hand.name, hand.synonyms, hand.tone) == ("waving hand", ("wave", "waving hand sign"), "")
    assert (dark.code, dark.name, dark.tone) == ("1f44b-1f3ff", "waving hand", TONES["1F3FF"])
    assert (flag.name, flag.synonyms) == ("germany flag", ())


def test_pictures_are_read_and_scaled_to_the_right_size(packages: Path) -> None:
    pictures = read_pictures(EmojiSet("noto", GOOGLE, "img/google/64"), read_emoji(packages), packages, 64)
    assert pictures.keys() == {"1f34e", "1f44b"}
    assert {picture.shape for picture in pictures.values()} == {(64, 64, 4)}
    assert pictures["1f44b"][32, 32].tolist() == [0, 200, 0, 255]


def drawings(folder: Path, **names: str) -> EmojiSet:
    """A set of coloured squares with these names."""
    icons = {name: {"body": SQUARE.format(colour=colour)} for name, colour in names.items()}
    content = json.dumps({"icons": icons, "width": 16, "height": 16}).encode()
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    package = Package("drawings", "1.0.0", digest, "MIT", "Somebody")
    pack(package, folder, {"icons.json": content})
    return EmojiSet("drawings", package)


def test_drawings_are_found_by_their_name(packages: Path) -> None:
    listed = read_emoji(packages)
    pictures = read_pictures(drawings(packages, **{"red-apple": "#ff0000", "waving-hand": "#00ff00"}), listed, packages)
    assert pictures.keys() == {"1f34e", "1f44b"}
    assert np.array_equal(pictures["1f34e"][30, 30], [255, 0, 0, 255])


def test_drawings_are_found_by_any_of_their_names(packages: Path) -> None:
    listed = read_emoji(packages)
    pictures = read_pictures_by_any_name(
        drawings(packages, apple="#ff0000", wavinghandsign="#00ff00"), listed, packages, 64
    )
    assert pictures["1f34e"].shape == (64, 64, 4)
    assert pictures["1f34e"][30, 30].tolist() == [255, 0, 0, 255]
    assert pictures["1f44b"][30, 30].tolist() == [0, 255, 0, 255]
    assert pictures.keys() == {"1f34e", "1f44b"}
