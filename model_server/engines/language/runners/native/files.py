"""Reads the tensors of a model in place, mapped into memory: those of safetensors, and those of a GGUF."""

from __future__ import annotations

import ctypes
import json
import math
import mmap
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy
import torch
from safetensors import safe_open

from model_server.assembly import GGUF_FILE, TENSORS_FILE
from model_server.engines.language.runners.native import TYPES, RunnerUnavailable

if TYPE_CHECKING:
    from pathlib import Path

GGUF_NAMES = (
    (r"model\.embed_tokens", "token_embd"),
    (r"model\.norm", "output_norm"),
    (r"lm_head", "output"),
    (r"model\.layers\.(\d+)\.input_layernorm", r"blk.\1.attn_norm"),
    (r"model\.layers\.(\d+)\.post_attention_layernorm", r"blk.\1.ffn_norm"),
    (r"model\.layers\.(\d+)\.self_attn\.o_proj", r"blk.\1.attn_output"),
    (r"model\.layers\.(\d+)\.self_attn\.([qkv])_proj", r"blk.\1.attn_\2"),
    (r"model\.layers\.(\d+)\.self_attn\.([qk])_norm", r"blk.\1.attn_\2_norm"),
    (r"model\.layers\.(\d+)\.mlp\.(gate|up|down)_proj", r"blk.\1.ffn_\2"),
)
"""Names of transformers, and what they are in a GGUF."""
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
TYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class FileTensor:
    """A tensor in a file: the address of its first byte, and the name of the type of its numbers, as ggml has it."""

    name: str
    type: str
    shape: tuple[int, ...]
    address: int
    owner: Any
    """Keeps the address valid."""

    @property
    def type_number(self) -> int:
        """ggml's number of the type. Raises RunnerUnavailable for a type that the C++ part does not read."""
        if self.type not in TYPES:
            raise RunnerUnavailable(f"its {self.name} is in {self.type}, which is none of {', '.join(TYPES)}")
        return TYPES[self.type]

    def read_floats(self) -> torch.Tensor:
        """Return the numbers in float32. Raises RunnerUnavailable if they are in blocks."""
        if (dtype := DTYPES.get(self.type)) is None:
            raise RunnerUnavailable(f"its {self.name} is in {self.type}")
        count = math.prod(self.shape)
        data = (ctypes.c_char * (count * dtype.itemsize)).from_address(self.address)
        return torch.frombuffer(data, dtype=dtype).float().clone()


class TensorFiles(Protocol):
    """The tensors of a model by their names in transformers."""

    pairs_rotated: bool
    """Whether the rows of queries and keys are ordered so that neighbours are rotated together, not two halves."""

    def __contains__(self, name: str) -> bool: ...

    def read(self, name: str, *shape: int) -> FileTensor:
        """Return the tensor `name`. Raises RunnerUnavailable if it is missing or has another shape."""

    def release(self) -> None:
        """Let go of the memory in which tensors were read, where that can be done; they can be read again."""


class SafetensorsFiles:
    """The tensors of a folder with safetensors."""

    pairs_rotated = False

    def __init__(self, folder: Path) -> None:
        index = folder / "model.safetensors.index.json"
        if index.exists():
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        else:
            names = ["model.safetensors"]
        if missing := [name for name in names if not (folder / name).exists()]:
            raise RunnerUnavailable(f"its folder has no {missing[0]}")
        opened: list[Any] = [safe_open(str(folder / name), "pt") for name in names]
        self._file_by_tensor = {name: file for file in opened for name in file.keys()}  # noqa: SIM118 - it is no dict

    def __contains__(self, name: str) -> bool:
        return name in self._file_by_tensor

    def read(self, name: str, *shape: int) -> FileTensor:
        """See `TensorFiles`."""
        if name not in self._file_by_tensor:
            raise RunnerUnavailable(f"its files have no {name}")
        tensor: torch.Tensor = self._file_by_tensor[name].get_tensor(name)
        _check_shape(name, tuple(tensor.shape), shape)
        type_name = TYPE_NAMES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))
        return FileTensor(name, type_name, shape, tensor.data_ptr(), tensor)

    def release(self) -> None:
        """See `TensorFiles`. The mapping is not ours: it goes with the last of its tensors."""


class GgufFile:
    """The tensors of the GGUF in a folder that also lists them."""

    def __init__(self, folder: Path) -> None:
        listed = json.loads((folder / TENSORS_FILE).read_text("utf-8"))
        self.pairs_rotated = listed["architecture"] == "llama"
        self._tensors: dict[str, tuple[str, list[int], int]] = listed["tensors"]
        with (folder / GGUF_FILE).open("rb") as file:
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes = numpy.frombuffer(self._mapped, numpy.uint8)

    def __contains__(self, name: str) -> bool:
        return gguf_name(name) in self._tensors

    def read(self, name: str, *shape: int) -> FileTensor:
        """See `TensorFiles`."""
        if (listed := self._tensors.get(gguf_name(name))) is None:
            raise RunnerUnavailable(f"its file has no {gguf_name(name)}")
        type_name, found, start = listed
        _check_shape(name, tuple(found), shape)
        return FileTensor(gguf_name(name), type_name, shape, self._bytes.ctypes.data + start, self._bytes)

    def release(self) -> None:
        """See `TensorFiles`. The pages of all tensors go; the system may still have them in its cache of the file."""
        self._mapped.madvise(mmap.MADV_DONTNEED)


def open_tensors(folder: Path) -> TensorFiles:
    """Return the tensors of the model in `folder`: of its GGUF if it has one. Raises RunnerUnavailable for neither."""
    return GgufFile(folder) if (folder / TENSORS_FILE).exists() else SafetensorsFiles(folder)


def gguf_name(name: str) -> str:
    """Return what a tensor of transformers is called in a GGUF."""
    stem, _, kind = name.rpartition(".")
    for pattern, replacement in GGUF_NAMES:
        if match := re.fullmatch(pattern, stem):
            return f"{match.expand(replacement)}.{kind}"
    return name


def _check_shape(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise RunnerUnavailable(f"its {name} is {found} where its configuration says {expected}")
