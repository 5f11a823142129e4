"""Packs weights as the C++ decoder reads them: 8 bits each, written to a file once and then mapped into memory.

A matrix becomes tiles of 64 outputs, a tile becomes blocks of 32 inputs, and a block is 64 bfloat16 scales and 2048
bytes in the order of matrix.h. Every width is padded to a multiple of 64 with zeros. The 32 inputs of a block are first
multiplied by a Hadamard matrix, as the activations will be: products stay the same, and rounding loses less.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock
from safetensors import safe_open
from torch.nn import functional

from model_server.engines.language.runners.architecture import head_width
from model_server.engines.language.runners.native import RunnerUnavailable, cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LAYOUT = 3
"""The version of the file format; weights packed with another one are packed again."""
TILE_COLUMNS, GROUP_INPUTS = 64, 32
"""kColumns and kGroup of matrix.h."""
EMBEDDING = "model.embed_tokens.weight"
ROWS_PER_PIECE = 4096
"""Rows of a matrix that are packed at a time, because a float32 copy of the largest one would fill the memory."""


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """`parts`: addresses in `memory` by name. `embedding`: [V, hidden], mapped from the model's own files."""

    memory: torch.Tensor
    parts: dict[str, int]
    embedding: torch.Tensor


class TensorFiles:
    """The tensors of a folder with safetensors, mapped into memory, so that unread ones take none."""

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

    def read(self, name: str, *shape: int) -> torch.Tensor:
        """Return the tensor `name`. Raises RunnerUnavailable if it is missing or has another shape."""
        if name not in self._file_by_tensor:
            raise RunnerUnavailable(f"its files have no {name}")
        tensor: torch.Tensor = self._file_by_tensor[name].get_tensor(name)
        if tuple(tensor.shape) != shape:
            raise RunnerUnavailable(f"its {name} is {tuple(tensor.shape)} where its configuration says {shape}")
        return tensor


def load_weights(folder: Path, config: Any) -> PackedWeights:
    """Return the packed weights of the model in `folder` with transformers' `config`.

    They are packed at the first use, which takes seconds, and 1.06 bytes of the disk for each weight.
    Raises RunnerUnavailable if tensors are missing or the disk is full.
    """
    cache = cache_folder() / "packed"
    model, state = _identify(folder)
    target = cache / f"{model}-{state}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{model}.lock"):
            if not target.is_dir():
                for old in cache.glob(f"{model}-*"):
                    shutil.rmtree(old)
                _pack(folder, config, target)
    except OSError as error:
        raise RunnerUnavailable(f"its packed weights cannot be kept ({error.strerror})") from error
    parts: dict[str, list[int]] = json.loads((target / "parts.json").read_text())
    size = sum(length for _, length in parts.values())
    memory = torch.from_file(str(target / "weights"), shared=False, size=size, dtype=torch.uint8)
    addresses = {name: memory.data_ptr() + start for name, (start, _) in parts.items()}
    # A new mapping, because the pages that packing read would stay in memory with the old one.
    embedding = TensorFiles(folder).read(EMBEDDING, config.vocab_size, config.hidden_size)
    return PackedWeights(memory, addresses, embedding)


def _identify(folder: Path) -> tuple[str, str]:
    """Return hashes of the model's path and of the state of its files."""
    paths = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    texts = str(folder.resolve()), json.dumps([LAYOUT, files])
    model, state = (hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts)
    return model, state


def _pack(model: Path, config: Any, target: Path) -> None:
    source = TensorFiles(model)
    # The prefix is the target's name, so that the next attempt removes what a killed process left.
    with tempfile.TemporaryDirectory(prefix=target.name, dir=target.parent) as name:
        folder = Path(name) / target.name
        folder.mkdir()
        extents: dict[str, tuple[int, int]] = {}
        with (folder / "weights").open("wb") as file:
            for part, pieces in _iterate_parts(source, config):
                start = file.tell()
                for piece in pieces:
                    file.write(piece.numpy().data)
                extents[part] = start, file.tell() - start
        (folder / "parts.json").write_text(json.dumps(extents))
        folder.rename(target)


