"""TorchRunner: the logits of transformers, which other sequences do not change by a bit."""

from collections.abc import Callable
from random import Random

import pytest
import torch
from fakes.engines.language import LLAMA3_ROPE
from transformers import (
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
from model_server.engines.language.runners.torch_runner import TorchRunner, cache_bytes_per_token

CONTEXT = 300
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
    "llama, another scale of rotation": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, rope_parameters=LLAMA3_ROPE)),
    "mistral, whole window": lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=None)),
    "qwen2, biases, tied": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=True)),
    "qwen3, normed heads": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE)),
}
COMPUTED_TOKENS = 140
"""Number of tokens that are computed one by one; more than the original context of LLAMA3_ROPE."""
TOKENS = tuple(Random(3).choices(range(90), k=CONTEXT))


def make_model(name: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    torch.manual_seed(1)
    built = FAMILY[name]()
    with torch.no_grad():
        for parameter in built.parameters():
            # Also biases and norms, which are all 0 and 1 in a new model.
            parameter += torch.randn_like(parameter) * 0.05
    return built.to(dtype).eval()


def compute(runner: TorchRunner, slot: int, sizes: list[int], rng: Random | None = None) -> dict[int, torch.Tensor]:
    """Compute TOKENS in chunks of these `sizes`; return the logits after each, by its end.

    With `rng`, random sequences in other slots are computed in the same calls.
    """
    found, start = {}, 0
    for size in sizes:
        chunks = [Chunk(slot, start, TOKENS[start : start + size])]
        if rng:
            others = rng.sample([place for place in range(runner.slots) if place != slot], 3)
            chunks += [Chunk(other, 0, tuple(rng.choices(range(90), k=rng.choice([1, 7, 60])))) for other in others]
            rng.shuffle(chunks)
        place = [chunk.slot for chunk in chunks].index(slot)
        start += size
        found[start] = runner.forward(chunks)[place]
    return found


@pytest.mark.parametrize("name", FAMILY)
def test_logits_are_those_of_transformers(name: str) -> None:
    with torch.inference_mode():
        expected = make_model(name)(input_ids=torch.tensor([TOKENS])).logits[0]
    runner = TorchRunner(make_model(name), slots=2, context=CONTEXT)
    for end, row in compute(runner, 1, [1, 15, 16, 1, 100, 1, 1, 50, 115]).items():
        assert torch.allclose(row, expected[end - 1], atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", FAMILY)
def test_other_rows_chunks_and_slots_change_no_bit(name: str, dtype: torch.dtype) -> None:
    runner = TorchRunner(make_model(name, dtype), slots=6, context=CONTEXT)
    alone = compute(runner, 0, [1] * COMPUTED_TOKENS)
    rng = Random(7)
    for slot in (3, 5):
        sizes: list[int] = []
        while sum(sizes) < COMPUTED_TOKENS:
            sizes.append(min(rng.choice([1, 2, 16, 17, 90]), COMPUTED_TOKENS - sum(sizes)))
        found = compute(runner, slot, sizes, rng)
        assert all(torch.equal(row, alone[end]) for end, row in found.items())


def test_logits_after_several_tokens_are_those_of_single_steps() -> None:
    runner = TorchRunner(make_model("qwen3, normed heads"), slots=3, context=CONTEXT)
    single = compute(runner, 0, [1] * 60)
    runner.forward([Chunk(1, 0, TOKENS[:14])])
    found = runner.forward([Chunk(2, 0, TOKENS[:60], 20), Chunk(0, 0, TOKENS[:5]), Chunk(1, 14, TOKENS[14:18], 4)])
    assert torch.equal(found, torch.stack([single[end] for end in [*range(41, 61), 5, *range(15, 19)]]))


def test_a_copied_prefix_equals_a_computed_one() -> None:
    runner = TorchRunner(make_model("qwen3, normed heads"), slots=3, context=CONTEXT)
    expected = compute(runner, 0, [100, 50])
    runner.forward([Chunk(2, 0, TOKENS[100:])])
    runner.copy(0, 2, 100)
    assert torch.equal(runner.forward([Chunk(2, 100, TOKENS[100:150])])[0], expected[150])


def test_an_earlier_start_cuts_a_slot_back() -> None:
    runner = TorchRunner(make_model("qwen3, normed heads"), slots=2, context=CONTEXT)
    fresh = runner.forward([Chunk(0, 0, (*TOKENS[:40], 5, 6))])[0]
    compute(runner, 1, [200])
    assert torch.equal(runner.forward([Chunk(1, 40, (5, 6))])[0], fresh)


def test_the_bytes_of_a_token_in_the_cache_follow_from_the_configuration() -> None:
    # Keys and values, two layers, two heads of twelve numbers, two bytes each.
    assert cache_bytes_per_token(LlamaConfig(**SHAPE), torch.bfloat16) == 2 * 2 * 2 * 12 * 2
