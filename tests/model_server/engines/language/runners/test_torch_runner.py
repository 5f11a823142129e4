"""TorchRunner: transformers' numbers, and the same to the last bit whatever else is computed."""

from collections.abc import Callable
from random import Random

import pytest
import torch
from transformers import (
    GemmaConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from model_server.engines.language.runners.runner import Chunk
from model_server.engines.language.runners.torch_runner import TorchRunner, token_bytes, unsupported

CONTEXT = 300
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
SHAPE = {
    "vocab_size": 90,
    "hidden_size": 48,
    "intermediate_size": 100,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.3,
}
FAMILY: dict[str, Callable[[], PreTrainedModel]] = {
    "llama, another scale of rotation": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, rope_parameters=LLAMA3)),
    "mistral, whole window": lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=None)),
    "qwen2, biases, tied": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=True)),
    "qwen3, normed heads": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE)),
}
READ = 140
"""Tokens that are read one by one; more than the original context of LLAMA3."""
TOKENS = tuple(Random(3).choices(range(90), k=CONTEXT))


def model(name: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    torch.manual_seed(1)
    built = FAMILY[name]()
    with torch.no_grad():
        for parameter in built.parameters():
            # Biases and norms too, which are all 0 and 1 in a new model.
            parameter += torch.randn_like(parameter) * 0.05
    return built.to(dtype).eval()


def read(runner: TorchRunner, slot: int, sizes: list[int], dice: Random | None = None) -> dict[int, torch.Tensor]:
    """Logits after each piece of TOKENS; with `dice`, among other sequences in other slots."""
    found, start = {}, 0
    for size in sizes:
        chunks = [Chunk(slot, start, TOKENS[start : start + size])]
        if dice:
            others = dice.sample([place for place in range(runner.slots) if place != slot], 3)
            chunks += [Chunk(other, 0, tuple(dice.choices(range(90), k=dice.choice([1, 7, 60])))) for other in others]
            dice.shuffle(chunks)
        mine = [chunk.slot for chunk in chunks].index(slot)
        start += size
        found[start] = runner.forward(chunks)[mine]
    return found


@pytest.mark.parametrize("name", FAMILY)
def test_logits_are_transformers_own(name: str) -> None:
    with torch.inference_mode():
        expected = model(name)(input_ids=torch.tensor([TOKENS])).logits[0]
    runner = TorchRunner(model(name), slots=2, context=CONTEXT)
    for end, row in read(runner, 1, [1, 15, 16, 1, 100, 1, 1, 50, 115]).items():
        assert torch.allclose(row, expected[end - 1], atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", FAMILY)
def test_neighbours_pieces_and_places_change_no_bit(name: str, dtype: torch.dtype) -> None:
    runner = TorchRunner(model(name, dtype), slots=6, context=CONTEXT)
    alone = read(runner, 0, [1] * READ)
    dice = Random(7)
    for slot in (3, 5):
        sizes: list[int] = []
        while sum(sizes) < READ:
            sizes.append(min(dice.choice([1, 2, 16, 17, 90]), READ - sum(sizes)))
        found = read(runner, slot, sizes, dice)
        assert all(torch.equal(row, alone[end]) for end, row in found.items())


def test_a_copied_beginning_is_as_good_as_a_read_one() -> None:
    runner = TorchRunner(model("qwen3, normed heads"), slots=3, context=CONTEXT)
    whole = read(runner, 0, [100, 50])
    runner.forward([Chunk(2, 0, TOKENS[100:])])
    runner.copy(0, 2, 100)
    assert torch.equal(runner.forward([Chunk(2, 100, TOKENS[100:150])])[0], whole[150])


def test_a_slot_can_be_cut_back_by_reading_on_from_earlier() -> None:
    runner = TorchRunner(model("qwen3, normed heads"), slots=2, context=CONTEXT)
    fresh = runner.forward([Chunk(0, 0, (*TOKENS[:40], 5, 6))])[0]
    read(runner, 1, [200])
    assert torch.equal(runner.forward([Chunk(1, 40, (5, 6))])[0], fresh)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (LlamaConfig(), None),
        (Qwen2Config(), None),
        (Qwen2Config(use_sliding_window=True, sliding_window=64, max_window_layers=1), "sliding window"),
        (MistralConfig(), "sliding window"),
        (GemmaConfig(), "gemma"),
        (LlamaConfig(hidden_act="gelu"), "gelu"),
        (LlamaConfig(quantization_config={"quant_method": "fp8"}), "quantised"),
        (LlamaConfig(rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}), "dynamic"),
    ],
)
def test_what_it_cannot_run_it_says(config: object, reason: str | None) -> None:
    why = unsupported(config)
    assert why is None if reason is None else why is not None and reason in why


def test_a_tokens_share_of_the_cache() -> None:
    # Keys and values, two layers, two heads of twelve numbers, two bytes each.
    assert token_bytes(LlamaConfig(**SHAPE), torch.bfloat16) == 2 * 2 * 2 * 12 * 2
