"""A runner for the Llama family in torch: one packed forward pass over sequences that share a cache.

What it does not know: sliding windows, mixtures of experts, quantised weights, several devices.

It is batch-invariant: a row never depends on the other rows. Kernels choose their order of summation by the shape of
the whole operation, so that shapes are fixed here: linear layers get blocks of a constant number of rows, and attention
gets blocks whose shape follows from the tokens' positions alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from model_server.engines.common.device import dtype_name
from model_server.engines.language.runners.architecture import head_width
from model_server.engines.language.runners.runner import find_wanted_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_server.engines.language.runners.runner import Chunk

BLOCK_QUERIES = 16
"""Positions in one block of queries."""
KEY_MULTIPLE = 128
"""The number of keys that a block of queries reads is a multiple of this."""
SINGLE_THREAD_ELEMENTS = 32768
"""Up to this size torch keeps an operation on one thread; where it splits a larger one depends on its size."""
VECTOR_ELEMENTS = 64
"""A vectorised operation takes this many elements at a time, and computes a rest differently, to the last bits."""
LINEAR_ROWS = {"cpu": 16, "cuda": 64}
"""Rows in a block of a linear layer: few enough that reading the weights bounds the speed of decoding."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer with `weight` [outputs, inputs], or several such layers with the same input as one."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    @classmethod
    def from_modules(cls, *modules: Any) -> Linear:
        """Return the modules side by side as one layer."""
        biases = [module.bias for module in modules]
        weight = torch.cat([module.weight for module in modules])
        return cls(weight, None if biases[0] is None else torch.cat(biases))

    def __call__(self, rows: torch.Tensor, block: int) -> torch.Tensor:
        """Apply the layer to `rows`, whose number is a multiple of `block`, in blocks of that many rows."""
        return torch.cat([functional.linear(part, self.weight, self.bias) for part in torch.split(rows, block)])


@dataclass(frozen=True, slots=True)
class DecoderLayer:
    """The weights of one decoder layer. `query_norm` and `key_norm`, which Qwen3 has, are over single heads."""

    attention_norm: torch.Tensor
    qkv_projection: Linear
    query_norm: torch.Tensor | None
    key_norm: torch.Tensor | None
    output_projection: Linear
    mlp_norm: torch.Tensor
    gate_up_projection: Linear
    down_projection: Linear

    @classmethod
    def from_module(cls, module: Any) -> DecoderLayer:
        """Return the weights of a decoder layer of transformers."""
        attention, mlp = module.self_attn, module.mlp
        return cls(
            attention_norm=module.input_layernorm.weight,
            qkv_projection=Linear.from_modules(attention.q_proj, attention.k_proj, attention.v_proj),
            query_norm=attention.q_norm.weight if hasattr(attention, "q_norm") else None,
            key_norm=attention.k_norm.weight if hasattr(attention, "k_norm") else None,
            output_projection=Linear.from_modules(attention.o_proj),
            mlp_norm=module.post_attention_layernorm.weight,
            gate_up_projection=Linear.from_modules(mlp.gate_proj, mlp.up_proj),
            down_projection=Linear.from_modules(mlp.down_proj),
        )


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """The n blocks of queries that read T keys each: their `blocks` of all, `slots` [n] and `mask` [n, 1, Q, T]."""

    blocks: slice
    slots: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class StepLayout:
    """The N rows of a step: their `slots` [N], `positions` [N], and `places` [N] in the `blocks` of queries."""

    slots: torch.Tensor
    positions: torch.Tensor
    places: torch.Tensor
    blocks: int
    groups: list[AttentionGroup]


