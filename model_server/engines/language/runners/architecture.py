"""The architectures that the faster runners compute: Llama's and those that differ from it in details."""

from __future__ import annotations

from typing import Any

FAMILY = ("llama", "mistral", "qwen2", "qwen3")


def unsupported_reason(config: Any) -> str | None:
    """Return why no runner of many rows can run a model of transformers' `config`; None if one can."""
    if config.model_type not in FAMILY:
        return f"its architecture, {config.model_type}, is not one of {', '.join(FAMILY)}"
    layers = set(getattr(config, "layer_types", None) or ("full_attention",))
    if getattr(config, "sliding_window", None) or layers != {"full_attention"}:
        return "it has a sliding window"
    rope = config.rope_parameters
    if rope["rope_type"] == "dynamic" or rope.get("short_factor") != rope.get("long_factor"):
        return f"its rotary embedding, {rope['rope_type']}, changes with the length of the text"
    if config.hidden_act != "silu":
        return f"its activation is {config.hidden_act}"
    if getattr(config, "quantization_config", None):
        return "its files are quantised already"
    return None


def head_width(config: Any) -> int:
    """Return the width of one attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
