"""Writes the bank of drawings that emoji-diffusion looks at, with the texts by which they are found."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from model_server.engines.diffusion.references import LATENT_UNIT, TABLE_FILE, TENSORS_FILE
from research.pictures.data.captions import list_names, read_expressions, write_face_captions
from research.pictures.data.choice import is_drawable
from research.pictures.data.scenes import centre
from research.pictures.data.things import read_descriptions, read_things, strip_selector
from research.pictures.training.autoencoder import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from diffusers import AutoencoderKL

    from research.packages import EmojiSet
    from research.pictures.data.drawings import Drawing
    from research.pictures.data.emoji import Emoji, Rgba
    from research.pictures.training.text_encoder import TextEncoder


@dataclass(frozen=True)
class Origin:
    """Who made a drawing. `style` is the word for its set at the end of captions, "" if there is none."""

    set: str
    author: str
    licence: str
    style: str = ""


@dataclass
class BankThing:
    """A thing with its names, the best first, further words and descriptions for it, and its drawings.

    A face has words for what it shows. Each drawing is a picture on white (side × side × 3) with its origin.
    """

    names: list[str]
    keywords: list[str] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    drawings: list[tuple[np.ndarray, Origin]] = field(default_factory=list)
    expressions: Sequence[str] = ()


def list_things(
    emoji: Iterable[Emoji], sets: Mapping[EmojiSet, Mapping[str, Rgba]], further: Iterable[Drawing] = ()
) -> list[BankThing]:
    """Return all things that are drawn in `sets`, whose pictures have the codes of `emoji`, or in `further` ones."""
    prompt_names = {thing.code: thing.name for thing in read_things()}
    descriptions, expressions = read_descriptions(), read_expressions()
    things: dict[str, BankThing] = {}
    for one in filter(is_drawable, emoji):
        code = strip_selector(one.code)
        known = [prompt_names[code]] if code in prompt_names else []
        names = list(dict.fromkeys([*known, *list_names(one)]))
        shown = expressions.get(code, ())
        keywords = [*one.keywords, *shown, *write_face_captions(shown)]
        things[code] = BankThing(names, keywords, descriptions.get(code, []), expressions=shown)
    for emoji_set, pictures in sets.items():
        package = emoji_set.package
        origin = Origin(emoji_set.name, package.author, package.licence, emoji_set.style)
        for code, picture in pictures.items():
            if strip_selector(code) in things:
                things[strip_selector(code)].drawings.append((centre(picture), origin))
    codes = {name.lower(): code for code, thing in reversed(things.items()) for name in thing.names}
    for drawing in further:
        name = drawing.names[0].lower()
        code = drawing.code if drawing.code in things else codes.setdefault(name, name)
        thing = things.setdefault(code, BankThing([one.lower() for one in drawing.names]))
        thing.drawings.append((centre(drawing.picture), Origin(drawing.set, drawing.author, drawing.licence)))
    return list(things.values())


def write_bank(things: Sequence[BankThing], autoencoder: AutoencoderKL, encoder: TextEncoder, target: Path) -> None:
    """Write the drawings of `things`, as latents in 8 bits, and the vectors of their texts to the folder `target`."""
    drawn = [one for one in things if one.drawings]
    origins = list(dict.fromkeys(origin for thing in drawn for _, origin in thing.drawings))
    latents = encode(autoencoder, [picture for thing in drawn for picture, _ in thing.drawings]).float()
    texts, owners = _list_texts(drawn, encoder)
    tensors = {
        "latents": (latents / LATENT_UNIT).round().clamp(-127, 127).to(torch.int8),
        "things": torch.tensor([n for n, thing in enumerate(drawn) for _ in thing.drawings], dtype=torch.int16),
        "origins": torch.tensor(
            [origins.index(origin) for thing in drawn for _, origin in thing.drawings], dtype=torch.int16
        ),
        "texts": (texts * 127).round().to(torch.int8),
        "text_things": owners.to(torch.int16),
    }
    target.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target / TENSORS_FILE)
    table = {
        "origins": [vars(origin) for origin in origins],
        "things": [thing.names for thing in drawn],
        "expressions": {word: number for number, thing in enumerate(drawn) for word in thing.expressions},
    }
    (target / TABLE_FILE).write_text(json.dumps(table, ensure_ascii=False, indent=0) + "\n", "utf-8")


def _list_texts(things: Sequence[BankThing], encoder: TextEncoder) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the unit vectors of all texts, and the number of the thing of each.

    Descriptions that are nearer to a text about another thing would lead astray, and are left out.
    """
    # MiniLM reads no capitals, so a name that is a keyword, too, would only vote twice.
    first: dict[tuple[str, int], bool] = {}
    for number, thing in enumerate(things):
        for kind, some in enumerate((thing.names, thing.keywords, thing.descriptions)):
            for text in some:
                first.setdefault((text.lower(), number), kind == 2)
    texts = [(text, number, is_description) for (text, number), is_description in first.items()]
    vectors = encoder.embed([text for text, _, _ in texts])
    owners = torch.tensor([number for _, number, _ in texts])
    kept = torch.ones(len(texts), dtype=torch.bool)
    for start in range(0, len(texts), 1024):
        rows = torch.arange(start, min(start + 1024, len(texts)))
        similarities = vectors[rows] @ vectors.T
        similarities[torch.arange(len(rows)), rows] = -1
        kept[rows] = owners[similarities.argmax(1)] == owners[rows]
    kept |= ~torch.tensor([is_description for _, _, is_description in texts])
    return vectors[kept], owners[kept]
