"""Recognising that memory ran out, and releasing it."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

ResultT = TypeVar("ResultT")


def run_within_memory(action: Callable[[], ResultT]) -> ResultT | None:
    """Return the result of `action`, or None when it ran out of memory; the memory that it took is released then."""
    try:
        return action()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    release_memory()
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether `error` says that memory ran out."""
    # torch's allocator for the CPU raises a plain RuntimeError.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def release_memory() -> None:
    """Free unreferenced memory. Call it after the except block, because the exception keeps its tensors alive."""
    gc.collect()
    torch.cuda.empty_cache()
