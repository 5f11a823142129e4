"""Reads the configuration of a language model, with what only its GGUF says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import AutoConfig

from model_server.assembly import TENSORS_FILE
from model_server.engines.contract import Misconfigured
from model_server.engines.language.runners.architecture import head_width
from model_server.engines.language.runners.native import RunnerUnavailable
from model_server.engines.language.runners.native.files import GgufFile

if TYPE_CHECKING:
    from pathlib import Path

FACTORS = "rope_freqs.weight"
"""The tensor of a GGUF by whose numbers the frequencies of the rotary embedding are divided, as for Llama 3."""


def read_config(folder: Path) -> Any:
    """Return transformers' configuration of the model in `folder`, with the rotary embedding that its GGUF has.

    transformers does not read the factors of a GGUF. Raises Misconfigured if they do not fit the model.
    """
    config: Any = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    if not (folder / TENSORS_FILE).exists() or FACTORS not in (file := GgufFile(folder)):
        return config
    try:
        factors = file.read(FACTORS, head_width(config) // 2).read_floats().tolist()
    except RunnerUnavailable as why:
        raise Misconfigured(f"The rotary embedding of this model cannot be computed: {why}.") from why
    # Under this name transformers takes any factors: one list for short texts and one for long ones.
    config.rope_parameters = {
        "rope_type": "longrope",
        "rope_theta": config.rope_parameters["rope_theta"],
        "short_factor": factors,
        "long_factor": factors,
        "factor": 1.0,
        "attention_factor": 1.0,
        "original_max_position_embeddings": config.max_position_embeddings,
    }
    return config
