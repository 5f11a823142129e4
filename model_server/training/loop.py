"""A training run: seeded, saved every few minutes, and after a kill the same as if nothing had happened.

Everything random in a step follows from the run's seed and the step's number, so that a saved state needs no state of
random numbers, and a step that is done again comes out the same.
"""

from __future__ import annotations

import copy
import io
import json
import math
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch

from model_server.errors import OperatorError
from model_server.files.cache import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    Tell = Callable[[str], None]

TELL_SECONDS = 30.0
MEASURED_STEPS = 4


class Task(Protocol):
    """What is trained, and by what loss."""

    module: torch.nn.Module
    batch: int
    rate: float
    decay: float

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """The loss of one batch that is drawn with `random`."""
        ...

    def show(self, averaged: torch.nn.Module, step: int) -> None:
        """Write pictures that people can look at."""
        ...


SomeTask = TypeVar("SomeTask", bound=Task)


@dataclass(frozen=True)
class Plan:
    """How many steps in all, from which seed, and where the state is kept."""

    steps: int
    seed: int
    folder: Path
    name: str
    show_steps: int = 1000
    save_seconds: float = 300.0


class TrainingRun(Generic[SomeTask]):
    """One network at work: `module` learns, `averaged` is the moving average of its weights that is exported."""

    def __init__(self, task: SomeTask, plan: Plan) -> None:
        self.task = task
        self.plan = plan
        self.step = 0
        self.averaged = copy.deepcopy(task.module).requires_grad_(requires_grad=False)
        self._optimizer = torch.optim.AdamW(
            task.module.parameters(), lr=task.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )

    @property
    def _state(self) -> Path:
        return self.plan.folder / f"{self.plan.name}.pt"

    def resume(self) -> bool:
        """Take up the state that was saved, if there is one. Raises OperatorError for another seed or network."""
        if not self._state.is_file():
            return False
        state = torch.load(self._state, map_location="cpu", weights_only=True)
        _check_seed(state, self.plan.seed, self._state)
        try:
            self.task.module.load_state_dict(state["module"])
            self.averaged.load_state_dict(state["averaged"])
            self._optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise OperatorError(
                f"The saved training of {self.plan.name} is of another shape than this version's. "
                f"Move {shorten(self.plan.folder)} away to start afresh, or use the version that made it."
            ) from error
        self.step = state["step"]
        return True

    def save(self) -> None:
        """Save all that the next step depends on; a kill meanwhile leaves the state before."""
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "seed": self.plan.seed,
            "step": self.step,
            "module": self.task.module.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        save(state, self._state)

    def train(self, tell: Tell, until: int | None = None) -> None:
        """Go on to the plan's last step, or to `until`, and save.

        Raises KeyboardInterrupt where Ctrl-C or SIGTERM ended it before; all is saved then, too.
        """
        end = self.plan.steps if until is None else min(until, self.plan.steps)
        meter = _ProgressLog(self, tell)
        saved = time.monotonic()
        with _asked_to_stop() as asked:
            while self.step < end and not asked.is_set():
                meter.add(self._learn())
                if self.step % self.plan.show_steps == 0:
                    self.task.show(self.averaged, self.step)
                if time.monotonic() - saved >= self.plan.save_seconds:
                    self.save()
                    saved = time.monotonic()
            meter.close()
            self.save()
        if asked.is_set():
            raise KeyboardInterrupt

    def _learn(self) -> float:
        random = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = self.task.rate * schedule(self.step, self.plan.steps)
        loss = self.task.loss(random)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.task.module.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1
        self._average()
        return float(loss.detach())

    @torch.no_grad()
    def _average(self) -> None:
        # Early on the average follows closely, or it would remember the first, random weights for long.
        keep = min(self.task.decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.task.module.parameters()), 1 - keep)


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Set by Ctrl-C or SIGTERM, of which the first waits for the step under way, and the second for nothing."""
    asked = threading.Event()

    def ask(number: int, _: FrameType | None) -> None:
        asked.set()
        signal.signal(number, before[number])

    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def schedule(step: int, steps: int) -> float:
    """What the learning rate is multiplied by: rises over 300 steps, and falls along a cosine in the last third."""
    warm = min(1.0, (step + 1) / 300)
    rest = max(0.0, (step / max(steps, 1) - 2 / 3) * 3)
    return warm * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * min(rest, 1.0))))


def check_seed(state: Path, seed: int) -> None:
    """Raise OperatorError where the run whose state is saved there has another seed."""
    if state.is_file():
        _check_seed(torch.load(state, map_location="cpu", mmap=True, weights_only=True), seed, state)


def _check_seed(state: dict[str, Any], seed: int, path: Path) -> None:
    before = state.get("seed", seed)
    if before != seed:
        raise OperatorError(
            f"The saved training of {path.stem} has the seed {before}, and {seed} was asked for. Go on with --seed "
            f"{before}, or move {shorten(path.parent)} away to start afresh."
        )


def save(content: Any, path: Path) -> None:
    """Write what torch can load again. Raises OperatorError where the disk does not take it."""
    # Writing itself, torch would tell a full disk by a RuntimeError about positions.
    stream = io.BytesIO()
    torch.save(content, stream)
    write_atomically(path, lambda fresh: fresh.write_bytes(stream.getbuffer()))


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file beside `path`, and give it that name once it is on the disk.

    Raises OperatorError where the disk does not take it; what was there before stays.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        write(fresh)
        with fresh.open("rb") as stream:
            os.fsync(stream.fileno())
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise OperatorError(
            f"{path.name} could not be written under {shorten(path.parent)}: {error.strerror or type(error).__name__}. "
            "Make room there, or set TEMPERA_CACHE to a folder on another disk. "
            "The same command goes on from what was saved last."
        ) from error


class _ProgressLog(Generic[SomeTask]):
    """Measures a picture, tells the plan once it knows, then how far the run is; and keeps a log of the loss."""

    def __init__(self, run: TrainingRun[SomeTask], tell: Tell) -> None:
        self._run = run
        self._tell = tell
        self._losses: list[float] = []
        self._since = time.monotonic()
        self._warm = self._planned = False

    def add(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise OperatorError(
                f"The training of {self._run.plan.name} broke down: its loss is {loss} at {self._run.step}."
            )
        if not self._warm:
            # The first step also sets things up and would spoil the measurement.
            self._warm, self._since = True, time.monotonic()
            return
        self._losses.append(loss)
        if not self._planned and len(self._losses) == MEASURED_STEPS:
            self._planned = True
            self._tell_plan()
        elif time.monotonic() - self._since >= TELL_SECONDS:
            self.close()

    def _tell_plan(self) -> None:
        plan = self._run.plan
        left = plan.steps - self._run.step
        each = self._seconds()
        self._tell(
            f"{plan.name}: {1000 * each:.1f} ms a picture; {left * self._run.task.batch:,} pictures in {left:,} steps "
            f"to go, about {clock(left * self._run.task.batch * each)}"
        )

    def close(self) -> None:
        """Tell what happened since the last time."""
        if not self._losses:
            return
        run = self._run
        mean = sum(self._losses) / len(self._losses)
        each = self._seconds()
        left = (run.plan.steps - run.step) * run.task.batch * each
        self._tell(
            f"{run.plan.name}: {run.step:,} of {run.plan.steps:,} steps, loss {mean:.4f}, "
            f"{1000 * each:.1f} ms a picture, {clock(left)} to go"
        )
        run.plan.folder.mkdir(parents=True, exist_ok=True)
        with (run.plan.folder / f"{run.plan.name}.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": run.step, "loss": round(mean, 5), "ms": round(1000 * each, 2)}) + "\n")
        self._losses, self._since = [], time.monotonic()

    def _seconds(self) -> float:
        return (time.monotonic() - self._since) / (len(self._losses) * self._run.task.batch)


def clock(seconds: float) -> str:
    """A time for people: 3 h 20 min."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
