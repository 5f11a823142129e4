"""What engines do when a step needs more memory than there is."""

from __future__ import annotations

import gc

import torch


def out_of_memory(error: BaseException) -> bool:
    """Whether that is what went wrong."""
    # torch's allocator for the CPU raises a plain RuntimeError.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def give_memory_back() -> None:
    """Let go of what nobody holds. Of use only outside the except block, whose exception keeps tensors alive."""
    gc.collect()
    torch.cuda.empty_cache()
