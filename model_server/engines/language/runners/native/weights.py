"""Weights in the order in which the C++ decoder reads them: 8 bits each, made once and then mapped into memory.

A matrix becomes tiles of 64 outputs, a tile becomes blocks of 32 inputs, and a block is 64 bfloat16 scales and 2048
bytes, sorted as matrix.h says. Every width is padded to a multiple of 64 with zeros. The 32 inputs of a block are first
multiplied by a Hadamard matrix, as those of the activations will be: the product stays, and rounding costs less.
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

from model_server.engines.language.runners.native import Unavailable, cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LAYOUT = 3
"""Changes whenever what was packed before can no longer be read."""
COLUMNS, GROUP = 64, 32
"""As in matrix.h."""
EMBEDDING = "model.embed_tokens.weight"
ROWS_AT_ONCE = 4096
"""Of a matrix while it is packed, because the float32 copies of the largest one would fill the memory."""


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """`parts`: addresses in `memory` by name. `embedding`: [V, hidden], mapped, as the model's files have it."""

    memory: torch.Tensor
    parts: dict[str, int]
    embedding: torch.Tensor


class TensorFiles:
    """The tensors of a folder with safetensors, mapped: what is not read takes no memory."""

    def __init__(self, folder: Path) -> None:
        index = folder / "model.safetensors.index.json"
        if index.exists():
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        else:
            names = ["model.safetensors"]
        if missing := [name for name in names if not (folder / name).exists()]:
            raise Unavailable(f"its folder has no {missing[0]}")
        opened: list[Any] = [safe_open(str(folder / name), "pt") for name in names]
        self._home = {name: file for file in opened for name in file.keys()}  # noqa: SIM118 - it is no dict

    def __contains__(self, name: str) -> bool:
        return name in self._home

    def read(self, name: str, *shape: int) -> torch.Tensor:
        """Raises Unavailable when there is no such tensor of this shape."""
        if name not in self._home:
            raise Unavailable(f"its files have no {name}")
        tensor: torch.Tensor = self._home[name].get_tensor(name)
        if tuple(tensor.shape) != shape:
            raise Unavailable(f"its {name} is {tuple(tensor.shape)} where its configuration says {shape}")
        return tensor


def load_weights(folder: Path, config: Any) -> PackedWeights:
    """Packs them at the first use, which takes seconds and, on the disk, 1.06 bytes for each weight.

    `config`: transformers'. Raises Unavailable when tensors are missing or the disk is full.
    """
    home = cache_folder() / "packed"
    model, state = _identity(folder)
    target = home / f"{model}-{state}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / f"{model}.lock"):
            if not target.is_dir():
                for old in home.glob(f"{model}-*"):
                    shutil.rmtree(old)
                _pack(folder, config, target)
    except OSError as error:
        raise Unavailable(f"its packed weights cannot be kept ({error.strerror})") from error
    parts: dict[str, list[int]] = json.loads((target / "parts.json").read_text())
    size = sum(length for _, length in parts.values())
    memory = torch.from_file(str(target / "weights"), shared=False, size=size, dtype=torch.uint8)
    addresses = {name: memory.data_ptr() + start for name, (start, _) in parts.items()}
    # A mapping of its own, because pages that packing read would stay in memory with the old one.
    embedding = TensorFiles(folder).read(EMBEDDING, config.vocab_size, config.hidden_size)
    return PackedWeights(memory, addresses, embedding)


def head_width(config: Any) -> int:
    """Numbers in one head of attention."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _identity(folder: Path) -> tuple[str, str]:
    """Names for the model's place and for what is there now."""
    paths = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    texts = str(folder.resolve()), json.dumps([LAYOUT, files])
    model, state = (hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts)
    return model, state


def _pack(model: Path, config: Any, target: Path) -> None:
    source = TensorFiles(model)
    # Its name begins as the target's, so that what a kill leaves is removed before the next attempt.
    with tempfile.TemporaryDirectory(prefix=target.name, dir=target.parent) as name:
        folder = Path(name) / target.name
        folder.mkdir()
        places: dict[str, tuple[int, int]] = {}
        with (folder / "weights").open("wb") as file:
            for part, pieces in _parts(source, config):
                start = file.tell()
                for piece in pieces:
                    file.write(piece.numpy().data)
                places[part] = start, file.tell() - start
        (folder / "parts.json").write_text(json.dumps(places))
        folder.rename(target)


