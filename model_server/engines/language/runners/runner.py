"""The interface of runners, which compute logits for the language engine.

A runner holds the keys and values of a fixed number of sequences, each in its own slot. A row of logits must not depend
on the other chunks of a call: the same tokens in a slot give the same numbers, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens to append to a slot, which holds `start` tokens already: the first one gets position `start`."""

    slot: int
    start: int
    tokens: tuple[int, ...]


class Runner(Protocol):
    """A loaded model with its cache of keys and values."""

    slots: int
    """Number of sequences that it holds."""
    context: int
    """Number of tokens that one slot holds."""
    description: str
    """How it computes, for the log, such as "torch, bfloat16, 2 threads"."""

    def forward(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Compute chunks, at most one per slot; return float32 logits [len(chunks), V] after the last token of each.

        Tokens of a slot from `start` on are overwritten, so that a chunk with an earlier `start` cuts the slot back.
        """

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of slot `source` to slot `target`."""
