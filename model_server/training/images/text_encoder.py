"""The frozen text encoder, whose hidden states of captions the UNet attends to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from model_server.assembly import MAX_TOKENS
from model_server.files.cache import check_free_space
from model_server.training.images.networks import TEXT_WIDTH, mixed_precision
from model_server.training.loop import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_server.training.console import Log

BATCH = 256


class TextEncoder:
    """MiniLM from its folder, used as in Stable Diffusion's pipeline: texts are padded, and the padding is masked."""

    def __init__(self, folder: Path, device: str) -> None:
        from transformers import AutoTokenizer, BertModel

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.tokenizer.model_max_length = MAX_TOKENS
        self.model: Any = BertModel.from_pretrained(folder).to(device)  # type: ignore[arg-type]
        self.model.config.use_attention_mask = True

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the hidden states of the last layer, padding included: N × MAX_TOKENS × 384."""
        tokens = self.tokenizer(
            list(texts), padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
        ).to(self.model.device)
        with mixed_precision(self.model.device):
            states: torch.Tensor = self.model(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
        return states.float()


def encode_all(encoder: TextEncoder, texts: Sequence[str], path: Path, log: Log) -> np.ndarray:
    """Return the states of all `texts` in half precision, mapped from the file `path`, which is made only once.

    Raises OperatorError if the disk has too little room.
    """
    if not path.is_file():
        # The file is written as mapped memory, where a full disk would kill the process.
        check_free_space(path.parent, "the captions take", len(texts) * MAX_TOKENS * TEXT_WIDTH * 2)
        write_atomically(path, lambda temporary: _write(encoder, texts, temporary, log))
    states: np.ndarray = np.load(path, mmap_mode="r")
    return states


def _write(encoder: TextEncoder, texts: Sequence[str], path: Path, log: Log) -> None:
    shape = (len(texts), MAX_TOKENS, TEXT_WIDTH)
    states = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    for start in range(0, len(texts), BATCH):
        if start % (BATCH * 100) == 0:
            log(f"reading captions: {start:,} of {len(texts):,}")
        states[start : start + BATCH] = encoder.encode(texts[start : start + BATCH]).half().cpu().numpy()
    states.flush()
