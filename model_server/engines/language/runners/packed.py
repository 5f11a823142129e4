"""A runner for the Llama family on x86 CPUs: weights of 4 to 8 bits, 8-bit activations, one C++ call per step.

What it does not know: sliding windows, mixtures of experts, biases other than those of queries, keys and values.

It is batch-invariant: products are exact within groups of 32 inputs, and floats are added in an order that depends on
their own row and position alone.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from model_server.engines.language.runners import architecture, native
from model_server.engines.language.runners.architecture import head_width
from model_server.engines.language.runners.configuration import read_config
from model_server.engines.language.runners.native import RunnerUnavailable
from model_server.engines.language.runners.native.weights import check_types, load_weights
from model_server.engines.language.runners.runner import find_wanted_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_server.engines.language.runners.runner import Chunk

__all__ = ["PackedRunner", "RunnerUnavailable"]

MAX_ROWS = 256
"""The most tokens in one pass through the weights; more tokens take several passes."""


class PackedRunner:
    """Runs the model in `folder` on `threads` threads. See `Runner` for the rest.

    Weights take the bytes that they have in a GGUF, or 1.06 bytes each if they are floats in the files. The cache has
    `slots` × `context` tokens in float16, and takes memory only as far as it was ever filled.
    Raises RunnerUnavailable if this machine or this model needs another runner.
    """

    def __init__(self, folder: Path, slots: int, context: int, threads: int) -> None:
        config = _read_supported_config(folder)
        self._library = native.load()
        self.slots, self.context = slots, context
        self._vocabulary = int(config.vocab_size)
        self._weights = load_weights(self._library, folder, config, threads)
        self.description = (
            f"weights in {' and '.join(self._weights.types)}, 8-bit activations, "
            f"{native.choose_instructions().name}, {threads} threads"
        )
        self._rotations = _rotations(config, context)
        cosines, sines = self._rotations
        self._decoder = self._library.decoder_create(
            _make_shape(config, slots, context, threads),
            self._weights.layers,
            native.SharedWeights(
                norm=self._weights.norm.data_ptr(),
                cosines=cosines.data_ptr(),
                sines=sines.data_ptr(),
                logits=self._weights.logits,
                embedding=self._weights.embedding,
            ),
        )
        if not self._decoder:
            raise RunnerUnavailable(f"there is no memory for {slots} slots of {context:,} tokens")
        weakref.finalize(self, self._library.decoder_destroy, self._decoder)

    def forward(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """See `Runner`."""
        self._check(chunks)
        tokens = torch.tensor([token for chunk in chunks for token in chunk.tokens], dtype=torch.int32)
        rows = [(chunk.slot, chunk.start + offset) for chunk in chunks for offset in range(len(chunk.tokens))]
        slots, places = torch.tensor(rows, dtype=torch.int32).T.contiguous()
        wanted_rows = torch.tensor(find_wanted_rows(chunks))
        logits = torch.empty(len(wanted_rows), self._vocabulary)
        for first in range(0, len(rows), MAX_ROWS):
            part = slice(first, first + MAX_ROWS)
            now = tokens[part]
            begin, end = torch.searchsorted(wanted_rows, torch.tensor([first, first + MAX_ROWS])).tolist()
            wanted = (wanted_rows[begin:end] - first).int()
            self._library.decoder_step(
                self._decoder,
                len(now),
                now.data_ptr(),
                slots[part].data_ptr(),
                places[part].data_ptr(),
                len(wanted),
                wanted.data_ptr(),
                logits[begin:end].data_ptr(),
            )
        return logits

    def copy(self, source: int, target: int, length: int) -> None:
        """See `Runner`."""
        if not (0 <= source < self.slots and 0 <= target < self.slots and 0 <= length <= self.context):
            raise ValueError(f"cannot copy {length} tokens from slot {source} to {target}")
        self._library.decoder_copy(self._decoder, source, target, length)

    def _check(self, chunks: Sequence[Chunk]) -> None:
        """Raise ValueError for numbers with which C++ would leave its memory."""
        for chunk in chunks:
            if not (0 <= chunk.slot < self.slots and 0 <= chunk.start <= self.context - len(chunk.tokens)):
                raise ValueError(f"slot {chunk.slot} has no room for {len(chunk.tokens)} tokens from {chunk.start} on")
            if not chunk.tokens or not 0 <= min(chunk.tokens) <= max(chunk.tokens) < self._vocabulary:
                raise ValueError("a chunk should have tokens, all of them of the vocabulary")
            if not 1 <= chunk.wanted <= len(chunk.tokens):
                raise ValueError(f"logits after {chunk.wanted} of {len(chunk.tokens)} tokens cannot be wanted")

    @property
    def bytes_per_token(self) -> int:
        """The bytes of weights that a step reads for a single token: all matrices, and one row of the embedding."""
        return self._weights.matrix_bytes


def check_runnable(folder: Path) -> None:
    """Raise RunnerUnavailable if PackedRunner cannot run the model in `folder` here. Reads no weights."""
    config = _read_supported_config(folder)
    native.load()
    check_types(folder, config)


def _read_supported_config(folder: Path) -> Any:
    config = read_config(folder)
    if why := reason_against_packing(config):
        raise RunnerUnavailable(why)
    return config


def reason_against_packing(config: Any) -> str | None:
    """Return why PackedRunner cannot run a model with transformers' `config`; None if it can."""
    if why := architecture.unsupported_reason(config):
        return why
    if getattr(config, "attention_bias", False) or getattr(config, "mlp_bias", False):
        return "it has biases outside of queries, keys and values"
    return None


def _make_shape(config: Any, slots: int, context: int, threads: int) -> native.ModelShape:
    return native.ModelShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        inner=config.intermediate_size,
        heads=config.num_attention_heads,
        key_heads=config.num_key_value_heads,
        head_width=head_width(config),
        vocabulary=config.vocab_size,
        context=context,
        slots=slots,
        rows=MAX_ROWS,
        threads=threads,
        epsilon=config.rms_norm_eps,
    )


def _rotations(config: Any, context: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and sines [context, width / 2] in float32, scaled as the configuration says."""
    # Not transformers' module, which does the same: importing it takes half of the start of a worker.
    kind, width = config.rope_parameters["rope_type"], head_width(config)
    if kind == "default":
        frequencies, scale = 1 / config.rope_parameters["rope_theta"] ** (torch.arange(0, width, 2) / width), 1.0
    else:
        frequencies, scale = ROPE_INIT_FUNCTIONS[kind](config)
    angles = torch.arange(context)[:, None].float() * frequencies
    return angles.cos() * scale, angles.sin() * scale
