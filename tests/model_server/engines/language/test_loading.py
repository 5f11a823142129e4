"""The size of the cache on a graphics card."""

import pytest

from model_server.engines.language.loading import CUDA_MIN_CONTEXT_TOKENS, CUDA_SLOTS, fit_cache

GIGABYTE = 10**9


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
