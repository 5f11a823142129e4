"""Models of the Llama family computed by torch: a packed forward pass over sequences that share one cache.

What it does not know: sliding windows, mixtures of experts, quantised weights, several devices.

A row of numbers never depends on its neighbours. Kernels choose their order of summation by the shape of the whole
operation, so the shapes here are fixed: linear layers see blocks of a constant number of rows, and attention sees
blocks whose shape follows from the tokens' positions alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_server.engines.language.runners.runner import Chunk

QUERIES = 16
"""Positions in one block of attention."""
KEYS = 128
"""Attention looks at a multiple of so many tokens."""
ONE_THREAD = 32768
"""Elements up to which torch keeps an operation on one thread; where it splits a larger one depends on its size."""
VECTOR = 64
"""Elements that a vectorised operation takes at a time; what is left over goes another way, with other last bits."""
ROWS = {"cpu": 16, "cuda": 64}
"""Rows of a block of the linear layers: few enough that decoding waits for the weights only."""
FAMILY = ("llama", "mistral", "qwen2", "qwen3")


def unsupported(config: Any) -> str | None:
    """Why TorchRunner cannot run a model of this configuration; None when it can."""
    if config.model_type not in FAMILY:
        return f"its architecture, {config.model_type}, is not one of {', '.join(FAMILY)}"
    layers = set(getattr(config, "layer_types", None) or ("full_attention",))
    if getattr(config, "sliding_window", None) or layers != {"full_attention"}:
        return "it has a sliding window"
    if (rope := config.rope_parameters["rope_type"]) in ("dynamic", "longrope"):
        return f"its rotary embedding, {rope}, changes with the length of the text"
    if config.hidden_act != "silu":
        return f"its activation is {config.hidden_act}"
    if getattr(config, "quantization_config", None):
        return "its files are quantised already"
    return None


@dataclass(frozen=True, slots=True)
class Linear:
    """`weight` [outputs, inputs]; several layers that read the same rows are one."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    @classmethod
    def of(cls, *modules: Any) -> Linear:
        """The modules side by side."""
        biases = [module.bias for module in modules]
        weight = torch.cat([module.weight for module in modules])
        return cls(weight, None if biases[0] is None else torch.cat(biases))

    def __call__(self, rows: torch.Tensor, block: int) -> torch.Tensor:
        """`rows`: a multiple of `block` of them."""
        return torch.cat([functional.linear(part, self.weight, self.bias) for part in torch.split(rows, block)])


