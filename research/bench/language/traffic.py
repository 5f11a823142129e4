"""How many bytes a model reads for each token, and how many the memory of this machine delivers.

One stream is as fast as its weights come from memory, so that the share of the bandwidth says how good it is anywhere.
"""

from __future__ import annotations

import concurrent.futures
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

PROBE_BYTES = 256 << 20
"""What each thread of the probe reads: far more than a processor's cache holds."""
PROBE_REPEATS = 5
CACHE_VALUE_BYTES = 2
"""Keys and values are kept in float16."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one stream reads in a step: all matrices, and the keys and values of each token before it."""

    weights: int
    """Bytes of all matrices but the token embedding's, of which one row is read. A tied one is the output's as well."""
    per_token: int
    """Bytes of the keys and values of one token."""
    parameters: int
    """The number of weights."""

    @classmethod
    def of(cls, gguf: Path) -> Self:
        """Read the sizes of all tensors of a file, not their contents."""
        from gguf import GGUFReader

        reader = GGUFReader(gguf)
        tensors: list[Any] = reader.tensors
        has_output = any(tensor.name == "output.weight" for tensor in tensors)
        read = [tensor for tensor in tensors if not (has_output and tensor.name == "token_embd.weight")]
        values = sum(
            int(tensor.shape[1]) for tensor in tensors if tensor.name.endswith((".attn_k.weight", ".attn_v.weight"))
        )
        return cls(
            weights=sum(int(tensor.n_bytes) for tensor in read if len(tensor.shape) > 1),
            per_token=values * CACHE_VALUE_BYTES,
            parameters=sum(int(tensor.n_elements) for tensor in tensors),
        )

    def per_step(self, length: float, weights: int | None = None) -> float:
        """Return the bytes for one token after `length` others. `weights`: what the runner says that it reads."""
        return (self.weights if weights is None else weights) + length * self.per_token


class BandwidthProbe:
    """Measures how fast so many threads together read memory."""

    def __init__(self, threads: int, size: int = PROBE_BYTES) -> None:
        self._arrays = [np.ones(size // 4, np.int32) for _ in range(threads)]

    def measure(self) -> float:
        """Return the median of some readings in bytes per second."""
        total = sum(array.nbytes for array in self._arrays)
        readings = []
        with concurrent.futures.ThreadPoolExecutor(len(self._arrays)) as pool:
            for _ in range(PROBE_REPEATS):
                began = time.perf_counter()
                # The maximum of integers costs less time than it takes to read them; numpy lets other threads run.
                list(pool.map(np.max, self._arrays))
                readings.append(total / (time.perf_counter() - began))
        return statistics.median(readings)