def _iterate_parts(source: TensorFiles, config: Any) -> Iterator[tuple[str, Iterable[torch.Tensor]]]:
    """Yield name and bytes of each part that the decoder needs."""
    hidden, inner, vocabulary = config.hidden_size, config.intermediate_size, config.vocab_size
    width = head_width(config)
    heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads, "v": config.num_key_value_heads}
    for layer in range(config.num_hidden_layers):
        at = f"model.layers.{layer}."
        attention = at + "self_attn."
        yield f"{layer}.attention_norm", _pack_vector(source.read(at + "input_layernorm.weight", hidden))
        yield f"{layer}.inner_norm", _pack_vector(source.read(at + "post_attention_layernorm.weight", hidden))
        if attention + "q_norm.weight" in source:
            yield f"{layer}.query_norm", _pack_vector(source.read(attention + "q_norm.weight", width))
            yield f"{layer}.key_norm", _pack_vector(source.read(attention + "k_norm.weight", width))
        if attention + "q_proj.bias" in source:
            biases = [source.read(f"{attention}{name}_proj.bias", count * width) for name, count in heads.items()]
            yield f"{layer}.qkv_bias", _pack_vector(torch.cat(biases))
        qkv = [source.read(f"{attention}{name}_proj.weight", count * width, hidden) for name, count in heads.items()]
        yield f"{layer}.qkv", _pack_matrix(torch.cat(qkv))
        yield f"{layer}.output", _pack_matrix(source.read(attention + "o_proj.weight", hidden, heads["q"] * width))
        pair = [_pad(source.read(f"{at}mlp.{name}_proj.weight", inner, hidden), 0) for name in ("gate", "up")]
        tiles = torch.stack([matrix.view(-1, TILE_COLUMNS, hidden) for matrix in pair], dim=1)
        yield f"{layer}.gate_up", _pack_matrix(tiles.view(-1, hidden))
        yield f"{layer}.down", _pack_matrix(source.read(at + "mlp.down_proj.weight", hidden, inner))
    yield "norm", _pack_vector(source.read("model.norm.weight", hidden))
    logits = EMBEDDING if config.tie_word_embeddings else "lm_head.weight"
    yield "logits", _pack_matrix(source.read(logits, vocabulary, hidden))


def _pad(tensor: torch.Tensor, dimension: int) -> torch.Tensor:
    missing = -tensor.shape[dimension] % TILE_COLUMNS
    return functional.pad(tensor, (0, 0) * (tensor.dim() - 1 - dimension) + (0, missing))


def _pack_vector(vector: torch.Tensor) -> Iterator[torch.Tensor]:
    yield _pad(vector.float(), 0)


def _pack_matrix(matrix: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the blocks of `matrix` [outputs, inputs], some rows at a time."""
    for start in range(0, len(matrix), ROWS_PER_PIECE):
        rows = _pad(_pad(matrix[start : start + ROWS_PER_PIECE].float(), 0), 1)
        groups = rows.view(-1, TILE_COLUMNS, rows.shape[1] // GROUP_INPUTS, GROUP_INPUTS) @ (
            _make_hadamard(GROUP_INPUTS) / GROUP_INPUTS
        )
        # A scale that is rounded down puts the largest weight out of range by less than half a step; it is clamped.
        scales = (groups.abs().amax(-1) / 127).bfloat16()
        divisors = scales.float().clamp(min=torch.finfo(torch.bfloat16).tiny).unsqueeze(-1)
        numbers = (groups / divisors).round_().clamp_(-127, 127).add_(128).to(torch.uint8)
        fours = numbers.view(*scales.shape, GROUP_INPUTS // 4, 4).permute(0, 2, 3, 1, 4)
        yield torch.cat((scales.transpose(1, 2).contiguous().view(torch.uint8), fours.flatten(2)), dim=2)


def _make_hadamard(size: int) -> torch.Tensor:
    """Return Sylvester's matrix [size, size] of 1 and -1, its own inverse times `size`; `size` is a power of two."""
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), matrix)
    return matrix