@dataclass(frozen=True, slots=True)
class DecoderLayer:
    """The weights of one decoder layer. `query_norm` and `key_norm` are over single heads, where there are any."""

    attention_norm: torch.Tensor
    into_attention: Linear
    query_norm: torch.Tensor | None
    key_norm: torch.Tensor | None
    from_attention: Linear
    feed_norm: torch.Tensor
    into_feed: Linear
    from_feed: Linear

    @classmethod
    def of(cls, module: Any) -> DecoderLayer:
        """Taken from transformers' layer."""
        attention, feed = module.self_attn, module.mlp
        return cls(
            attention_norm=module.input_layernorm.weight,
            into_attention=Linear.of(attention.q_proj, attention.k_proj, attention.v_proj),
            query_norm=attention.q_norm.weight if hasattr(attention, "q_norm") else None,
            key_norm=attention.k_norm.weight if hasattr(attention, "k_norm") else None,
            from_attention=Linear.of(attention.o_proj),
            feed_norm=module.post_attention_layernorm.weight,
            into_feed=Linear.of(feed.gate_proj, feed.up_proj),
            from_feed=Linear.of(feed.down_proj),
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks of attention that look at the same number of tokens: `blocks` of all, `slots` [n], `mask` [n, 1, Q, T]."""

    blocks: slice
    slots: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the N rows of a step are: their slots and positions [N], their places [N] in the `blocks` of attention."""

    slots: torch.Tensor
    positions: torch.Tensor
    places: torch.Tensor
    blocks: int
    groups: list[Group]


class TorchRunner:
    """`model`: transformers' causal language model, on its device and for inference; it is taken apart.

    The cache has `slots` × `context` tokens in the model's dtype. See `Runner` for the rest.
    """

    def __init__(self, model: Any, *, slots: int, context: int) -> None:
        config, core = model.config, model.model
        self.slots, self.context = slots, context
        self._device, dtype = model.device, model.dtype
        self._block = ROWS.get(self._device.type, ROWS["cuda"])
        self._heads, self._key_heads = config.num_attention_heads, config.num_key_value_heads
        self._width = head_width(config)
        self._epsilon = config.rms_norm_eps
        self._embedding = core.embed_tokens.weight
        self._head = Linear(model.lm_head.weight, model.lm_head.bias)
        self._norm = core.norm.weight
        self._cos, self._sin = _rotations(core.rotary_emb, context, dtype, self._device)
        self._layers: list[DecoderLayer] = []
        while core.layers:
            # One by one, so that no more than one layer is there twice.
            self._layers.append(DecoderLayer.of(core.layers[0]))
            del core.layers[0]
        length = -(-context // KEYS) * KEYS
        shape = (len(self._layers), slots, self._key_heads, length, self._width)
        # Zeros, because what is masked is still multiplied by 0, and must be a number.
        self._keys = torch.zeros(shape, dtype=dtype, device=self._device)
        self._values = torch.zeros(shape, dtype=dtype, device=self._device)
        numbers = str(dtype).removeprefix("torch.")
        where = f"{torch.get_num_threads()} threads" if self._device.type == "cpu" else str(self._device)
        self.description = f"torch, {numbers}, {where}"

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """See `Runner`. The result is on the CPU."""
        layout = self._layout(chunks)
        ids = [token for chunk in chunks for token in chunk.tokens]
        ids += [0] * (-len(ids) % self._block)
        rows = self._embedding[torch.tensor(ids, device=self._device)]
        for place, layer in enumerate(self._layers):
            mixed = self._attention(place, layer, self._normed(rows, layer.attention_norm), layout)
            rows = rows + layer.from_attention(mixed, self._block)
            gate, up = layer.into_feed(self._normed(rows, layer.feed_norm), self._block).chunk(2, dim=1)
            rows = rows + layer.from_feed(self._split(functional.silu, gate) * up, self._block)
        ends = torch.tensor([len(chunk.tokens) for chunk in chunks]).cumsum(0) - 1
        last = rows[functional.pad(ends, (0, -len(ends) % self._block)).to(self._device)]
        logits = self._head(self._normed(last, self._norm), self._block)[: len(chunks)]
        return logits.to("cpu", torch.float32)

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """See `Runner`."""
        for cache in (self._keys, self._values):
            cache[:, target, :, :length] = cache[:, source, :, :length]

    def _attention(self, place: int, layer: DecoderLayer, rows: torch.Tensor, layout: Layout) -> torch.Tensor:
        """`rows` [padded N, hidden] to [padded N, heads × width]; what the padding says is nothing."""
        count = len(layout.slots)
        packed = layer.into_attention(rows, self._block).view(len(rows), -1, self._width)
        queries, keys, values = torch.split(packed, [self._heads, self._key_heads, self._key_heads], dim=1)
        if layer.query_norm is not None and layer.key_norm is not None:
            queries, keys = self._normed(queries, layer.query_norm), self._normed(keys, layer.key_norm)
        cos, sin = self._cos[layout.positions], self._sin[layout.positions]
        self._keys[place][layout.slots, :, layout.positions] = _rotated(keys[:count], cos, sin)
        self._values[place][layout.slots, :, layout.positions] = values[:count]
        asked = rows.new_zeros(layout.blocks * QUERIES, self._heads, self._width)
        asked[layout.places] = _rotated(queries[:count], cos, sin)
        asked = asked.view(layout.blocks, QUERIES, self._heads, self._width).transpose(1, 2)
        answers = [self._attend(place, asked[group.blocks], group) for group in layout.groups]
        mixed = rows.new_zeros(len(rows), self._heads * self._width)
        mixed[:count] = torch.cat(answers).transpose(1, 2).flatten(0, 1).flatten(1)[layout.places]
        return mixed

    def _attend(self, place: int, asked: torch.Tensor, group: Group) -> torch.Tensor:
        length = group.mask.shape[-1]
        keys = self._keys[place, group.slots, :, :length]
        values = self._values[place, group.slots, :, :length]
        return functional.scaled_dot_product_attention(asked, keys, values, group.mask, enable_gqa=True)

    def _layout(self, chunks: Sequence[Chunk]) -> Layout:
        """Sorts positions into blocks that begin at multiples of QUERIES, and blocks by how far they look back."""
        blocks = sorted(
            {
                (-(-(first + QUERIES) // KEYS) * KEYS, chunk.slot, first)
                for chunk in chunks
                for first in range(chunk.start // QUERIES * QUERIES, chunk.start + len(chunk.tokens), QUERIES)
            }
        )
        place_of = {(slot, first): place for place, (_, slot, first) in enumerate(blocks)}
        rows = [(chunk.slot, chunk.start + offset) for chunk in chunks for offset in range(len(chunk.tokens))]
        places = [
            place_of[slot, position // QUERIES * QUERIES] * QUERIES + position % QUERIES for slot, position in rows
        ]
        lengths = [length for length, _, _ in blocks]
        groups = []
        for length in sorted(set(lengths)):
            part = slice(lengths.index(length), lengths.index(length) + lengths.count(length))
            slots, firsts = zip(*((slot, first) for _, slot, first in blocks[part]), strict=True)
            positions = self._tensor(firsts)[:, None] + torch.arange(QUERIES, device=self._device)
            mask = torch.arange(length, device=self._device) <= positions[:, None, :, None]
            groups.append(Group(part, self._tensor(slots), mask))
        rows_slots, rows_positions = (self._tensor(column) for column in zip(*rows, strict=True))
        return Layout(rows_slots, rows_positions, self._tensor(places), len(blocks), groups)

    def _normed(self, rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return self._split(lambda part: _rms_norm(part, weight, self._epsilon), rows)

    def _split(self, function: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        """`function` over few enough rows at once that where each one is does not change what becomes of it."""
        if self._device.type != "cpu":
            return torch.cat([function(part) for part in torch.split(rows, self._block)])
        width = rows[0].numel()
        together = 1 if width % VECTOR else max(1, ONE_THREAD // width)
        return torch.cat([function(part) for part in torch.split(rows, together)])

    def _tensor(self, numbers: Sequence[int]) -> torch.Tensor:
        return torch.tensor(numbers, device=self._device)


def head_width(config: Any) -> int:
    """Numbers in one head of attention."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def token_bytes(config: Any, dtype: torch.dtype) -> int:
    """What one token takes in the cache."""
    numbers = 2 * config.num_hidden_layers * config.num_key_value_heads * head_width(config)
    return int(numbers * dtype.itemsize)


def _rotations(
    module: Any, context: int, dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines [context, 1, width] of all positions, as transformers computes them, scaling included."""
    positions = torch.arange(context, device=device)[None]
    with torch.inference_mode():
        cos, sin = module(torch.empty(0, dtype=dtype, device=device), positions)
    return cos[0][:, None], sin[0][:, None]


def _rotated(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding (arXiv 2104.09864) of [N, heads, width], halves paired as in Llama's weights."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin


def _rms_norm(rows: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    wide = rows.to(torch.float32)
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    return weight * wide.to(rows.dtype)
