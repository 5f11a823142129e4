"""The frozen text encoder, whose hidden states of captions the UNet attends to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from model_server.assembly import MAX_TOKENS
from research.pictures.training.networks import mixed_precision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BATCH = 256
MAX_KNOWN = 100_000
"""The most texts whose states are kept, 15 kB each."""


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

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the unit vector of each text: the mean of its states, N × 384."""
        vectors = torch.zeros(len(texts), self.model.config.hidden_size)
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            tokens = self.tokenizer([texts[row] for row in rows], padding=True, truncation=True, return_tensors="pt")
            tokens = tokens.to(self.model.device)
            with mixed_precision(self.model.device):
                states = self.model(tokens.input_ids, attention_mask=tokens.attention_mask)[0].float()
            mask = tokens.attention_mask[..., None]
            vectors[rows] = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1).cpu()
        return vectors


class TextStates:
    """The states of texts by their numbers, in half precision. Each text is encoded when it is first asked for."""

    def __init__(self, encoder: TextEncoder, texts: Sequence[str]) -> None:
        self._encoder = encoder
        self._texts = texts
        self._known: dict[int, np.ndarray] = {}

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return N × MAX_TOKENS × 384 for N numbers of texts."""
        found = {row: self._known[row] for row in rows.tolist() if row in self._known}
        unknown = [row for row in dict.fromkeys(rows.tolist()) if row not in found]
        for start in range(0, len(unknown), BATCH):
            part = unknown[start : start + BATCH]
            states = self._encoder.encode([self._texts[row] for row in part]).half().cpu().numpy()
            found.update(zip(part, states, strict=True))
        if len(self._known) + len(unknown) > MAX_KNOWN:
            self._known.clear()
        self._known.update((row, found[row]) for row in unknown)
        return np.stack([found[row] for row in rows.tolist()])
