"""Small random GGUF models of the Llama family, in any of the types of numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, quants
from numpy.typing import NDArray
from transformers.convert_slow_tokenizer import bytes_to_unicode

WIDTH, INNER, LAYERS, HEADS, KEY_HEADS = 256, 512, 2, 4, 2
QWEN3_HEAD = 128
"""The width of a head of Qwen 3, whose heads together are wider than the model."""
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TOKENS = [*bytes_to_unicode().values(), "he", "ll", *SPECIAL_TOKENS]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
SCALE_PLACES = {"Q4_0": [0], "Q5_0": [0], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
"""Where the half-precision numbers of a block are."""


def random_blocks(
    kind: str, outputs: int, inputs: int, random: np.random.Generator, largest: float = 0.02
) -> NDArray[np.uint8]:
    """Return rows [outputs, bytes] of random blocks of a type, with scales from -`largest` to `largest`."""
    block, size = gguf.GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    rows = random.integers(0, 256, (outputs, inputs // block, size), dtype=np.uint8)
    for place in SCALE_PLACES[kind]:
        scales = random.uniform(-largest, largest, rows.shape[:2]).astype(np.float16)
        rows[:, :, place : place + 2] = scales[..., None].view(np.uint8)
    return rows.reshape(outputs, -1)


def write_gguf(
    path: Path,
    *,
    tied: bool = False,
    architecture: str = "qwen2",
    types: Mapping[str, str] | None = None,
    context: int = 128,
    rope_factors: Sequence[float] = (),
) -> dict[str, NDArray[np.float32]]:
    """Write a random model with a byte-level tokenizer, and return its tensors.

    `types`: the types of matrices by the end of their names, such as {"attn_q.weight": "Q4_K"}; others are F32.
    `rope_factors`: what the frequencies of the rotary embedding are divided by, if anything.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(500000.0)
    head = QWEN3_HEAD if architecture == "qwen3" else WIDTH // HEADS
    writer.add_rope_dimension_count(head)
    if architecture == "qwen3":
        writer.add_key_length(head)
        writer.add_value_length(head)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(TOKENS)
    writer.add_token_merges(["h e", "l l"])
    writer.add_token_types([gguf.TokenType.NORMAL] * (len(TOKENS) - 3) + [gguf.TokenType.CONTROL] * 3)
    writer.add_bos_token_id(TOKENS.index("<|endoftext|>"))
    writer.add_eos_token_id(TOKENS.index("<|im_end|>"))
    writer.add_pad_token_id(TOKENS.index("<|endoftext|>"))
    writer.add_chat_template(TEMPLATE)
    random, tensors = np.random.default_rng(7), dict[str, NDArray[np.float32]]()
    for name, shape in _shapes(architecture, head, tied=tied).items():
        kind = next((kind for end, kind in (types or {}).items() if name.endswith(end)), "F32")
        if kind == "F32":
            tensors[name] = random.normal(0, 0.2, shape).astype(np.float32)
            writer.add_tensor(name, tensors[name])
        else:
            raw = random_blocks(kind, *shape, random, 0.1 if kind == "Q4_0" else 0.01 if kind[2:] == "_0" else 0.001)
            tensors[name] = quants.dequantize(raw, GGMLQuantizationType[kind])
            writer.add_tensor(name, raw, raw_dtype=GGMLQuantizationType[kind])
    if rope_factors:
        writer.add_tensor("rope_freqs.weight", np.array(rope_factors, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def _shapes(architecture: str, head: int, *, tied: bool) -> dict[str, tuple[int, ...]]:
    wide, narrow = HEADS * head, KEY_HEADS * head
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(TOKENS), WIDTH), "output_norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        shapes |= {
            f"{block}.attn_norm.weight": (WIDTH,),
            f"{block}.ffn_norm.weight": (WIDTH,),
            f"{block}.attn_q.weight": (wide, WIDTH),
            f"{block}.attn_k.weight": (narrow, WIDTH),
            f"{block}.attn_v.weight": (narrow, WIDTH),
            f"{block}.attn_output.weight": (WIDTH, wide),
            f"{block}.ffn_gate.weight": (INNER, WIDTH),
            f"{block}.ffn_up.weight": (INNER, WIDTH),
            f"{block}.ffn_down.weight": (WIDTH, INNER),
        }
        if architecture == "qwen3":
            shapes |= {f"{block}.attn_q_norm.weight": (head,), f"{block}.attn_k_norm.weight": (head,)}
        if architecture == "qwen2":
            shapes |= {f"{block}.attn_q.bias": (wide,), f"{block}.attn_k.bias": (narrow,)}
            shapes[f"{block}.attn_v.bias"] = (narrow,)
    if not tied:
        shapes["output.weight"] = (len(TOKENS), WIDTH)
    return shapes
