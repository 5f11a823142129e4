"""Packs the matrices of a model as the C++ decoder reads them, in memory, each time that the model is loaded.

A GGUF's blocks are only reordered, number by number as they are in the file. Matrices of floats, as in safetensors, are
quantised to Q8_0.
"""

from __future__ import annotations

import contextlib
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy
import torch

from model_server.engines.language.runners.architecture import head_width
from model_server.engines.language.runners.native import (
    LayerWeights,
    Matrix,
    MatrixSource,
    RunnerUnavailable,
)
from model_server.engines.language.runners.native.files import open_tensors

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Iterator
    from pathlib import Path

    from model_server.engines.language.runners.native.files import FileTensor, TensorFiles

ROW_MULTIPLE = 64
"""Vectors that are as wide as a row are padded with zeros to a multiple of this."""
EMBEDDING = "model.embed_tokens.weight"


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """The weights of a model. `matrix_bytes`: of all matrices; `types`: of their numbers, the commonest first."""

    layers: ctypes.Array[LayerWeights]
    norm: torch.Tensor
    logits: Matrix
    embedding: Matrix
    matrix_bytes: int
    types: tuple[str, ...]
    owners: tuple[Any, ...]
    """Keep the addresses valid."""


@dataclass(frozen=True, slots=True)
class _MatrixPlan:
    """A matrix that will be packed: `part` names it in `LayerWeights`; `layer` None: the logits."""

    layer: int | None
    part: str
    tensor: FileTensor
    heads: int = 0
    """The number of heads whose rows are to be reordered; 0: none."""


