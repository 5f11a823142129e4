"""A runner for any causal language model of transformers: one sequence at a time, with transformers' own cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from model_server.engines.common.device import dtype_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.language.runners.runner import Chunk


class SoloRunner:
    """Runs models whose cache does not fit slots of a fixed size: sliding windows, hybrids, unknown architectures.

    A chunk must start where the sequence ends, or at 0: not every cache can be cut back, and other chunks would change
    the last bits of the logits, and so the text of a seed. So it gives logits only after the last token of a chunk. See
    `Runner` for the rest.
    """

    slots = 1

    def __init__(self, model: Any, *, context: int) -> None:
        self.context = context
        self.description = f"transformers, {dtype_name(model.dtype)}, one text at a time"
        self._model = model
        self._cache: Any = None

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """See `Runner`. The result is on the CPU."""
        (chunk,) = chunks
        if chunk.wanted != 1:
            raise ValueError("this runner gives logits only after the last token of a chunk")
        if chunk.start == 0:
            self._cache = None
        ids = torch.tensor([chunk.tokens], device=self._model.device)
        output = self._model(input_ids=ids, cache=self._cache, use_cache=True, logits_to_keep=1)
        self._cache = output.cache
        logits: torch.Tensor = output.logits[:, -1].to("cpu", torch.float32)
        return logits

    def copy(self, source: int, target: int, length: int) -> None:
        """Always fails, because there is only one slot."""
        raise NotImplementedError
