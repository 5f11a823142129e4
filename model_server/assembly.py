"""Assembles trained weights and the frozen text encoder into one folder.

For an image model that is a pipeline that any diffusers program opens; for a moderation head, which reads the encoder's
vectors, it is a folder that the moderation engine opens. Only copies files and does not import torch.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MAX_TOKENS = 20
"""Length of a prompt in tokens, with the two special tokens at its ends; shorter prompts are padded, as in training."""
MODEL_INDEX = {
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
PIPELINE_PARTS = ("unet", "vae", "scheduler")
REFERENCE_FILES = ("references.safetensors", "references.json")
"""The drawings that an image model looks at while it draws, if it can look at any."""
GGUF_FILE, TENSORS_FILE = "model.gguf", "tensors.json"
"""The GGUF in the folder of a model that has one, and the list of its tensors, which takes long to read from it."""
DUEL_FILES = ("duel.safetensors", "broken.safetensors", "real.png")
HEAD_FILES = ("moderation.safetensors", "profanity.safetensors", "profanity.txt")


def is_trained(weights: Path) -> bool:
    """Return whether the folder has all trained parts of an image model, of a GAN of faces, or of a moderation head."""
    return all((weights / part).is_dir() for part in PIPELINE_PARTS) or is_duel(weights) or is_head(weights)


def is_duel(weights: Path) -> bool:
    """Return whether the folder has the files of a GAN of faces, which an engine opens as they are."""
    return all((weights / file).is_file() for file in DUEL_FILES)


def is_head(weights: Path) -> bool:
    """Return whether the folder has the files of a moderation head, which is put on top of a text encoder."""
    return all((weights / file).is_file() for file in HEAD_FILES)


def assemble(weights: Path, text_encoder: Path, target: Path) -> None:
    """Assemble `weights` (unet, vae and scheduler, or a head) and the MiniLM in `text_encoder` in the folder `target`.

    Big files are hard-linked where the disk allows it. `target` is replaced as a whole or not at all.
    """
    staging = target.with_name(f".{target.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    if is_head(weights):
        _link_files(text_encoder, staging)
        for file in HEAD_FILES:
            _link(weights / file, staging / file)
    else:
        _assemble_pipeline(weights, text_encoder, staging)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)


def _assemble_pipeline(weights: Path, text_encoder: Path, staging: Path) -> None:
    for part in PIPELINE_PARTS:
        _link_files(weights / part, staging / part)
    for file in REFERENCE_FILES:
        if (weights / file).is_file():
            _link(weights / file, staging / file)
    _link_files(text_encoder, staging / "text_encoder", only=("config.json", "model.safetensors"))
    _link_files(
        text_encoder, staging / "tokenizer", only=("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    )
    # Without the mask, the padding of a prompt would influence the image.
    _update_json(staging / "text_encoder" / "config.json", use_attention_mask=True)
    _update_json(staging / "tokenizer" / "tokenizer_config.json", model_max_length=MAX_TOKENS)
    write_index(staging)


def write_index(folder: Path) -> None:
    """Write the file that names the class of each part of a pipeline."""
    (folder / "model_index.json").write_text(json.dumps(MODEL_INDEX, indent=2) + "\n", "utf-8")


def _link_files(source: Path, target: Path, only: tuple[str, ...] = ()) -> None:
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


def _update_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values, indent=2) + "\n", "utf-8")