def _parts(source: TensorFiles, config: Any) -> Iterator[tuple[str, Iterable[torch.Tensor]]]:
    """What the decoder needs, as the bytes of each part."""
    hidden, inner, vocabulary = config.hidden_size, config.intermediate_size, config.vocab_size
    width = head_width(config)
    heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads, "v": config.num_key_value_heads}
    for layer in range(config.num_hidden_layers):
        at = f"model.layers.{layer}."
        attention = at + "self_attn."
        yield f"{layer}.attention_norm", _vector(source.read(at + "input_layernorm.weight", hidden))
        yield f"{layer}.inner_norm", _vector(source.read(at + "post_attention_layernorm.weight", hidden))
        if attention + "q_norm.weight" in source:
            yield f"{layer}.query_norm", _vector(source.read(attention + "q_norm.weight", width))
            yield f"{layer}.key_norm", _vector(source.read(attention + "k_norm.weight", width))
        if attention + "q_proj.bias" in source:
            biases = [source.read(f"{attention}{name}_proj.bias", count * width) for name, count in heads.items()]
            yield f"{layer}.qkv_bias", _vector(torch.cat(biases))
        qkv = [source.read(f"{attention}{name}_proj.weight", count * width, hidden) for name, count in heads.items()]
        yield f"{layer}.qkv", _matrix(torch.cat(qkv))
        yield f"{layer}.output", _matrix(source.read(attention + "o_proj.weight", hidden, heads["q"] * width))
        pair = [_padded(source.read(f"{at}mlp.{name}_proj.weight", inner, hidden), 0) for name in ("gate", "up")]
        tiles = torch.stack([matrix.view(-1, COLUMNS, hidden) for matrix in pair], dim=1)
        yield f"{layer}.gate_up", _matrix(tiles.view(-1, hidden))
        yield f"{layer}.down", _matrix(source.read(at + "mlp.down_proj.weight", hidden, inner))
    yield "norm", _vector(source.read("model.norm.weight", hidden))
    logits = EMBEDDING if config.tie_word_embeddings else "lm_head.weight"
    yield "logits", _matrix(source.read(logits, vocabulary, hidden))


def _padded(tensor: torch.Tensor, dimension: int) -> torch.Tensor:
    missing = -tensor.shape[dimension] % COLUMNS
    return functional.pad(tensor, (0, 0) * (tensor.dim() - 1 - dimension) + (0, missing))


def _vector(vector: torch.Tensor) -> Iterator[torch.Tensor]:
    yield _padded(vector.float(), 0)


def _matrix(matrix: torch.Tensor) -> Iterator[torch.Tensor]:
    """`matrix` [outputs, inputs] as blocks, some rows of it at a time."""
    for start in range(0, len(matrix), ROWS_AT_ONCE):
        rows = _padded(_padded(matrix[start : start + ROWS_AT_ONCE].float(), 0), 1)
        groups = rows.view(-1, COLUMNS, rows.shape[1] // GROUP, GROUP) @ (_hadamard(GROUP) / GROUP)
        # Rounding a scale down would push the largest weight out of range by less than half a step; it is clamped.
        scales = (groups.abs().amax(-1) / 127).bfloat16()
        divisors = scales.float().clamp(min=torch.finfo(torch.bfloat16).tiny).unsqueeze(-1)
        numbers = (groups / divisors).round_().clamp_(-127, 127).add_(128).to(torch.uint8)
        fours = numbers.view(*scales.shape, GROUP // 4, 4).permute(0, 2, 3, 1, 4)
        yield torch.cat((scales.transpose(1, 2).contiguous().view(torch.uint8), fours.flatten(2)), dim=2)


def _hadamard(size: int) -> torch.Tensor:
    """Sylvester's matrix [size, size] of 1 and -1, which is its own inverse times `size`; `size` is a power of two."""
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), matrix)
    return matrix
