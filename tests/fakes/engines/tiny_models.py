"""Tiny random models for a real model server: what they say means nothing, but every part of the server works."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from fakes.engines.gguf_files import write_gguf
from fakes.engines.language import make_letter_tokenizer
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from model_server.files.cache import ModelCache

if TYPE_CHECKING:
    from pathlib import Path

CHAT, EMBEDDINGS = "tiny-chat", "tiny-embeddings"
CATALOGUE = """
[models.{chat}]
engine = "language"
description = "Says random bytes"
licence = "MIT"
files = [{{ name = "tiny.gguf", size = {size}, sha256 = "{sha256}" }}]
sources = ["file:source"]

[models.{embeddings}]
engine = "embedding"
description = "Random vectors"
licence = "MIT"
folder = "{embeddings}"
"""
WIDTH, LONGEST_TEXT = 24, 64


def write_tiny_models(folder: Path, context: int) -> tuple[Path, Path]:
    """Write a chat model with `context` tokens and an embedding model; return their catalogue, and a new model cache.

    The server converts the chat model as it does a real one. What it compiles is shared with the real cache.
    """
    gguf = folder / "source" / "tiny.gguf"
    gguf.parent.mkdir()
    write_gguf(gguf, tied=True, context=context)
    _write_embeddings(folder / EMBEDDINGS)
    content = gguf.read_bytes()
    catalogue, cache = folder / "tiny.toml", folder / "cache"
    catalogue.write_text(
        CATALOGUE.format(
            chat=CHAT, embeddings=EMBEDDINGS, size=len(content), sha256=hashlib.sha256(content).hexdigest()
        )
    )
    cache.mkdir()
    if (compiled := ModelCache().folder / "native").is_dir():
        (cache / "native").symlink_to(compiled)
    return catalogue, cache


def _write_embeddings(folder: Path) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=make_letter_tokenizer(), unk_token="[UNK]", pad_token="[PAD]")
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=WIDTH,
        max_position_embeddings=LONGEST_TEXT,
    )
    torch.manual_seed(2)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
