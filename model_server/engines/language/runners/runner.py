"""The interface of runners, which compute logits for the language engine.

A runner holds the keys and values of a fixed number of sequences, each in its own slot. A row of logits must not depend
on the other chunks of a call: the same tokens in a slot give the same numbers, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens to append to a slot, which holds `start` tokens already: the first one gets position `start`.

    `wanted`: the number of its last tokens after which logits are wanted, at least one.
    """

    slot: int
    start: int
    tokens: tuple[int, ...]
    wanted: int = 1


def find_wanted_rows(chunks: Sequence[Chunk]) -> list[int]:
    """Return which of all tokens of the chunks, one chunk after the other, logits are wanted after."""
    ends = accumulate(len(chunk.tokens) for chunk in chunks)
    return [row for chunk, end in zip(chunks, ends, strict=True) for row in range(end - chunk.wanted, end)]


class Runner(Protocol):
    """A loaded model with its cache of keys and values."""

    slots: int
    """Number of sequences that it holds."""
    context: int
    """Number of tokens that one slot holds."""
    description: str
    """How it computes, for the log, such as "torch, bfloat16, 2 threads"."""

    def forward(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Compute chunks, at most one per slot; return float32 logits [sum of `wanted`, V] in the order of the tokens.

        Tokens of a slot from `start` on are overwritten, so that a chunk with an earlier `start` cuts the slot back.
        """

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of slot `source` to slot `target`."""
