"""Sampling is exact: distributions, cuts and seeds."""

import pytest
import torch

from model_server.engines.common.seeding import make_generator
from model_server.engines.language.sampling import BINS, distribution, log_probabilities
from model_server.jobs import Sampling

LOGITS = torch.tensor([2.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0, 3.0, 2.5, 0.2])
DRAWS = 6000
CHI_SQUARED_9 = 27.88
"""With 9 degrees of freedom, a larger value occurs by chance once in 1000 times."""


def sampling(**fields: float) -> Sampling:
    return Sampling(seed=1, **fields)  # type: ignore[arg-type]


def draw(logits: torch.Tensor, settings: Sampling, generator: torch.Generator) -> int:
    return distribution(logits.clone(), settings).draw(generator)


def probabilities(logits: torch.Tensor, settings: Sampling) -> torch.Tensor:
    """Return the probabilities of all tokens, which are 0 for those that are cut."""
    kept = distribution(logits.clone(), settings)
    weights = kept.weights.double()
    ids = torch.arange(len(logits)) if kept.ids is None else kept.ids
    return torch.zeros(len(logits), dtype=torch.float64).index_put((ids,), weights / weights.sum())


def kept_ids(logits: torch.Tensor, settings: Sampling) -> list[int]:
    return torch.nonzero(probabilities(logits, settings)).flatten().tolist()


def chi_squared(counts: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_those_of_softmax(temperature: float) -> None:
    generator = make_generator(42)
    drawn = [draw(LOGITS, sampling(temperature=temperature), generator) for _ in range(DRAWS)]
    counts = torch.bincount(torch.tensor(drawn), minlength=10).double()
    assert chi_squared(counts, DRAWS * torch.softmax(LOGITS.double() / temperature, 0)) < CHI_SQUARED_9
    # The test distinguishes temperatures.
    assert chi_squared(counts, DRAWS * torch.softmax(LOGITS.double() / (temperature * 1.2), 0)) > CHI_SQUARED_9


def test_temperature_zero_takes_the_first_of_the_largest_logits() -> None:
    logits = torch.tensor([0.0, 4.0, 4.0, 1.0])
    generator = make_generator(1)
    before = generator.get_state()
    assert draw(logits, sampling(temperature=0), generator) == 1
    assert torch.equal(generator.get_state(), before)
    assert probabilities(logits, sampling(temperature=0)).tolist() == [0, 1, 0, 0]


def test_the_smallest_temperature_is_still_a_distribution() -> None:
    assert probabilities(LOGITS, sampling(temperature=5e-324))[7] == 1


def brute_force_nucleus(full: list[float], top_p: float) -> set[int]:
    kept: set[int] = set()
    mass = 0.0
    for token in sorted(range(len(full)), key=lambda token: (-full[token], token)):
        kept.add(token)
        mass += full[token]
        if mass >= top_p:
            break
    return kept


@pytest.mark.parametrize("size", [10, 2048])
@pytest.mark.parametrize("spread", [0.1, 3.0])
@pytest.mark.parametrize("top_p", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_nucleus_is_the_smallest_set_with_enough_mass(size: int, spread: float, top_p: float) -> None:
    logits = torch.randn(size, generator=make_generator(size)) * spread
    full = torch.softmax(logits.double(), 0)
    cut = probabilities(logits, sampling(top_p=top_p))
    kept = set(torch.nonzero(cut).flatten().tolist())
    assert kept == brute_force_nucleus(full.tolist(), top_p)
    assert torch.allclose(cut[sorted(kept)], full[sorted(kept)] / full[sorted(kept)].sum())


def test_nucleus_takes_lower_ids_of_equally_probable_tokens() -> None:
    cut = probabilities(torch.zeros(2048), sampling(top_p=0.25))
    assert torch.nonzero(cut).flatten().tolist() == list(range(512))


@pytest.mark.parametrize("spread", [0.0, 1e-4, 40.0])
def test_the_nucleus_is_exact_in_a_whole_vocabulary(spread: float) -> None:
    logits = torch.randn(30_000, generator=make_generator(9)) * spread
    # So far below the rest that all of these share the last bin.
    logits[BINS:] -= 500
    kept = kept_ids(logits, sampling(top_p=0.7))
    assert set(kept) == brute_force_nucleus(torch.softmax(logits.double(), 0).tolist(), 0.7)
    assert kept == sorted(kept)


@pytest.mark.parametrize("top_k", [1, 2, 5, 10, 99])
def test_top_k_keeps_the_k_most_probable(top_k: int) -> None:
    cut = probabilities(LOGITS, sampling(top_k=top_k, temperature=1.3))
    kept = set(torch.nonzero(cut).flatten().tolist())
    assert kept == set(LOGITS.topk(min(top_k, 10)).indices.tolist())
    full = torch.softmax(LOGITS.double() / 1.3, 0)
    assert torch.allclose(cut[sorted(kept)], full[sorted(kept)] / full[sorted(kept)].sum())


def test_top_k_takes_lower_ids_of_equals() -> None:
    assert kept_ids(torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0]), sampling(top_k=3)) == [0, 1, 4]


