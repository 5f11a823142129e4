"""Any text-to-image pipeline, call by call: pictures that differ in prompts and seeds alone are drawn in one call.

What it does not know: how a pipeline computes. It lets the pipeline's own loop run, one step for each of the engine's.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image

from model_server.engines.common.memory import give_memory_back, out_of_memory
from model_server.engines.common.refusal import JobRefused
from model_server.engines.diffusion.drawing import PictureJob
from model_server.engines.diffusion.pipeline import Pipeline
from model_server.engines.diffusion.request import NO_ROOM, imagined, last_step, singles, start_of
from model_server.engines.diffusion.stepped_thread import CallResult, SteppedThread
from model_server.images import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import torch

    from model_server.engines.contract import EngineSpec
    from model_server.engines.diffusion.pipeline import StepState
    from model_server.jobs import Event, Imagine, Job

log = logging.getLogger(__name__)

BATCH = 4
"""Pictures in one call."""
PATIENCE_SECONDS = 2.0
"""For how long to wait for a step before the others are heard, who may want to leave or come."""


@dataclass(frozen=True, slots=True, eq=False)
class PendingPicture:
    """One picture of a job, to be drawn in `steps`, of which only the first `last` are wanted."""

    job_id: str
    index: int
    task: Imagine
    steps: int
    last: int

    @property
    def key(self) -> Hashable:
        """What all pictures of one call have in common."""
        task = self.task
        strength = None if task.initial is None else task.strength
        sizes = (task.width, task.height, task.steps, self.last)
        return (*sizes, task.guidance, bool(task.negative_prompt), strength)


@dataclass(slots=True, eq=False)
class ActiveJob:
    """A job, with the pictures of it that wait, and how those looked last that do not."""

    drawing: PictureJob
    start: Image.Image | None
    waiting: list[PendingPicture]
    looks: dict[int, Image.Image] = field(default_factory=dict)


class PipelineEngine:
    """`spec.folder`: any text-to-image pipeline of diffusers. Options: those of `Pipeline`, and `batch`."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self.capacity = self._most = int(spec.options.get("batch", BATCH))
        self._new: list[Job] = []
        self._running: dict[str, ActiveJob] = {}
        """Whose turn is first comes first."""
        self._call: list[PendingPicture] = []
        """What is being drawn, some of it perhaps for jobs that have left."""
        self._done = 0
        """How many steps of it were taken."""

    def load(self) -> None:
        self._pipeline = Pipeline(self._spec)
        self._pipeline.try_out()
        self._paced: SteppedThread[StepState, list[Image.Image]] = SteppedThread(self._spec.name)

    def add(self, job: Job) -> None:
        self._new.append(job)

    def step(self) -> Sequence[Event]:
        """Take in what is new, then let the call that runs take a step, or begin the next one."""
        new, self._new = self._new, []
        events = [event for job in new for event in self._start(job)]
        if not self._call and self._running and self._paced.rests(PATIENCE_SECONDS):
            events += self._begin()
        return events + self._follow() if self._call else events

    def remove(self, job_id: str) -> None:
        self._new = [job for job in self._new if job.id != job_id]
        self._running.pop(job_id, None)
        if self._call and not self._wanted():
            # Nobody may ask for a step again soon; one that shows no steps runs to its end.
            self._paced.answer(go_on=False)
            self._call = []

    def _start(self, job: Job) -> list[Event]:
        can = self._pipeline.can
        try:
            task = imagined(job, can)
            start = start_of(task)
            shots = [_shot(job.id, index, one) for index, one in enumerate(singles(task))]
        except JobRefused as refused:
            return [refused.event(job.id)]
        able = self._pipeline.able(starts=start is not None)
        drawing = PictureJob(job.id, task, able, [shot.last for shot in shots])
        self._running[job.id] = ActiveJob(drawing, start, shots)
        negative = self._pipeline.reading(task.negative_prompt) if task.negative_prompt else None
        return drawing.opening(self._pipeline.reading(task.prompt), negative)

    def _wanted(self) -> list[PendingPicture]:
        """What of the call belongs to jobs that are still here."""
        return [shot for shot in self._call if shot.job_id in self._running]

    def _begin(self) -> list[Event]:
        """Call for the first picture in turn and all that fit to it, the jobs' shares as equal as can be.

        Only now their jobs hear of a step: before, they wait, as in the queue.
        """
        lead = next(work for work in self._running.values() if work.waiting)
        key = lead.waiting[0].key
        fitting = [[shot for shot in work.waiting if shot.key == key] for work in self._running.values()]
        ranked = sorted(
            ((rank, turn, shot) for turn, shots in enumerate(fitting) for rank, shot in enumerate(shots)),
            key=lambda place: place[:2],
        )
        self._call, self._done = [shot for _, _, shot in ranked[: self._most]], 0
        for shot in self._call:
            self._running[shot.job_id].waiting.remove(shot)
        for job_id in {shot.job_id: None for shot in self._call}:
            self._running[job_id] = self._running.pop(job_id)
        starts = [start for shot in self._call if (start := self._running[shot.job_id].start) is not None]
        self._paced.begin(partial(self._pipeline.call, [shot.task for shot in self._call], starts))
        return [work.drawing.progress() for work in self._at_work()]

    def _follow(self) -> list[Event]:
        match self._paced.wait(PATIENCE_SECONDS):
            case None:
                return [work.drawing.progress() for work in self._at_work()]
            case CallResult(result=pictures, error=None):
                return self._deliver(pictures or [])
            case CallResult(error=error):
                return self._give_up(error)
            case moment:
                try:
                    pictures, events = self._look(moment)
                except (MemoryError, RuntimeError) as error:
                    self._stop()
                    return self._give_up(error)
                return events + self._deliver(pictures) if pictures else events

    def _stop(self) -> None:
        """End a call that waits behind a step."""
        self._paced.answer(go_on=False)
        while not self._paced.rests(PATIENCE_SECONDS):
            pass

    def _at_work(self) -> list[ActiveJob]:
        return [self._running[job_id] for job_id in {shot.job_id: None for shot in self._wanted()}]

    def _look(self, moment: StepState) -> tuple[list[Image.Image], list[Event]]:
        """The call's pictures, which ends where no more of it is wanted, or what there is to say before it goes on."""
        wanted = self._wanted()
        last, steps = wanted[0].last, wanted[0].steps
        # Some schedulers take more steps than they were asked for, and some leave one out when they have a start.
        before, self._done = self._done, min(steps, moment.step * steps // moment.steps)
        if before == 0 and moment.start is not None:
            self._keep_frames(wanted, moment.start, 0)
        if self._done >= last and last < steps:
            latents = moment.noisy if last or moment.start is None else moment.start
            pictures = [self._picture(shot, latents) for shot in self._call]
            self._stop()
            return pictures, []
        for step in range(before + 1, self._done + 1):
            self._keep_frames(wanted, moment.noisy, step)
        for shot in wanted:
            self._running[shot.job_id].drawing.advance(shot.index, self._done)
        events: list[Event] = []
        for work in self._at_work():
            if work.drawing.wants_preview and self._pipeline.can.shows:
                events.append(self._preview(work, wanted, moment))
            events.append(work.drawing.progress())
        self._paced.answer(go_on=True)
        return [], events

    def _keep_frames(self, wanted: Sequence[PendingPicture], latents: torch.Tensor, step: int) -> None:
        for shot in wanted:
            drawing = self._running[shot.job_id].drawing
            if step < shot.last and drawing.wants_frame(step):
                drawing.add_frame(shot.index, step, self._picture(shot, latents))

    def _picture(self, shot: PendingPicture, latents: torch.Tensor) -> Image.Image:
        row = self._call.index(shot)
        [picture] = self._pipeline.decode(latents[row : row + 1], shot.task.width or 0, shot.task.height or 0)
        return picture

    def _preview(self, work: ActiveJob, wanted: Sequence[PendingPicture], moment: StepState) -> Event:
        latents = moment.noisy if moment.clean is None else moment.clean
        own = [shot for shot in wanted if shot.job_id == work.drawing.job_id]
        work.looks |= {shot.index: self._picture(shot, latents) for shot in own}
        nothing = Image.new("RGB", next(iter(work.looks.values())).size, BACKGROUND)
        return work.drawing.preview([work.looks.get(index, nothing) for index in range(len(work.drawing.singles))])

    def _deliver(self, pictures: Sequence[Image.Image]) -> list[Event]:
        drawn, self._call = list(zip(self._call, pictures, strict=True)), []
        guided_by = self._pipeline.guided_by(len(drawn))
        events: list[Event] = []
        for shot, picture in drawn:
            if work := self._running.get(shot.job_id):
                work.looks[shot.index] = picture
                before = work.drawing.step
                told = work.drawing.finish(shot.index, picture, guided_by)
                events += [work.drawing.progress()] if work.drawing.step > before or not told else []
                events += told
                if work.drawing.over:
                    self.remove(shot.job_id)
        return events

    def _give_up(self, error: Exception | None) -> list[Event]:
        """What the pipeline says of its input ends these jobs, and so does too little memory for what is alone.

        From then on calls are as small as was needed.
        """
        if isinstance(error, ValueError):
            return self._refuse(error)
        if error is None or not out_of_memory(error):
            raise error or RuntimeError("The pipeline ended without a reason.")
        size, wanted, self._call = len(self._call), self._wanted(), []
        # The traceback's frames hold tensors.
        error.__traceback__ = None
        give_memory_back()
        if size == 1:
            self.remove(wanted[0].job_id)
            return [NO_ROOM.event(wanted[0].job_id)]
        # Those who left took memory, too.
        self._most = size // 2
        for shot in reversed(wanted):
            self._running[shot.job_id].waiting.insert(0, shot)
        return [self._running[shot.job_id].drawing.progress() for shot in wanted[:1]]

    def _refuse(self, error: ValueError) -> list[Event]:
        log.info("%s refused its input: %s", self._spec.name, error)
        jobs, self._call = {shot.job_id: None for shot in self._wanted()}, []
        for job_id in jobs:
            self.remove(job_id)
        sentence = f"{self._spec.name} cannot draw this; it may with other steps, another size or another strength."
        return [JobRefused(sentence).event(job_id) for job_id in jobs]


def _shot(job_id: str, index: int, task: Imagine) -> PendingPicture:
    steps = task.steps or 1
    if task.initial is not None:
        steps = max(1, int(steps * task.strength))
    return PendingPicture(job_id, index, task, steps, last_step(task, steps))
