"""The dial against a float64 softmax at every temperature."""

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from model_server.engines.dial import TEMPERATURES, TOKENS, dial
from model_server.engines.text import Vocabulary


@pytest.fixture
def logits(byte_level: PreTrainedTokenizerFast) -> torch.Tensor:
    row = torch.randn(len(byte_level) + 8, generator=torch.Generator().manual_seed(3)) * 5 + 20
    row[-8:] = float("-inf")
    return row


def test_forty_temperatures_from_a_twentieth_to_two() -> None:
    assert list(TEMPERATURES) == pytest.approx([0.05 * step for step in range(1, 41)])


def test_sums_and_entropies_are_those_of_float64(logits: torch.Tensor, byte_level: PreTrainedTokenizerFast) -> None:
    found = dial("a", logits, Vocabulary(byte_level))
    wide = logits[:-8].double()
    for temperature, log_sum, entropy in zip(found.temperatures, found.log_sum_exp, found.entropy, strict=True):
        logs = torch.log_softmax(wide / temperature, 0)
        assert log_sum == pytest.approx(float(torch.logsumexp(wide / temperature, 0)), rel=1e-12)
        assert entropy == pytest.approx(float(-(logs.exp() * logs).sum()), abs=1e-12)


def test_any_temperatures_distribution_follows_from_it(
    logits: torch.Tensor, byte_level: PreTrainedTokenizerFast
) -> None:
    found = dial("a", logits, Vocabulary(byte_level))
    at = found.temperatures.index(0.7)
    shown = [float(torch.tensor(one.logit / 0.7 - found.log_sum_exp[at]).exp()) for one in found.tokens]
    exact = torch.softmax(logits.double() / 0.7, 0).topk(TOKENS)
    assert shown == pytest.approx(exact.values.tolist(), rel=1e-5)
    assert [one.id for one in found.tokens] == exact.indices.tolist()
    assert found.tokens[0].bytes == Vocabulary(byte_level).bytes(found.tokens[0].id)


def test_impossible_tokens_are_not_shown(byte_level: PreTrainedTokenizerFast) -> None:
    row = torch.full((len(byte_level),), float("-inf"))
    row[[5, 9]] = torch.tensor([1.0, 2.0])
    found = dial("a", row, Vocabulary(byte_level))
    assert [one.id for one in found.tokens] == [9, 5]
    assert all(entropy >= 0 for entropy in found.entropy)
