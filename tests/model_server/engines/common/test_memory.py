"""Memory that runs out is told from other faults."""

from collections.abc import Callable

import pytest
import torch
from fakes.engines.pipeline_calls import OUT_OF_MEMORY_MESSAGE

from model_server.engines.common.memory import run_within_memory


def failing(error: Exception) -> Callable[[], str]:
    def fail() -> str:
        raise error

    return fail


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError(), RuntimeError(OUT_OF_MEMORY_MESSAGE)])
def test_without_memory_there_is_no_result(error: Exception) -> None:
    assert run_within_memory(failing(error)) is None
    assert run_within_memory(lambda: "done") == "done"


def test_a_fault_of_another_kind_is_raised() -> None:
    with pytest.raises(RuntimeError, match="illegal memory access"):
        run_within_memory(failing(RuntimeError("CUDA error: an illegal memory access was encountered")))
