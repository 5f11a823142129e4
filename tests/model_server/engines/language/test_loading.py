"""The size of the cache on a graphics card."""

from pathlib import Path

import pytest
import torch

from model_server.engines.contract import EngineSpec, Misconfigured
from model_server.engines.language.loading import CUDA_MIN_CONTEXT_TOKENS, CUDA_SLOTS, fit_cache, measure_free

GIGABYTE = 10**9


def left_of_card(monkeypatch: pytest.MonkeyPatch, share: float, *, free: int, weights: int) -> int:
    """Return the gigabytes that an engine may still take of a card with 80 GB."""
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (free * GIGABYTE, 80 * GIGABYTE))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda device: weights * GIGABYTE)
    spec = EngineSpec(name="tiny", engine="language", folder=Path(), gpu_share=share)
    return measure_free(spec, torch.device("cuda")) // GIGABYTE


@pytest.mark.parametrize(
    ("share", "free", "left"),
    # The last engine shares the card with one that takes more than its part.
    [(1.0, 70, 70), (0.5, 70, 35), (0.25, 70, 15), (0.5, 20, 20)],
)
def test_an_engine_takes_no_more_of_a_card_than_its_share(
    share: float, free: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert left_of_card(monkeypatch, share, free=free, weights=5) == left


def test_weights_that_fill_the_share_of_a_card_are_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured, match="The weights of tiny fill its share"):
        left_of_card(monkeypatch, 0.05, free=70, weights=5)


@pytest.mark.parametrize("slots", [None, 1, 8, 64])
@pytest.mark.parametrize("free", [GIGABYTE, 5 * GIGABYTE, 70 * GIGABYTE])
@pytest.mark.parametrize("context", [2048, 32768])
def test_the_cache_never_takes_more_than_is_free(free: int, slots: int | None, context: int) -> None:
    per_token = 131_072
    found, length = fit_cache(free, per_token, slots, context)
    assert found * length * per_token < free
    assert length <= context
    assert found == slots or (slots is None and 1 <= found <= CUDA_SLOTS)


def test_there_are_fewer_slots_rather_than_short_ones() -> None:
    slots, length = fit_cache(5 * GIGABYTE, 131_072, None, 32768)
    assert slots < CUDA_SLOTS
    assert length >= CUDA_MIN_CONTEXT_TOKENS
    assert fit_cache(70 * GIGABYTE, 131_072, None, 4096) == (CUDA_SLOTS, 4096)
