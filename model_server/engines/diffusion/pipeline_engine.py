"""Draws with any text-to-image pipeline, call by call: one call for pictures that differ in prompts and seeds alone.

What it does not know: how a pipeline computes. The pipeline's own loop runs, one step of it in each step of the engine.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

from PIL import Image

from model_server.engines.common.memory import is_out_of_memory, release_memory
from model_server.engines.common.refusal import JobRefused
from model_server.engines.diffusion.picture_job import PictureJob
from model_server.engines.diffusion.pipeline import Pipeline
from model_server.engines.diffusion.request import (
    OUT_OF_MEMORY,
    complete_job,
    count_needed_steps,
    open_initial_picture,
    split_task,
)
from model_server.engines.diffusion.stepped_thread import CallResult, SteppedThread
from model_server.images import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import torch

    from model_server.engines.contract import EngineSpec
    from model_server.engines.diffusion.pipeline import StepState
    from model_server.jobs import Event, Imagine, Job

log = logging.getLogger(__name__)

DEFAULT_BATCH = 4
"""The most pictures in one call."""
STEP_TIMEOUT_SECONDS = 2.0
"""The longest wait for a step of the pipeline, before jobs can be added and removed again."""


@dataclass(frozen=True, slots=True, eq=False)
class PendingPicture:
    """One picture of a job, which takes `steps` steps; only the first `needed_steps` of them must be computed."""

    job_id: str
    index: int
    task: Imagine
    steps: int
    needed_steps: int

    @property
    def batch_key(self) -> Hashable:
        """Pictures with equal keys can be drawn in one call."""
        task = self.task
        strength = None if task.initial is None else task.strength
        sizes = (task.width, task.height, task.steps, self.needed_steps)
        return (*sizes, task.guidance, bool(task.negative_prompt), strength)


@dataclass(slots=True, eq=False)
class ActiveJob:
    """A job: its pictures that wait for a call, and the latest decoded image of each of the others, by index."""

    picture_job: PictureJob
    initial: Image.Image | None
    pending: list[PendingPicture]
    latest_images: dict[int, Image.Image] = field(default_factory=dict)


class PipelineEngine:
    """Draws with the pipeline in `spec.folder`. Options: those of `Pipeline`; `batch`, the most pictures in a call."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self.capacity = self._max_batch = int(spec.options.get("batch", DEFAULT_BATCH))
        self._new: list[Job] = []
        self._running: dict[str, ActiveJob] = {}
        """By id of the job; the job whose turn is next comes first."""
        self._batch: list[PendingPicture] = []
        """The pictures of the current call, perhaps some of removed jobs."""
        self._done_steps = 0
        """Steps of the current call that are done."""

    def load(self) -> None:
        self._pipeline = Pipeline(self._spec)
        self._pipeline.run_trial()
        self._thread: SteppedThread[StepState, list[Image.Image]] = SteppedThread(self._spec.name)

    @property
    def defaults(self) -> Mapping[str, float]:
        return self._pipeline.capabilities.defaults

    def add(self, job: Job) -> None:
        self._new.append(job)

    def step(self) -> Sequence[Event]:
        """Start the new jobs, then let the current call take a step, or start the next call."""
        new, self._new = self._new, []
        events = [event for job in new for event in self._start(job)]
        if not self._batch and self._running and self._thread.wait_until_idle(STEP_TIMEOUT_SECONDS):
            events += self._start_call()
        return events + self._follow_call() if self._batch else events

    def remove(self, job_id: str) -> None:
        self._new = [job for job in self._new if job.id != job_id]
        self._running.pop(job_id, None)
        if self._batch and not self._find_wanted():
            # Cancelled now, because the next step may come late. A pipeline without a callback runs to its end.
            self._thread.cancel()
            self._batch = []

    def _start(self, job: Job) -> list[Event]:
        capabilities = self._pipeline.capabilities
        try:
            task = complete_job(job, capabilities)
            initial = open_initial_picture(task)
            pictures = [_make_pending(job.id, index, one) for index, one in enumerate(split_task(task))]
        except JobRefused as refused:
            return [refused.to_event(job.id)]
        capabilities = self._pipeline.capabilities_for(has_initial=initial is not None)
        picture_job = PictureJob(job.id, task, capabilities, [picture.needed_steps for picture in pictures])
        self._running[job.id] = ActiveJob(picture_job, initial, pictures)
        return picture_job.make_start_events(self._pipeline.encode_prompt)

    def _find_wanted(self) -> list[PendingPicture]:
        """Return the pictures of the current call whose jobs were not removed."""
        return [picture for picture in self._batch if picture.job_id in self._running]

    def _start_call(self) -> list[Event]:
        """Start a call for the picture whose turn is next and for others with the same key.

        The jobs get shares as equal as possible. Their progress is reported from now on: before, they only wait.
        """
        self._batch, self._done_steps = self._choose_batch(), 0
        for picture in self._batch:
            self._running[picture.job_id].pending.remove(picture)
        for job_id in {picture.job_id: None for picture in self._batch}:
            self._running[job_id] = self._running.pop(job_id)
        initial_images = [
            initial for picture in self._batch if (initial := self._running[picture.job_id].initial) is not None
        ]
        self._thread.start(partial(self._pipeline.call, [picture.task for picture in self._batch], initial_images))
        return [active.picture_job.make_progress_event() for active in self._jobs_in_call()]

    def _choose_batch(self) -> list[PendingPicture]:
        """Choose the first picture of each job, then the second of each, and so on, in the order of turns."""
        first = next(active for active in self._running.values() if active.pending)
        batch_key = first.pending[0].batch_key
        queues = ([one for one in active.pending if one.batch_key == batch_key] for active in self._running.values())
        rounds = zip_longest(*queues)
        return [picture for pictures in rounds for picture in pictures if picture is not None][: self._max_batch]

    def _follow_call(self) -> list[Event]:
        """Wait for the next step or the end of the current call, and return its events."""
        match self._thread.wait_for_step(STEP_TIMEOUT_SECONDS):
            case None:
                return [active.picture_job.make_progress_event() for active in self._jobs_in_call()]
            case CallResult(result=images, error=None):
                return self._deliver(images or [])
            case CallResult(error=error):
                return self._handle_error(error)
            case state:
                try:
                    images, events = self._handle_step(state)
                except (MemoryError, RuntimeError) as error:
                    self._stop_call()
                    return self._handle_error(error)
                return events + self._deliver(images) if images else events

    def _stop_call(self) -> None:
        """End the current call, which waits after a step."""
        self._thread.cancel()
        while not self._thread.wait_until_idle(STEP_TIMEOUT_SECONDS):
            pass

    def _jobs_in_call(self) -> list[ActiveJob]:
        return [self._running[job_id] for job_id in {picture.job_id: None for picture in self._find_wanted()}]

    def _handle_step(self, state: StepState) -> tuple[list[Image.Image], list[Event]]:
        """Report a step and let the call continue; or end it, if no more steps are needed, and return its pictures."""
        wanted = self._find_wanted()
        needed_steps, steps = wanted[0].needed_steps, wanted[0].steps
        # Some schedulers take more steps than requested, and some take one fewer if they start from a picture.
        before, self._done_steps = self._done_steps, min(steps, state.step * steps // state.steps)
        if before == 0 and state.initial is not None:
            self._add_frames(wanted, state.initial, 0)
        if self._done_steps >= needed_steps and needed_steps < steps:
            latents = state.noisy if needed_steps or state.initial is None else state.initial
            images = [self._decode_picture(picture, latents) for picture in self._batch]
            self._stop_call()
            return images, []
        for step in range(before + 1, self._done_steps + 1):
            self._add_frames(wanted, state.noisy, step)
        for picture in wanted:
            self._running[picture.job_id].picture_job.advance(picture.index, self._done_steps)
        events: list[Event] = []
        for active in self._jobs_in_call():
            if active.picture_job.is_preview_due and self._pipeline.capabilities.can_show_steps:
                events.append(self._make_preview_event(active, wanted, state))
            events.append(active.picture_job.make_progress_event())
        self._thread.resume()
        return [], events

    def _add_frames(self, wanted: Sequence[PendingPicture], latents: torch.Tensor, step: int) -> None:
        for picture in wanted:
            picture_job = self._running[picture.job_id].picture_job
            if step < picture.needed_steps and picture_job.needs_frame(step):
                picture_job.add_frame(picture.index, step, self._decode_picture(picture, latents))

    def _decode_picture(self, picture: PendingPicture, latents: torch.Tensor) -> Image.Image:
        row = self._batch.index(picture)
        [image] = self._pipeline.decode(latents[row : row + 1], picture.task.width or 0, picture.task.height or 0)
        return image

    def _make_preview_event(self, active: ActiveJob, wanted: Sequence[PendingPicture], state: StepState) -> Event:
        latents = state.noisy if state.clean is None else state.clean
        own = [picture for picture in wanted if picture.job_id == active.picture_job.job_id]
        active.latest_images |= {picture.index: self._decode_picture(picture, latents) for picture in own}
        nothing = Image.new("RGB", next(iter(active.latest_images.values())).size, BACKGROUND)
        return active.picture_job.make_preview_event(
            [active.latest_images.get(index, nothing) for index in range(len(active.picture_job.single_tasks))]
        )

    def _deliver(self, images: Sequence[Image.Image]) -> list[Event]:
        drawn, self._batch = list(zip(self._batch, images, strict=True)), []
        guided_by = self._pipeline.guided_by(len(drawn))
        events: list[Event] = []
        for picture, image in drawn:
            if active := self._running.get(picture.job_id):
                active.latest_images[picture.index] = image
                before = active.picture_job.step
                finished_events = active.picture_job.finish(picture.index, image, guided_by)
                if active.picture_job.step > before or not finished_events:
                    events.append(active.picture_job.make_progress_event())
                events += finished_events
                if active.picture_job.is_finished:
                    self.remove(picture.job_id)
        return events

    def _handle_error(self, error: Exception | None) -> list[Event]:
        """Handle an error of the current call: refused input fails its jobs, and so does memory for a single picture.

        If memory runs out for several pictures, they are drawn again in smaller calls, as are all later ones.
        Raises any other error.
        """
        if isinstance(error, ValueError):
            return self._refuse_input(error)
        if error is None or not is_out_of_memory(error):
            raise error or RuntimeError("The pipeline ended without a result.")
        size, wanted, self._batch = len(self._batch), self._find_wanted(), []
        # The frames of the traceback keep tensors alive.
        error.__traceback__ = None
        release_memory()
        if size == 1:
            self.remove(wanted[0].job_id)
            return [OUT_OF_MEMORY.to_event(wanted[0].job_id)]
        # Half of the whole call, because pictures of removed jobs took memory, too.
        self._max_batch = size // 2
        for picture in reversed(wanted):
            self._running[picture.job_id].pending.insert(0, picture)
        return [self._running[picture.job_id].picture_job.make_progress_event() for picture in wanted[:1]]

    def _refuse_input(self, error: ValueError) -> list[Event]:
        log.info("%s: the pipeline refused its input: %s", self._spec.name, error)
        jobs, self._batch = {picture.job_id: None for picture in self._find_wanted()}, []
        for job_id in jobs:
            self.remove(job_id)
        sentence = f"{self._spec.name} cannot draw this; it may with other steps, another size or another strength."
        return [JobRefused(sentence).to_event(job_id) for job_id in jobs]


def _make_pending(job_id: str, index: int, task: Imagine) -> PendingPicture:
    steps = task.steps or 1
    if task.initial is not None:
        steps = max(1, int(steps * task.strength))
    return PendingPicture(job_id, index, task, steps, count_needed_steps(task, steps))
