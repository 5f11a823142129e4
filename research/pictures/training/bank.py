"""Writes the bank of drawings that emoji-diffusion looks at, with the texts by which they are found."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file

from model_server.engines.diffusion.references import LATENT_UNIT, TABLE_FILE, TENSORS_FILE
from research.pictures.training.networks import mixed_precision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffusers import AutoencoderKL

    from research.pictures.training.text_encoder import TextEncoder

BATCH = 64


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

    Each drawing is a picture on white (side × side × 3) with its origin.
    """

    names: list[str]
    keywords: list[str] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    drawings: list[tuple[np.ndarray, Origin]] = field(default_factory=list)


def write_bank(things: Sequence[BankThing], autoencoder: AutoencoderKL, encoder: TextEncoder, target: Path) -> None:
    """Write the drawings of `things`, as latents in 8 bits, and the vectors of their texts to the folder `target`."""
    drawn = [one for one in things if one.drawings]
    origins = list(dict.fromkeys(origin for thing in drawn for _, origin in thing.drawings))
    pictures = np.stack([picture for thing in drawn for picture, _ in thing.drawings])
    texts, owners = _list_texts(drawn, encoder)
    tensors = {
        "latents": _encode(autoencoder, pictures),
        "things": torch.tensor([n for n, thing in enumerate(drawn) for _ in thing.drawings], dtype=torch.int16),
        "origins": torch.tensor(
            [origins.index(origin) for thing in drawn for _, origin in thing.drawings], dtype=torch.int16
        ),
        "texts": (texts * 127).round().to(torch.int8),
        "text_things": owners.to(torch.int16),
    }
    target.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target / TENSORS_FILE)
    table = {"origins": [vars(origin) for origin in origins], "things": [thing.names for thing in drawn]}
    (target / TABLE_FILE).write_text(json.dumps(table, ensure_ascii=False, indent=0) + "\n", "utf-8")


def _list_texts(things: Sequence[BankThing], encoder: TextEncoder) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the unit vectors of all texts, and the number of the thing of each.

    Descriptions that are nearer to a text about another thing would lead astray, and are left out.
    """
    texts = [
        (text, number, kind == 2)
        for number, thing in enumerate(things)
        for kind, some in enumerate((thing.names, thing.keywords, thing.descriptions))
        for text in some
    ]
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


@torch.no_grad()
def _encode(autoencoder: AutoencoderKL, pictures: np.ndarray) -> torch.Tensor:
    device = next(autoencoder.parameters()).device
    latents = []
    for start in range(0, len(pictures), BATCH):
        values = torch.from_numpy(pictures[start : start + BATCH]).permute(0, 3, 1, 2).float().to(device) / 127.5 - 1
        with mixed_precision(device):
            latents.append(
                autoencoder.encode(values.contiguous(memory_format=torch.channels_last))
                .latent_dist.mode()
                .float()
                .cpu()
            )
    return (torch.cat(latents) / LATENT_UNIT).round().clamp(-127, 127).to(torch.int8).contiguous()
