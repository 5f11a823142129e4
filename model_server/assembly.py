"""Puts what was trained and the frozen text encoder together: to a folder that any diffusers program opens, or, for a
head that reads the encoder's vectors, to one that the moderation engine opens.

Reads and writes files only: nothing here imports torch.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MAX_TOKENS = 20
"""How many tokens of a prompt are read, the two at its ends included; those left over are padded, in training too."""
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "BertModel"],
    "tokenizer": ["transformers", "BertTokenizerFast"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
TRAINED = ("unet", "vae", "scheduler")
HEAD = ("moderation.safetensors", "profanity.safetensors", "profanity.txt")


def is_trained(weights: Path) -> bool:
    """Whether the folder holds all parts that come out of a training, of one kind or the other."""
    return all((weights / part).is_dir() for part in TRAINED) or is_head(weights)


def is_head(weights: Path) -> bool:
    """Whether the folder holds what is put on top of a text encoder."""
    return all((weights / file).is_file() for file in HEAD)


def assemble(weights: Path, text_encoder: Path, target: Path) -> None:
    """Make `target` a whole pipeline of `weights` (unet, vae, scheduler) and the folder of MiniLM, or a head beside it.

    Big files are linked where the disk allows it. `target` appears whole or not at all, and replaces what was there.
    """
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    if is_head(weights):
        _adopt(text_encoder, fresh)
        for file in HEAD:
            _link(weights / file, fresh / file)
    else:
        _assemble_pipeline(weights, text_encoder, fresh)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def _assemble_pipeline(weights: Path, text_encoder: Path, fresh: Path) -> None:
    for part in TRAINED:
        _adopt(weights / part, fresh / part)
    _adopt(text_encoder, fresh / "text_encoder", only=("config.json", "model.safetensors"))
    _adopt(
        text_encoder, fresh / "tokenizer", only=("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    )
    # Without the mask, the empty rest of a prompt would steer the picture.
    _change(fresh / "text_encoder" / "config.json", use_attention_mask=True)
    _change(fresh / "tokenizer" / "tokenizer_config.json", model_max_length=MAX_TOKENS)
    write_index(fresh)


def write_index(folder: Path) -> None:
    """The file that says which class opens which part."""
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n", "utf-8")


def _adopt(source: Path, target: Path, only: tuple[str, ...] = ()) -> None:
    target.mkdir(parents=True)
    for file in sorted(source.iterdir()):
        if file.is_file() and not file.name.startswith(".") and (not only or file.name in only):
            _link(file, target / file.name)


def _link(source: Path, target: Path) -> None:
    if source.suffix == ".safetensors":
        try:
            os.link(source, target)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, target)
    else:
        shutil.copyfile(source, target)


def _change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values, indent=2) + "\n", "utf-8")
