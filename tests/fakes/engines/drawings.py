"""A small bank of random drawings for a network that looks at them."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from model_server.engines.diffusion.references import TABLE_FILE, TENSORS_FILE

THINGS = [["dog", "puppy"], ["hot dog"], ["cats"], ["cat"], ["cart", "cat"], ["face with steam from nose", "triumph"]]
EXPRESSIONS = {"proud": 5, "let down": 5}
"""Words for what faces show, with the numbers of the faces."""
ORIGINS = [
    {"set": "round", "author": "Ann", "licence": "MIT", "style": "shaded"},
    {"set": "square", "author": "Bob", "licence": "CC-BY-4.0", "style": "flat"},
    {"set": "clips", "author": "Cleo", "licence": "public domain", "style": ""},
    {"set": "clips", "author": "Dan", "licence": "public domain", "style": ""},
]
MEANINGS = torch.eye(8)
"""What each thing means, by its number; none of these things means the last ones."""


def write_drawings(folder: Path, edge: int, width: int = 8) -> None:
    """Write a bank in which each of THINGS has one drawing of each of ORIGINS, with latents of `edge` × `edge`."""
    generator = torch.Generator().manual_seed(3)
    count = len(THINGS) * len(ORIGINS)
    tensors = {
        "latents": torch.randint(-40, 41, (count, 4, edge, edge), generator=generator, dtype=torch.int8),
        "things": torch.arange(len(THINGS), dtype=torch.int16).repeat_interleave(len(ORIGINS)),
        "origins": torch.arange(len(ORIGINS), dtype=torch.int16).repeat(len(THINGS)),
        "texts": (torch.eye(max(width, 8))[: len(THINGS), :width] * 127).to(torch.int8),
        "text_things": torch.arange(len(THINGS), dtype=torch.int16),
    }
    save_file(tensors, folder / TENSORS_FILE)
    table = {"origins": ORIGINS, "things": THINGS, "expressions": EXPRESSIONS}
    (folder / TABLE_FILE).write_text(json.dumps(table), "utf-8")
