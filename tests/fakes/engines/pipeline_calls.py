"""Records the calls of an engine's pipeline, and limits the memory for them."""

from collections.abc import Callable
from typing import Any

import pytest

from model_server.engines.diffusion.pipeline import StepState
from model_server.engines.diffusion.pipeline_engine import PipelineEngine
from model_server.jobs import Imagine

OUT_OF_MEMORY_MESSAGE = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."
"""The message of torch when memory runs out on a CPU."""


class CallRecorder:
    """Records the number of pictures of each call of an engine's pipeline, and counts the steps of all calls."""

    def __init__(self, engine: PipelineEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.steps = 0
        self.max_pictures = self.max_pictures_at_end = 100
        """The most pictures for which there is memory, before the first step and after the last one."""
        call = engine._pipeline.call

        def counted(tasks: list[Imagine], starts: list[Any], on_step: Callable[[StepState], None]) -> Any:
            self.sizes.append(len(tasks))

            def counting(state: StepState) -> None:
                self.steps += 1
                on_step(state)

            if len(tasks) > self.max_pictures:
                raise RuntimeError(OUT_OF_MEMORY_MESSAGE)
            drawn = call(tasks, starts, counting)
            if len(tasks) > self.max_pictures_at_end:
                raise RuntimeError(OUT_OF_MEMORY_MESSAGE)
            return drawn

        monkeypatch.setattr(engine._pipeline, "call", counted)
