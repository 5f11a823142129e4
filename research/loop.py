"""The training loop: seeded, saved every few minutes, and resumed with the same result as without an interruption.

All random numbers of a step follow from the seed of the run and the number of the step. So a saved state does not need
the state of a random generator, and a repeated step gives the same result.
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
from research.console import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from research.console import Log

LOG_SECONDS = 30.0
MEASURED_STEPS = 4


class Task(Protocol):
    """A network to be trained, with its loss and hyperparameters.

    `batch` is the number of pictures per step, `rate` the learning rate, `decay` that of the moving average.
    """

    module: torch.nn.Module
    batch: int
    rate: float
    decay: float

    def loss(self, random: torch.Generator) -> torch.Tensor:
        """Return the loss of one batch, which is drawn with `random`."""
        ...

    def show(self, averaged: torch.nn.Module, step: int) -> None:
        """Save pictures by which people can judge the progress."""
        ...


TaskT = TypeVar("TaskT", bound=Task)


@dataclass(frozen=True)
class Plan:
    """The number of steps, the seed, and the folder and name of the saved state."""

    steps: int
    seed: int
    folder: Path
    name: str
    show_steps: int = 1000
    save_seconds: float = 300.0


class TrainingRun(Generic[TaskT]):
    """The training of one task. `averaged` is the moving average of the network's weights, which is exported."""

    def __init__(self, task: TaskT, plan: Plan) -> None:
        self.task = task
        self.plan = plan
        self.step = 0
        self.averaged = copy.deepcopy(task.module).requires_grad_(requires_grad=False)
        self._optimizer = torch.optim.AdamW(
            task.module.parameters(), lr=task.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )

    @property
    def _state_file(self) -> Path:
        return self.plan.folder / f"{self.plan.name}.pt"

    def resume(self) -> bool:
        """Load the saved state and return True, or return False if there is none.

        Raises OperatorError if it has another seed or belongs to another network.
        """
        if not self._state_file.is_file():
            return False
        state = torch.load(self._state_file, map_location="cpu", weights_only=True)
        _check_seed(state, self.plan.seed, self._state_file)
        try:
            self.task.module.load_state_dict(state["module"])
            self.averaged.load_state_dict(state["averaged"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._load_more(state)
        except (RuntimeError, ValueError, KeyError) as error:
            raise OperatorError(
                f"The saved training of {self.plan.name} has another shape than the network of this version. "
                f"Move {shorten(self.plan.folder)} away to start again, or use the version that saved it."
            ) from error
        self.step = state["step"]
        return True

    def save(self) -> None:
        """Save everything that the next step depends on. If the process is killed meanwhile, the last state remains."""
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "seed": self.plan.seed,
            "step": self.step,
            "module": self.task.module.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            **self._more_state(),
        }
        save_atomically(state, self._state_file)

    def _more_state(self) -> dict[str, Any]:
        """Return what else the next step depends on."""
        return {}

    def _load_more(self, state: dict[str, Any]) -> None:
        """Load what `_more_state` returned."""

    def train(self, log: Log, until: int | None = None) -> None:
        """Train to the last step of the plan, or to `until`, and save.

        Raises KeyboardInterrupt if Ctrl-C or SIGTERM ended it earlier; the state is saved then, too.
        """
        end = self.plan.steps if until is None else min(until, self.plan.steps)
        progress_log = _ProgressLog(self, log)
        last_save = time.monotonic()
        with _stop_signals() as stop:
            while self.step < end and not stop.is_set():
                progress_log.add(self._train_step())
                if self.step % self.plan.show_steps == 0:
                    self.task.show(self.averaged, self.step)
                if time.monotonic() - last_save >= self.plan.save_seconds:
                    self.save()
                    last_save = time.monotonic()
            progress_log.close()
            self.save()
        if stop.is_set():
            raise KeyboardInterrupt

    def _train_step(self) -> float:
        random = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = self.task.rate * learning_rate_factor(self.step, self.plan.steps)
        loss = self.task.loss(random)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.task.module.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        # At first the average follows closely, or it would keep the initial random weights for long.
        decay = min(self.task.decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.task.module.parameters()), 1 - decay)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C or SIGTERM sets, so that the current step ends; the second acts at once."""
    stop = threading.Event()

    def request_stop(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, earlier[number])

    earlier: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in earlier:
        signal.signal(number, request_stop)
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def learning_rate_factor(step: int, steps: int) -> float:
    """Return the factor of the learning rate: it rises over 300 steps and falls along a cosine in the last third."""
    warm_up = min(1.0, (step + 1) / 300)
    final_part = max(0.0, (step / max(steps, 1) - 2 / 3) * 3)
    return warm_up * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * min(final_part, 1.0))))


def check_seed(state: Path, seed: int) -> None:
    """Raise OperatorError if the run that is saved in the file `state` has another seed."""
    if state.is_file():
        _check_seed(torch.load(state, map_location="cpu", mmap=True, weights_only=True), seed, state)


def _check_seed(state: dict[str, Any], seed: int, path: Path) -> None:
    saved_seed = state.get("seed", seed)
    if saved_seed != seed:
        raise OperatorError(
            f"The saved training of {path.stem} has the seed {saved_seed}, and {seed} was asked for. Go on with --seed "
            f"{saved_seed}, or move {shorten(path.parent)} away to start again."
        )


def save_atomically(content: Any, path: Path) -> None:
    """Write `content` as torch.load reads it. Raises OperatorError if the disk does not take it."""
    # If torch wrote the file itself, it would report a full disk as a RuntimeError about file positions.
    stream = io.BytesIO()
    torch.save(content, stream)
    write_atomically(path, lambda temporary: temporary.write_bytes(stream.getbuffer()))


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a temporary file, and rename it to `path` once it is on the disk.

    Raises OperatorError if the disk does not take it; a file that was there before stays.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OperatorError(
            f"{path.name} could not be written under {shorten(path.parent)}: {error.strerror or type(error).__name__}. "
            "Make room there, or set TEMPERA_CACHE to a folder on another disk. "
            "The same command goes on from the last saved state."
        ) from error


class _ProgressLog(Generic[TaskT]):
    """Logs the expected duration after a few steps, then the progress; a file beside the state keeps the losses."""

    def __init__(self, run: TrainingRun[TaskT], log: Log) -> None:
        self._run = run
        self._log = log
        self._losses: list[float] = []
        self._start = time.monotonic()
        self._is_measuring = self._has_plan = False

    def add(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise OperatorError(
                f"The training of {self._run.plan.name} broke down: its loss is {loss} at step {self._run.step}."
            )
        if not self._is_measuring:
            # The first step includes one-time set-up and would distort the measurement.
            self._is_measuring, self._start = True, time.monotonic()
            return
        self._losses.append(loss)
        if not self._has_plan and len(self._losses) == MEASURED_STEPS:
            self._has_plan = True
            self._log_plan()
        elif time.monotonic() - self._start >= LOG_SECONDS:
            self.close()

    def _log_plan(self) -> None:
        plan = self._run.plan
        steps = plan.steps - self._run.step
        pictures = steps * self._run.task.batch
        seconds = self._seconds_per_picture()
        self._log(
            f"{plan.name}: {1000 * seconds:.1f} ms a picture; {pictures:,} pictures in {steps:,} steps to go, "
            f"about {format_duration(pictures * seconds)}"
        )

    def close(self) -> None:
        """Log the progress since the last time."""
        if not self._losses:
            return
        run = self._run
        mean = sum(self._losses) / len(self._losses)
        seconds = self._seconds_per_picture()
        seconds_left = (run.plan.steps - run.step) * run.task.batch * seconds
        self._log(
            f"{run.plan.name}: {run.step:,} of {run.plan.steps:,} steps, loss {mean:.4f}, "
            f"{1000 * seconds:.1f} ms a picture, {format_duration(seconds_left)} to go"
        )
        run.plan.folder.mkdir(parents=True, exist_ok=True)
        with (run.plan.folder / f"{run.plan.name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": run.step, "loss": round(mean, 5), "ms": round(1000 * seconds, 2)}) + "\n")
        self._losses, self._start = [], time.monotonic()

    def _seconds_per_picture(self) -> float:
        return (time.monotonic() - self._start) / (len(self._losses) * self._run.task.batch)
