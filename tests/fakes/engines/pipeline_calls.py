"""What an engine asks of its pipeline: how often, for how many pictures, and with how much memory for it."""

from collections.abc import Callable
from typing import Any

import pytest

from model_server.engines.diffusion.pipeline import StepState
from model_server.engines.diffusion.pipeline_engine import PipelineEngine
from model_server.jobs import Imagine

NO_MEMORY = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."
"""As torch says it for a processor."""


class Calls:
    """Counts the pictures of each call of an engine's pipeline, and the steps of all of them."""

    def __init__(self, engine: PipelineEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.steps = 0
        self.room = self.room_at_end = 100
        """For so many pictures is there memory, before the first step and behind the last one."""
        call = engine._pipeline.call

        def counted(tasks: list[Imagine], starts: list[Any], pause: Callable[[StepState], None]) -> Any:
            self.sizes.append(len(tasks))

            def counting(moment: StepState) -> None:
                self.steps += 1
                pause(moment)

            if len(tasks) > self.room:
                raise RuntimeError(NO_MEMORY)
            drawn = call(tasks, starts, counting)
            if len(tasks) > self.room_at_end:
                raise RuntimeError(NO_MEMORY)
            return drawn

        monkeypatch.setattr(engine._pipeline, "call", counted)
