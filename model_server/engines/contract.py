"""The interface of engines: an engine knows jobs and steps, and nothing of HTTP or queues."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.jobs import Event, Job


class Misconfigured(ValueError):
    """A model cannot be loaded as the catalogue describes it. `str()` of it is a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """An entry of the catalogue whose files lie in `folder`: all that an engine is built from."""

    name: str
    engine: str
    folder: Path
    device: str = "auto"
    dtype: str = "auto"
    options: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    gpu_share: float = 1.0
    """The part of a graphics card's memory that it may take, since others use the rest."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a specification from a JSON object with these fields, as programs get it on their command line."""
        fields = json.loads(text)
        return cls(**fields | {"folder": Path(fields["folder"])})


class Engine(Protocol):
    """A model that works in steps; between two steps jobs join and leave.

    Every job that is added ends with exactly one `Finished` or `Failed`, unless it is removed first. An engine may have
    `defaults` once it is loaded: numbers by field of a request, for what a request leaves open; and a `context`, the
    tokens that it reads and writes together. Where it has a true `has_spare_work`, it is stepped without any job, too.
    """

    capacity: int
    """Number of jobs that may be active at once; the others wait in the gateway's queue."""

    def load(self) -> None:
        """Read the weights and warm up. Blocks; called once, before any other method."""

    def add(self, job: Job) -> None:
        """Accept a job without looking at it. The next step checks it, and reports a mistake in it as `Failed`."""

    def step(self) -> Sequence[Event]:
        """Advance the active jobs: by decoded tokens, one denoising step, one face, or one batch of texts."""

    def remove(self, job_id: str) -> None:
        """Drop a job at once. Unknown ids are ignored, since a job may end while its cancellation is on the way."""
