"""The seam between the language engine, which knows requests, and whatever computes the model's numbers.

A runner holds the keys and values of a fixed number of sequences, each in a slot of its own. What a row of logits is
must not depend on what else is in the same call: same tokens in a slot, same numbers, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens to append to a slot: the first one has position `start`, so the slot holds `start` tokens already."""

    slot: int
    start: int
    tokens: tuple[int, ...]


class Runner(Protocol):
    """A loaded model with its cache."""

    slots: int
    """How many sequences it holds."""
    context: int
    """How many tokens one slot holds."""
    description: str
    """Which numbers it computes with, for the log: "int8 rows, AVX-512 VNNI, 2 threads"."""

    def forward(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Read the chunks, at most one per slot; float32 logits [len(chunks), V] after each one's last token.

        Tokens of a slot from `start` on are overwritten, so that a slot can be cut back by reading on from earlier.
        """

    def copy(self, source: int, target: int, length: int) -> None:
        """Make the first `length` tokens of slot `target` those of slot `source`."""
