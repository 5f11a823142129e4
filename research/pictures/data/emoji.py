"""Reads the emoji with their names, and their pictures in each set, from npm packages."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from model_server.errors import OperatorError
from research.packages import CLDR, EMOJILIB, GOOGLE, read_files, read_json

if TYPE_CHECKING:
    from pathlib import Path

    from research.packages import EmojiSet

    Rgba = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]

SIZE = 128
SMALL_SIZE = 64
"""The side of the pictures that the judge, emoji-faces and a new autoencoder see."""
TONES = {
    "1F3FB": "light skin tone",
    "1F3FC": "medium-light skin tone",
    "1F3FD": "medium skin tone",
    "1F3FE": "medium-dark skin tone",
    "1F3FF": "dark skin tone",
}


@dataclass(frozen=True)
class Emoji:
    """One emoji: its code points, name, other names, keywords, group and the name of its skin tone."""

    code: str
    name: str
    synonyms: tuple[str, ...]
    keywords: tuple[str, ...]
    group: str
    tone: str = ""


def read_emoji(folder: Path) -> list[Emoji]:
    """Read all emoji from the packages in `folder`, in Unicode's order; skin tones follow the emoji that they vary."""
    library = read_json(EMOJILIB, folder, "dist/emoji-en-US.json")
    annotations = read_json(CLDR, folder, "annotations/en/annotations.json")["annotations"]["annotations"]
    records = read_json(GOOGLE, folder, "emoji.json")
    all_emoji = []
    for record in sorted(records, key=lambda record: int(record["sort_order"])):
        if record["category"] == "Component":
            continue
        emoji = _emoji(record, library, annotations)
        all_emoji.append(emoji)
        for modifier, variation in record.get("skin_variations", {}).items():
            if modifier in TONES:
                code = variation["unified"].lower()
                all_emoji.append(Emoji(code, emoji.name, (), (), emoji.group, TONES[modifier]))
    return all_emoji


def read_pictures(emoji_set: EmojiSet, emoji: list[Emoji], folder: Path, size: int = SIZE) -> dict[str, Rgba]:
    """Read the pictures of a set by `Emoji.code`: size × size × 4, RGBA, edge to edge. Missing emoji are left out."""
    if emoji_set.png_folder is not None:
        start = f"{emoji_set.png_folder}/"
        files = read_files(emoji_set.package, folder, lambda name: name.startswith(start))
        names = {one.code: f"{start}{one.code}.png" for one in emoji}
        return {code: _open(files[name], size) for code, name in names.items() if name in files}
    icons = read_json(emoji_set.package, folder, "icons.json")
    return {
        one.code: picture
        for one in emoji
        if not one.tone and (picture := render_icon(icons, _slug(one.name), size)) is not None
    }


def read_pictures_by_any_name(
    emoji_set: EmojiSet, emoji: list[Emoji], folder: Path, size: int = SIZE
) -> dict[str, Rgba]:
    """Do the same as `read_pictures` for drawings whose names differ from Unicode's or are written as one word."""
    icons = read_json(emoji_set.package, folder, "icons.json")
    known = {_letters(name): name for name in icons["icons"]}
    pictures = {}
    for one in emoji:
        name = next((known[word] for word in map(_letters, [one.name, *one.synonyms]) if word in known), None)
        if name and not one.tone and (picture := render_icon(icons, name, size)) is not None:
            pictures[one.code] = picture
    return pictures


def _emoji(record: dict[str, Any], library: dict[str, list[str]], annotations: dict[str, Any]) -> Emoji:
    character = "".join(chr(int(point, 16)) for point in record["unified"].split("-"))
    words = library.get(character, [])
    note = annotations.get(character) or annotations.get(character.replace("\ufe0f", "")) or {}
    names = [*note.get("tts", []), *(word.replace("_", " ") for word in words[:1]), record["name"].lower()]
    name = names[0].lower()
    shorts = [short.replace("_", " ").replace("-", " ") for short in record["short_names"]]
    if record["category"] == "Flags":
        shorts = []
    synonyms = [_clean_word(text) for text in [*shorts, record["name"]]]
    keywords = [_clean_word(word.replace("_", " ")) for word in [*note.get("default", []), *words[1:]]]
    return Emoji(
        record["unified"].lower(),
        name,
        _unique(synonyms, name),
        _unique(keywords, name),
        record["category"],
    )


def _clean_word(text: str) -> str:
    """Return `text` in lower case, or "" if it does not consist of English words."""
    return text.lower().strip() if re.fullmatch(r"[A-Za-z][A-Za-z' -]+", text.strip()) else ""


def _unique(texts: list[str], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text and text != name))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"[’'“”.,:!()]", "", name)).strip("-")


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def _open(png: bytes, size: int) -> Rgba:
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    return np.asarray(
        picture if picture.size == (size, size) else picture.resize((size, size), Image.Resampling.LANCZOS)
    )


def render_icon(icons: dict[str, Any], name: str, size: int) -> Rgba | None:
    """Draw one icon of a set in Iconify's format: size × size × 4, RGBA. None if the set has no such icon."""
    if (icon := icons["icons"].get(name)) is None:
        return None
    box = [icon.get("left", 0), icon.get("top", 0)]
    box += [icon.get(side, icons.get(side, 16)) for side in ("width", "height")]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{" ".join(map(str, box))}">{icon["body"]}</svg>'
    )
    return _open(rasterizer()(svg_string=svg, width=size, height=size), size)


def rasterizer() -> Any:
    """Return the function that turns an SVG into a PNG. Raises OperatorError if it is not installed."""
    try:
        import resvg_py
    except ImportError as error:
        raise OperatorError(
            "Some emoji sets are drawings, which resvg-py turns into pixels. "
            "Install it with pip install 'tempera-bot[train]'."
        ) from error
    return lambda **options: bytes(resvg_py.svg_to_bytes(**options))
