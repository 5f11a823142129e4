"""The seam between transport and models: an engine knows jobs and steps, and nothing of HTTP or queues."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from model_server.jobs import Event, Job


class Misconfigured(ValueError):
    """A model cannot be loaded as the catalogue has it. `str()` of it is a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """What an engine is built from: an entry of the catalogue with its files in place under `folder`."""

    name: str
    engine: str
    folder: Path
    device: str = "auto"
    dtype: str = "auto"
    options: Mapping[str, int | float | str | bool] = field(default_factory=dict)


class Engine(Protocol):
    """A model that works in steps, so that jobs join and leave in between.

    Every job that was added ends with exactly one `Finished` or `Failed`, unless it is removed first.
    """

    capacity: int
    """How many jobs may be added at once; the others wait in the gateway's queue."""

    def load(self) -> None:
        """Read the weights and warm up. Blocks; called once, before anything else."""

    def add(self, job: Job) -> None:
        """Take a job in. It is looked at in the next step; what is wrong with it comes back as `Failed`."""

    def step(self) -> Sequence[Event]:
        """One decoded token for every running sequence, or one denoising step for every running picture."""

    def remove(self, job_id: str) -> None:
        """Forget a job now. Unknown ids are ignored, since a job may end while its cancellation is on the way."""
