"""Where a model runs and in which numbers: turns the catalogue's `device` and `dtype` into torch's."""

from __future__ import annotations

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str) -> torch.device:
    """`name` "auto" is the GPU where torch sees one, else the CPU; anything else is torch's own name for a device.

    Raises ValueError, with a sentence for the operator, when there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"There is no device named {name!r}; use auto, cpu or cuda.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("The device is set to cuda, but torch sees no GPU here; use auto or cpu.")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """`name` "auto" is bfloat16 on a GPU and where the processor multiplies it natively, else float32.

    Raises ValueError, with a sentence for the operator, when `name` is none of ours.
    """
    if name == "auto":
        fast = device.type == "cuda" or _cpu_multiplies_bfloat16()
        return torch.bfloat16 if fast else torch.float32
    if name not in DTYPES:
        raise ValueError(f"There is no dtype named {name!r}; use auto, {', '.join(DTYPES)}.")
    return DTYPES[name]


def _cpu_multiplies_bfloat16() -> bool:
    # torch keeps these probes private, so that a release without one of them must only cost the speed.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