@pytest.mark.parametrize(("min_p", "kept"), [(0.0, 10), (1.0, 1), (0.3, 3)])
def test_min_p_is_relative_to_the_most_probable(min_p: float, kept: int) -> None:
    # The third token is exp(-1) = 0.37 times as probable as the first, the fourth exp(-1.5) = 0.22 times.
    assert len(kept_ids(LOGITS, sampling(min_p=min_p))) == kept


def test_cuts_are_applied_in_order() -> None:
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    # Of the two that top_k leaves, the first has 4/7 of the mass: enough for 0.5, not for 0.6.
    assert kept_ids(logits, sampling(top_k=2, top_p=0.5)) == [0]
    assert kept_ids(logits, sampling(top_k=2, top_p=0.6)) == [0, 1]
    assert kept_ids(logits, sampling(top_k=2, top_p=0.6, min_p=0.8)) == [0]


def test_frequencies_after_cuts_are_those_of_the_remaining_tokens() -> None:
    settings = sampling(temperature=1.5, top_k=6, top_p=0.9)
    generator = make_generator(11)
    expected = probabilities(LOGITS, settings)
    counts = torch.bincount(
        torch.tensor([draw(LOGITS, settings, generator) for _ in range(DRAWS)]), minlength=10
    ).double()
    kept = expected > 0
    assert not counts[~kept].any()
    assert chi_squared(counts[kept], DRAWS * expected[kept]) < CHI_SQUARED_9


def test_log_probabilities_after_sampling_leave_out_cut_tokens() -> None:
    kept = distribution(LOGITS.clone(), sampling(temperature=0.5, top_k=3))
    own, best = kept.log_probabilities(8, 5)
    expected = torch.log_softmax(LOGITS[[7, 8, 0]].double() / 0.5, 0)
    assert [token for token, _ in best] == [7, 8, 0]
    assert [value for _, value in best] == pytest.approx(expected.tolist())
    assert own == pytest.approx(float(expected[1]))


def test_impossible_tokens_have_no_log_probability() -> None:
    logits = torch.tensor([0.0, float("-inf"), 1.0])
    assert [token for token, _ in distribution(logits.clone(), sampling()).log_probabilities(0, 3)[1]] == [2, 0]
    assert distribution(logits, sampling(temperature=0)).log_probabilities(2, 3) == (0.0, [(2, 0.0)])


def test_impossible_tokens_are_never_drawn() -> None:
    logits = torch.tensor([float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")])
    generator = make_generator(4)
    assert {draw(logits, sampling(), generator) for _ in range(200)} == {1, 3}


def test_all_64_bits_of_a_seed_matter() -> None:
    def stream(seed: int) -> list[int]:
        generator = make_generator(seed)
        return [draw(LOGITS, sampling(), generator) for _ in range(40)]

    assert stream(7) == stream(7)
    assert len({tuple(stream(seed)) for seed in (7, 8, 7 + 2**32, 7 + 2**40, -1)}) == 5


@pytest.mark.parametrize("border", [0, 2**32, -(2**32), 2**63])
def test_neighbouring_seeds_give_different_generators(border: int) -> None:
    begun = [make_generator(border + step).initial_seed() for step in range(-100, 100)]
    assert len(set(begun)) == len(begun)


def test_small_seeds_are_passed_to_torch_unchanged() -> None:
    assert [make_generator(seed).initial_seed() for seed in (0, 7, 2**32 - 1)] == [0, 7, 2**32 - 1]


def test_log_probabilities_are_the_models_own() -> None:
    own, best = log_probabilities(LOGITS, 4, 3)
    expected = torch.log_softmax(LOGITS, 0)
    assert own == pytest.approx(float(expected[4]))
    assert [token for token, _ in best] == [7, 8, 0]
    assert [value for _, value in best] == pytest.approx(expected[[7, 8, 0]].tolist())
    assert log_probabilities(LOGITS, 4, 0)[1] == []
    assert len(log_probabilities(LOGITS, 4, 99)[1]) == 10