class TorchRunner:
    """Runs a causal language model of transformers, which must be on its device; the runner takes it apart.

    The cache has `slots` × `context` tokens in the model's dtype. See `Runner` for the rest.
    """

    def __init__(self, model: Any, *, slots: int, context: int) -> None:
        config, core = model.config, model.model
        self.slots, self.context = slots, context
        self._device, dtype = model.device, model.dtype
        self._block = LINEAR_ROWS.get(self._device.type, LINEAR_ROWS["cuda"])
        self._heads, self._key_heads = config.num_attention_heads, config.num_key_value_heads
        self._width = head_width(config)
        self._epsilon = config.rms_norm_eps
        self._embedding = core.embed_tokens.weight
        self._head = Linear(model.lm_head.weight, model.lm_head.bias)
        self._norm = core.norm.weight
        self._cos, self._sin = _make_rotations(core.rotary_emb, context, dtype, self._device)
        self._layers: list[DecoderLayer] = []
        while core.layers:
            # One by one, so that only one layer is in memory twice.
            self._layers.append(DecoderLayer.from_module(core.layers[0]))
            del core.layers[0]
        length = -(-context // KEY_MULTIPLE) * KEY_MULTIPLE
        shape = (len(self._layers), slots, self._key_heads, length, self._width)
        # Zeros, because masked values are multiplied by 0, and must not be NaN.
        self._keys = torch.zeros(shape, dtype=dtype, device=self._device)
        self._values = torch.zeros(shape, dtype=dtype, device=self._device)
        where = f"{torch.get_num_threads()} threads" if self._device.type == "cpu" else str(self._device)
        self.description = f"torch, {dtype_name(dtype)}, {where}"

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """See `Runner`. The result is on the CPU."""
        layout = self._make_layout(chunks)
        ids = [token for chunk in chunks for token in chunk.tokens]
        ids += [0] * (-len(ids) % self._block)
        rows = self._embedding[torch.tensor(ids, device=self._device)]
        for place, layer in enumerate(self._layers):
            mixed = self._attention(place, layer, self._normalise(rows, layer.attention_norm), layout)
            rows = rows + layer.output_projection(mixed, self._block)
            gate, up = layer.gate_up_projection(self._normalise(rows, layer.mlp_norm), self._block).chunk(2, dim=1)
            rows = rows + layer.down_projection(self._map_in_parts(functional.silu, gate) * up, self._block)
        wanted = find_wanted_rows(chunks)
        padded = wanted + [0] * (-len(wanted) % self._block)
        logits = self._head(self._normalise(rows[self._tensor(padded)], self._norm), self._block)[: len(wanted)]
        return logits.to("cpu", torch.float32)

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """See `Runner`."""
        for cache in (self._keys, self._values):
            cache[:, target, :, :length] = cache[:, source, :, :length]

    def _attention(self, place: int, layer: DecoderLayer, rows: torch.Tensor, layout: StepLayout) -> torch.Tensor:
        """Return the attention of `rows` [padded N, hidden]: [padded N, heads × width], with zeros for the padding."""
        count = len(layout.slots)
        packed = layer.qkv_projection(rows, self._block).view(len(rows), -1, self._width)
        queries, keys, values = torch.split(packed, [self._heads, self._key_heads, self._key_heads], dim=1)
        if layer.query_norm is not None and layer.key_norm is not None:
            queries, keys = self._normalise(queries, layer.query_norm), self._normalise(keys, layer.key_norm)
        cos, sin = self._cos[layout.positions], self._sin[layout.positions]
        self._keys[place][layout.slots, :, layout.positions] = _rotate(keys[:count], cos, sin)
        self._values[place][layout.slots, :, layout.positions] = values[:count]
        packed_queries = rows.new_zeros(layout.blocks * BLOCK_QUERIES, self._heads, self._width)
        packed_queries[layout.places] = _rotate(queries[:count], cos, sin)
        packed_queries = packed_queries.view(layout.blocks, BLOCK_QUERIES, self._heads, self._width).transpose(1, 2)
        attended = [self._attend(place, packed_queries[group.blocks], group) for group in layout.groups]
        mixed = rows.new_zeros(len(rows), self._heads * self._width)
        mixed[:count] = torch.cat(attended).transpose(1, 2).flatten(0, 1).flatten(1)[layout.places]
        return mixed

    def _attend(self, place: int, packed_queries: torch.Tensor, group: AttentionGroup) -> torch.Tensor:
        length = group.mask.shape[-1]
        keys = self._keys[place, group.slots, :, :length]
        values = self._values[place, group.slots, :, :length]
        return functional.scaled_dot_product_attention(packed_queries, keys, values, group.mask, enable_gqa=True)

    def _make_layout(self, chunks: Sequence[Chunk]) -> StepLayout:
        """Sort positions into blocks that begin at multiples of BLOCK_QUERIES, and blocks by the keys they read."""
        blocks = sorted(
            {
                (-(-(first + BLOCK_QUERIES) // KEY_MULTIPLE) * KEY_MULTIPLE, chunk.slot, first)
                for chunk in chunks
                for first in range(
                    chunk.start // BLOCK_QUERIES * BLOCK_QUERIES, chunk.start + len(chunk.tokens), BLOCK_QUERIES
                )
            }
        )
        place_of = {(slot, first): place for place, (_, slot, first) in enumerate(blocks)}
        rows = [(chunk.slot, chunk.start + offset) for chunk in chunks for offset in range(len(chunk.tokens))]
        places = [
            place_of[slot, position // BLOCK_QUERIES * BLOCK_QUERIES] * BLOCK_QUERIES + position % BLOCK_QUERIES
            for slot, position in rows
        ]
        lengths = [length for length, _, _ in blocks]
        groups = []
        for length in sorted(set(lengths)):
            part = slice(lengths.index(length), lengths.index(length) + lengths.count(length))
            slots, firsts = zip(*((slot, first) for _, slot, first in blocks[part]), strict=True)
            positions = self._tensor(firsts)[:, None] + torch.arange(BLOCK_QUERIES, device=self._device)
            mask = torch.arange(length, device=self._device) <= positions[:, None, :, None]
            groups.append(AttentionGroup(part, self._tensor(slots), mask))
        rows_slots, rows_positions = (self._tensor(column) for column in zip(*rows, strict=True))
        return StepLayout(rows_slots, rows_positions, self._tensor(places), len(blocks), groups)

    def _normalise(self, rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return self._map_in_parts(lambda part: _rms_norm(part, weight, self._epsilon), rows)

    def _map_in_parts(self, function: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        """Apply `function` to so few rows at a time that the place of a row does not change its result."""
        if self._device.type != "cpu":
            return torch.cat([function(part) for part in torch.split(rows, self._block)])
        width = rows[0].numel()
        together = 1 if width % VECTOR_ELEMENTS else max(1, SINGLE_THREAD_ELEMENTS // width)
        return torch.cat([function(part) for part in torch.split(rows, together)])

    def _tensor(self, numbers: Sequence[int]) -> torch.Tensor:
        return torch.tensor(numbers, device=self._device)


def cache_bytes_per_token(config: Any, dtype: torch.dtype) -> int:
    """Return the bytes that one token takes in the cache."""
    numbers = 2 * config.num_hidden_layers * config.num_key_value_heads * head_width(config)
    return int(numbers * dtype.itemsize)


def _make_rotations(
    module: Any, context: int, dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and sines [context, 1, width] of all positions, as transformers computes and scales them."""
    positions = torch.arange(context, device=device)[None]
    with torch.inference_mode():
        cos, sin = module(torch.empty(0, dtype=dtype, device=device), positions)
    return cos[0][:, None], sin[0][:, None]


def _rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Apply the rotary position embedding (arXiv 2104.09864) to [N, heads, width], with halves paired as in Llama."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin


def _rms_norm(rows: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    wide = rows.to(torch.float32)
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    return weight * wide.to(rows.dtype)
