"""Devices and dtypes: turns `device` and `dtype` of the catalogue into torch's."""

from __future__ import annotations

import functools
import logging

import torch

from model_server.engines.contract import Misconfigured

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str) -> torch.device:
    """Return the device called `name` as torch calls it; "auto" is the GPU if torch can use one, else the CPU.

    Raises Misconfigured when this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if _has_usable_gpu() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise Misconfigured(f"There is no device named {name!r}; use auto, cpu or cuda.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Misconfigured("The device is set to cuda, but torch sees no GPU here; use auto or cpu.")
    return device


@functools.cache
def _has_usable_gpu() -> bool:
    """Return whether torch sees a GPU and can compute on it, which is tried once."""
    if not torch.cuda.is_available():
        return False
    try:
        # Torch also sees cards that are too old for it: it has no program for them then.
        torch.zeros(1, device="cuda").add_(1).item()
    except RuntimeError as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        log.warning("This PyTorch cannot compute on the graphics card, so the processor is used: %s", reason)
        return False
    return True


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype called `name` in DTYPES; "auto" is bfloat16 where it is faster than float32, else float32.

    Raises Misconfigured for any other name.
    """
    if name == "auto":
        is_fast = device.type == "cuda" or has_fast_bfloat16()
        return torch.bfloat16 if is_fast else torch.float32
    if name not in DTYPES:
        raise Misconfigured(f"There is no dtype named {name!r}; use auto, {', '.join(DTYPES)}.")
    return DTYPES[name]


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype without the module, such as "bfloat16"."""
    return str(dtype).removeprefix("torch.")


def has_fast_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 faster than float32.

    It does with AMX, and on AMD's processors with AVX-512 BF16. On Intel's processors AVX-512 BF16 without AMX, as in
    virtual machines that hide AMX, was measured at half the speed of float32.
    """
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    vectors = known.get("avx512_bf16", False) and "Intel" not in known.get("cpu_name", "Intel")
    return bool(known.get("amx_bf16", False) or vectors)
