"""The dial, compared with softmax in float64 at every temperature."""

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from model_server.engines.common.seeding import make_generator
from model_server.engines.language.detokenize import TokenBytes
from model_server.engines.language.dial import SHOWN_TOKENS, TEMPERATURES, make_dial
from model_server.engines.language.sampling import distribution
from model_server.jobs import Dial, Sampling


@pytest.fixture
def logits(byte_level: PreTrainedTokenizerFast) -> torch.Tensor:
    row = torch.randn(len(byte_level) + 8, generator=torch.Generator().manual_seed(3)) * 5 + 20
    row[-8:] = float("-inf")
    return row


def dial_of(
    logits: torch.Tensor, tokenizer: PreTrainedTokenizerFast, prompt: tuple[int, ...] = (), **sampling: float
) -> Dial:
    return make_dial("a", logits, TokenBytes(tokenizer), Sampling(**{"seed": 1} | sampling), prompt)


def test_forty_temperatures_from_a_twentieth_to_two() -> None:
    assert list(TEMPERATURES) == pytest.approx([0.05 * step for step in range(1, 41)])


def test_sums_and_entropies_are_those_of_float64(logits: torch.Tensor, byte_level: PreTrainedTokenizerFast) -> None:
    found = dial_of(logits, byte_level)
    wide = logits[:-8].double()
    for temperature, log_sum, entropy in zip(found.temperatures, found.log_sum_exp, found.entropy, strict=True):
        logs = torch.log_softmax(wide / temperature, 0)
        assert log_sum == pytest.approx(float(torch.logsumexp(wide / temperature, 0)), rel=1e-12)
        assert entropy == pytest.approx(float(-(logs.exp() * logs).sum()), abs=1e-12)


def test_the_distribution_at_any_temperature_follows_from_the_dial(
    logits: torch.Tensor, byte_level: PreTrainedTokenizerFast
) -> None:
    found = dial_of(logits, byte_level)
    at = found.temperatures.index(0.7)
    shown = [float(torch.tensor(one.logit / 0.7 - found.log_sum_exp[at]).exp()) for one in found.tokens]
    exact = torch.softmax(logits.double() / 0.7, 0).topk(SHOWN_TOKENS)
    assert shown == pytest.approx(exact.values.tolist(), rel=1e-5)
    assert [one.id for one in found.tokens] == exact.indices.tolist()
    assert found.tokens[0].bytes == TokenBytes(byte_level).bytes(found.tokens[0].id)


@pytest.mark.parametrize("top_p", [1.0, 0.6])
def test_probabilities_after_temperature_and_cuts_are_shown(
    logits: torch.Tensor, byte_level: PreTrainedTokenizerFast, top_p: float
) -> None:
    found = dial_of(logits, byte_level, temperature=2.0, top_p=top_p)
    exact = torch.softmax(logits.double() / 2, 0)
    cut = exact.clone()
    order = exact.argsort(descending=True)
    nucleus = int((exact[order].cumsum(0) < top_p).sum()) + 1
    cut[order[nucleus:]] = 0
    cut /= cut.sum()
    assert 1 < nucleus < SHOWN_TOKENS or top_p == 1.0
    assert [one.after for one in found.tokens] == pytest.approx([float(cut[one.id]) for one in found.tokens], rel=1e-4)
    assert sum(one.after for one in found.tokens) == pytest.approx(float(cut[order[:SHOWN_TOKENS]].sum()), rel=1e-4)


def test_the_drawn_token_is_the_first_of_an_answer_with_that_seed(
    logits: torch.Tensor, byte_level: PreTrainedTokenizerFast
) -> None:
    drawn = set()
    for seed in range(40):
        sampling = Sampling(seed=seed, temperature=3.0)
        token = dial_of(logits, byte_level, seed=seed, temperature=3.0).drawn
        assert token.id == distribution(logits.clone(), sampling).draw(make_generator(seed))
        assert token.logit == float(logits[token.id])
        drawn.add(token.id)
    assert len(drawn) > 3


def test_impossible_tokens_are_not_shown_and_special_ones_are_marked(byte_level: PreTrainedTokenizerFast) -> None:
    special = min(TokenBytes(byte_level).special)
    row = torch.full((len(byte_level),), float("-inf"))
    row[[special, special + 5]] = torch.tensor([2.0, 1.0])
    found = dial_of(row, byte_level)
    assert [(one.id, one.special) for one in found.tokens] == [(special, True), (special + 5, False)]
    assert all(entropy >= 0 for entropy in found.entropy)


def test_the_prompt_comes_back_token_by_token(logits: torch.Tensor, byte_level: PreTrainedTokenizerFast) -> None:
    ids = (min(TokenBytes(byte_level).special), *byte_level("the cat").input_ids)
    mark, *words = dial_of(logits, byte_level, ids).prompt
    assert (mark.id, *(token.id for token in words)) == ids
    assert b"".join(token.bytes for token in words) == b"the cat"
    assert [token.special for token in (mark, *words)] == [True] + [False] * len(words)
