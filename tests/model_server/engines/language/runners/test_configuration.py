"""The rotary embedding of a GGUF, in every runner, against transformers' own scaling of Llama 3; which models run."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.engines.gguf_files import HEADS, TOKENS, WIDTH, write_gguf
from fakes.engines.language import LLAMA3_ROPE, divergence
from transformers import (
    GemmaConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from model_server.engines.contract import EngineSpec, Misconfigured
from model_server.engines.language.convert import convert
from model_server.engines.language.loading import load_model, unpack_gguf
from model_server.engines.language.runners import architecture, packed
from model_server.engines.language.runners.configuration import read_config
from model_server.engines.language.runners.packed import PackedRunner, RunnerUnavailable
from model_server.engines.language.runners.runner import Chunk
from model_server.engines.language.runners.solo_runner import SoloRunner

CONTEXT = 128
ROPE = LLAMA3_ROPE | {"rope_theta": 500000.0, "factor": 8.0}
TEXT = tuple(torch.randint(len(TOKENS), (CONTEXT,), generator=torch.Generator().manual_seed(5)).tolist())


def llama3_factors() -> list[float]:
    """Return by how much transformers lowers each frequency, which is what llama.cpp writes into a GGUF."""
    sizes = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "max_position_embeddings": CONTEXT}
    frequencies, _ = ROPE_INIT_FUNCTIONS["llama3"](LlamaConfig(**sizes, rope_parameters=ROPE), torch.device("cpu"))
    width = WIDTH // HEADS
    return (1 / 500000.0 ** (torch.arange(0, width, 2) / width) / frequencies).tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted Llama 3."""
    folder = tmp_path_factory.mktemp("llama3")
    write_gguf(folder / "tiny.gguf", architecture="llama", context=CONTEXT, rope_factors=llama3_factors())
    convert(folder / "tiny.gguf", folder / "converted")
    return folder / "converted"


@pytest.fixture(scope="module")
def expected(folder: Path) -> torch.Tensor:
    """The logits after each token of TEXT, by transformers with the scaling that it has for Llama 3."""
    plain = unpack_gguf(folder / "model.gguf", torch.float32)
    config = copy.deepcopy(plain.config)
    config.rope_parameters = dict(ROPE)
    model: Any = LlamaForCausalLM(config).eval()
    model.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        logits, unscaled = (one(torch.tensor([TEXT])).logits[0] for one in (model, plain.eval()))
    assert divergence(logits, unscaled)[-1] > 0.01
    found: torch.Tensor = logits
    return found


def test_the_packed_runner_scales_as_transformers_does(folder: Path, expected: torch.Tensor) -> None:
    try:
        runner = PackedRunner(folder, 1, CONTEXT, 1)
    except RunnerUnavailable as why:
        pytest.skip(f"{why}")
    found = runner.forward([Chunk(0, 0, TEXT, CONTEXT)])
    assert divergence(expected, found).mean() < 0.002


def test_the_torch_runner_scales_as_transformers_does(folder: Path, expected: torch.Tensor) -> None:
    options = {"slots": 1, "context": CONTEXT}
    spec = EngineSpec(name="tiny", engine="language", folder=folder, device="cpu", dtype="float32", options=options)
    runner = load_model(spec).runner
    assert runner.description.startswith("torch")
    assert torch.allclose(runner.forward([Chunk(0, 0, TEXT, CONTEXT)]), expected, atol=1e-3)


def test_the_solo_runner_scales_as_transformers_does(folder: Path, expected: torch.Tensor) -> None:
    model = unpack_gguf(folder / "model.gguf", torch.float32, read_config(folder))
    found = SoloRunner(model.eval(), context=CONTEXT).forward([Chunk(0, 0, TEXT)])
    assert torch.allclose(found[0], expected[-1], atol=1e-3)


def test_factors_of_another_width_are_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf", architecture="llama", rope_factors=[1.0, 2.0])
    with pytest.raises(Misconfigured, match=r"rotary embedding .* rope_freqs.weight is \(2,\)"):
        convert(tmp_path / "tiny.gguf", tmp_path / "converted")


LONG_FACTORS = {"short_factor": [1.0] * 64, "long_factor": [4.0] * 64, "original_max_position_embeddings": 64}
LONG_ROPE = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0} | LONG_FACTORS


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (LlamaConfig(), None),
        (Qwen2Config(), None),
        (Qwen2Config(use_sliding_window=True, sliding_window=64, max_window_layers=1), "sliding window"),
        (MistralConfig(), "sliding window"),
        (GemmaConfig(), "gemma"),
        (PreTrainedConfig(), "architecture"),
        (LlamaConfig(hidden_act="gelu"), "gelu"),
        (LlamaConfig(quantization_config={"quant_method": "fp8"}), "quantised"),
        (LlamaConfig(rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}), "dynamic"),
        (LlamaConfig(rope_parameters=LONG_ROPE), "longrope"),
    ],
)
def test_configurations_that_the_fast_runners_do_not_support_have_a_reason(config: object, reason: str | None) -> None:
    for why in (architecture.unsupported_reason(config), packed.reason_against_packing(config)):
        assert why is None if reason is None else why is not None and reason in why


@pytest.mark.parametrize("bias", ["attention_bias", "mlp_bias"])
def test_biases_outside_of_queries_keys_and_values_need_torch(bias: str) -> None:
    config = LlamaConfig(**{bias: True})
    assert architecture.unsupported_reason(config) is None
    assert "biases" in (packed.reason_against_packing(config) or "")
