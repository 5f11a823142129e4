"""Where a model runs and in which numbers: turns the catalogue's `device` and `dtype` into torch's."""

from __future__ import annotations

import torch

from model_server.engines.contract import Misconfigured

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str) -> torch.device:
    """`name` "auto" is the GPU where torch sees one, else the CPU; anything else is torch's own name for a device.

    Raises Misconfigured when there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise Misconfigured(f"There is no device named {name!r}; use auto, cpu or cuda.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Misconfigured("The device is set to cuda, but torch sees no GPU here; use auto or cpu.")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """`name` "auto" is bfloat16 on a GPU and where the processor multiplies it more quickly than float32, else that.

    Raises Misconfigured when `name` is none of ours.
    """
    if name == "auto":
        fast = device.type == "cuda" or multiplies_bfloat16()
        return torch.bfloat16 if fast else torch.float32
    if name not in DTYPES:
        raise Misconfigured(f"There is no dtype named {name!r}; use auto, {', '.join(DTYPES)}.")
    return DTYPES[name]


def multiplies_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 more quickly than float32.

    Tiles do (AMX), and AVX-512's instructions for it on AMD's processors. On Intel's they came out at half the pace of
    float32 where a virtual machine hides the tiles.
    """
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    vectors = known.get("avx512_bf16", False) and "Intel" not in known.get("cpu_name", "Intel")
    return bool(known.get("amx_bf16", False) or vectors)
