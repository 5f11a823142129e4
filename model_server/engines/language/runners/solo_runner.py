"""Any causal language model of transformers, one sequence at a time, with transformers' own cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.language.runners.runner import Chunk


class SoloRunner:
    """For models whose cache does not fit slots of a fixed size: sliding windows, hybrids, unknown architectures.

    It never reads on from earlier than where it is: not every cache can be cut, and reading a text in other pieces than
    at first would change the last bits, and with them what a seed gives. See `Runner` for the rest.
    """

    slots = 1

    def __init__(self, model: Any, *, context: int) -> None:
        self.context = context
        self.description = f"transformers, {str(model.dtype).removeprefix('torch.')}, one text at a time"
        self._model = model
        self._cache: Any = None

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """See `Runner`. The result is on the CPU."""
        (chunk,) = chunks
        if chunk.start == 0:
            self._cache = None
        ids = torch.tensor([chunk.tokens], device=self._model.device)
        output = self._model(input_ids=ids, cache=self._cache, use_cache=True, logits_to_keep=1)
        self._cache = output.cache
        logits: torch.Tensor = output.logits[:, -1].to("cpu", torch.float32)
        return logits

    def copy(self, source: int, target: int, length: int) -> None:
        """There is no other slot to copy to."""
        raise NotImplementedError