def load_weights(library: ctypes.CDLL, folder: Path, config: Any, threads: int) -> PackedWeights:
    """Return the packed weights of the model in `folder` with transformers' `config`, which takes seconds.

    Raises RunnerUnavailable if tensors are missing or in an unknown format, or if there is not enough memory.
    """
    files = open_tensors(folder)
    plans = list(_plan_matrices(files, config))
    sizes = [_packed_size(library, plan.tensor) for plan in plans]
    try:
        memory = mmap.mmap(-1, sum(sizes), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise RunnerUnavailable(f"there is no memory for its weights ({sum(sizes):,} bytes)") from error
    # A hint, which kernels without huge pages refuse.
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    view = numpy.frombuffer(memory, numpy.uint8)
    layers = (LayerWeights * config.num_hidden_layers)()
    address, bytes_by_type = view.ctypes.data, dict[str, int]()
    logits = Matrix()
    for plan, size in zip(plans, sizes, strict=True):
        matrix = _pack(library, plan, address, head_width(config), threads)
        if plan.layer is None:
            logits = matrix
        else:
            setattr(layers[plan.layer], plan.part, matrix)
        files.release()
        bytes_by_type[plan.tensor.type] = bytes_by_type.get(plan.tensor.type, 0) + size
        address += size
    vectors = []
    for layer, part, vector in _read_vectors(files, config):
        setattr(layers[layer], part, vector.data_ptr())
        vectors.append(vector)
    norm = _read_vector(files, "model.norm.weight", config.hidden_size, pad=True)
    # Opened anew, because the pages that packing read would stay in memory with the old mapping.
    del files, plans
    shape = (config.vocab_size, config.hidden_size)
    embedding = open_tensors(folder).read(EMBEDDING, *shape)
    return PackedWeights(
        layers=layers,
        norm=norm,
        logits=logits,
        embedding=Matrix(embedding.type_number, embedding.address, *shape),
        matrix_bytes=sum(sizes),
        types=tuple(sorted(bytes_by_type, key=lambda name: -bytes_by_type[name])),
        owners=(view, vectors, embedding.owner),
    )


def check_types(folder: Path, config: Any) -> None:
    """Raise RunnerUnavailable if a tensor is missing, or in a format that cannot be packed. Reads no weights."""
    files = open_tensors(folder)
    for plan in _plan_matrices(files, config):
        _ = plan.tensor.type_number
    _ = files.read(EMBEDDING, config.vocab_size, config.hidden_size).type_number


def _plan_matrices(files: TensorFiles, config: Any) -> Iterator[_MatrixPlan]:
    """Yield the matrices in the order in which a step reads them."""
    hidden, inner, width = config.hidden_size, config.intermediate_size, head_width(config)
    heads, key_heads = config.num_attention_heads, config.num_key_value_heads
    shapes = {
        "query": ("self_attn.q_proj", heads * width, hidden, heads),
        "key": ("self_attn.k_proj", key_heads * width, hidden, key_heads),
        "value": ("self_attn.v_proj", key_heads * width, hidden, 0),
        "output": ("self_attn.o_proj", hidden, heads * width, 0),
        "gate": ("mlp.gate_proj", inner, hidden, 0),
        "up": ("mlp.up_proj", inner, hidden, 0),
        "down": ("mlp.down_proj", hidden, inner, 0),
    }
    for layer in range(config.num_hidden_layers):
        for part, (name, outputs, inputs, reordered) in shapes.items():
            tensor = files.read(f"model.layers.{layer}.{name}.weight", outputs, inputs)
            yield _MatrixPlan(layer, part, tensor, reordered if files.pairs_rotated else 0)
    name = EMBEDDING if config.tie_word_embeddings else "lm_head.weight"
    yield _MatrixPlan(None, "logits", files.read(name, config.vocab_size, hidden))


def _packed_size(library: ctypes.CDLL, tensor: FileTensor) -> int:
    """Return the bytes of a packed matrix, a multiple of 64."""
    size: int = library.matrix_bytes(tensor.type_number, *tensor.shape)
    return size


def _pack(library: ctypes.CDLL, plan: _MatrixPlan, address: int, width: int, threads: int) -> Matrix:
    tensor = plan.tensor
    order = _order_of_rows(plan.heads, width) if plan.heads else None
    source = MatrixSource(
        tensor.type_number, tensor.address, *tensor.shape, None if order is None else order.data_ptr()
    )
    library.matrix_pack(source, address, threads)
    return Matrix(tensor.type_number, address, *tensor.shape)


def _order_of_rows(heads: int, width: int) -> torch.Tensor:
    """Return for each row of queries or keys in transformers' order its row in a GGUF of Llama's architecture.

    There the two numbers that are rotated together are neighbours; in transformers they are half a head apart.
    """
    rows = torch.arange(heads * width, dtype=torch.int32).view(heads, width // 2, 2)
    return rows.transpose(1, 2).contiguous().view(-1)


def _read_vectors(files: TensorFiles, config: Any) -> Iterator[tuple[int, str, torch.Tensor]]:
    """Yield layer, part and numbers of each norm and bias."""
    hidden, width = config.hidden_size, head_width(config)
    heads = {
        "query": config.num_attention_heads,
        "key": config.num_key_value_heads,
        "value": config.num_key_value_heads,
    }
    for layer in range(config.num_hidden_layers):
        at = f"model.layers.{layer}."
        yield layer, "attention_norm", _read_vector(files, at + "input_layernorm.weight", hidden, pad=True)
        yield layer, "inner_norm", _read_vector(files, at + "post_attention_layernorm.weight", hidden, pad=True)
        for part, count in heads.items():
            name = f"{at}self_attn.{part[0]}_"
            if f"{name}norm.weight" in files:
                yield layer, f"{part}_norm", _read_vector(files, f"{name}norm.weight", width, pad=False)
            if f"{name}proj.bias" in files:
                yield layer, f"{part}_bias", _read_vector(files, f"{name}proj.bias", count * width, pad=True)


def _read_vector(files: TensorFiles, name: str, size: int, *, pad: bool) -> torch.Tensor:
    vector = files.read(name, size).read_floats()
    return torch.nn.functional.pad(vector, (0, -size % ROW_MULTIPLE if pad else 0))
