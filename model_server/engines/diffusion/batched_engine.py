"""A plain Stable Diffusion, step by step: pictures at different steps and of different requests share a forward pass.

What it does not know: how a network computes, how noise is taken away, LoRA, inpainting, samplers other than one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from model_server.engines.common.memory import give_memory_back, out_of_memory
from model_server.engines.common.refusal import JobRefused
from model_server.engines.diffusion.drawing import PictureJob
from model_server.engines.diffusion.network import Network
from model_server.engines.diffusion.request import NO_ROOM, ability, imagined, last_step, singles, start_of
from model_server.engines.diffusion.solver import NAME, Move, advance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL import Image

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Event, GuidedBy, Imagine, Job

log = logging.getLogger(__name__)

BATCH = 8
"""Pictures in one step, of all jobs together; with guidance the network computes each twice."""
STEPS, GUIDANCE = 30, 3.0
SINGLE_GUESSES: dict[float, GuidedBy] = {0.0: "nothing", 1.0: "prompt"}
"""Guidances that take one guess instead of comparing two."""


@dataclass(slots=True, eq=False)
class PictureState:
    """One picture on its way: `noisy` (C × H × W) is where it is, `clean` where it seemed to go in the last step.

    `wanted` is what the network reads for it, as (weight, states): the outputs are added up with these weights.
    """

    index: int
    moves: Sequence[Move]
    """Those that are left when it begins; `step` of them are behind it."""
    noisy: torch.Tensor
    wanted: Sequence[tuple[float, torch.Tensor]]
    clean: torch.Tensor | None = None
    step: int = 0

    @property
    def move(self) -> Move:
        return self.moves[self.step]

    @property
    def over(self) -> bool:
        return self.step == len(self.moves)


@dataclass(frozen=True, slots=True)
class ActiveJob:
    """A job with its pictures."""

    drawing: PictureJob
    rows: Sequence[PictureState]


class BatchedEngine:
    """`spec.folder`: a StableDiffusionPipeline.

    Options: `steps`, `guidance` and `size` (of pictures, in pixels) where a request names none; `guidance_rescale`;
    `batch`, how many pictures share a step, and as many jobs are at work.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self.capacity = int(spec.options.get("batch", BATCH))
        self._new: list[Job] = []
        self._running: dict[str, ActiveJob] = {}

    def load(self) -> None:
        self._network = network = Network(self._spec, 2 * self.capacity)
        self._can = ability(
            self._spec,
            sampler=NAME,
            steps=STEPS,
            guidance=GUIDANCE,
            edge=network.edge,
            multiple=max(8, network.scale),
        )
        log.info("%s: %s; %d pictures in one step.", self._spec.name, network.dtype, self.capacity)
        noise = network.noise(0, self._can.width, self._can.height)[None]
        network.decode(network.predict(noise, [0], [network.states("")]))

    def add(self, job: Job) -> None:
        self._new.append(job)

    @torch.inference_mode()
    def step(self) -> Sequence[Event]:
        """Take in what is new, then take a step with up to `capacity` pictures, the jobs' shares equal."""
        new, self._new = self._new, []
        events = [event for job in new for event in self._guarded(job.id, partial(self._start, job))]
        chosen = self._choose()
        for shape in {row.noisy.shape: None for _, row in chosen}:
            events += self._run([(work, row) for work, row in chosen if row.noisy.shape == shape])
        for job_id, work in list(self._running.items()):
            moved = [row for other, row in chosen if other is work]
            events += self._guarded(job_id, partial(self._tell, work, moved))
        return events

    def remove(self, job_id: str) -> None:
        self._new = [job for job in self._new if job.id != job_id]
        self._running.pop(job_id, None)

    def _guarded(self, job_id: str, action: Callable[[], list[Event]]) -> list[Event]:
        """What `action` tells, or why it ends the job: what is wrong with it, or too little memory for it."""
        try:
            return action()
        except JobRefused as refused:
            self.remove(job_id)
            return [refused.event(job_id)]
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
        give_memory_back()
        self.remove(job_id)
        return [NO_ROOM.event(job_id)]

    def _start(self, job: Job) -> list[Event]:
        task = imagined(job, self._can)
        rows = self._begin(task)
        drawing = PictureJob(job.id, task, self._can, [len(row.moves) for row in rows])
        negative = self._network.reading(task.negative_prompt) if task.negative_prompt else None
        self._running[job.id] = ActiveJob(drawing, rows)
        return [*drawing.opening(self._network.reading(task.prompt), negative), *self._look(drawing, rows)]

    def _begin(self, task: Imagine) -> list[PictureState]:
        network = self._network
        width, height = task.width or 0, task.height or 0
        start = start_of(task)
        initial = None if start is None else network.encode(start)
        rows = []
        for index, one in enumerate(singles(task)):
            steps = one.steps or 1
            moves, noisy = network.solver.moves(steps), network.noise(one.seed, width, height)
            if initial is not None:
                moves = moves[network.solver.start(steps, one.strength) :]
                noisy = moves[0].alpha * initial + moves[0].sigma * noisy
            rows.append(PictureState(index, moves[: last_step(one, len(moves))], noisy, self._wanted(one)))
        return rows

    def _wanted(self, task: Imagine) -> list[tuple[float, torch.Tensor]]:
        """Classifier-free guidance (Ho and Salimans, arXiv 2207.12598): a part without the prompt, and one with it."""
        guidance = 1.0 if task.guidance is None else task.guidance
        parts = [(1 - guidance, task.negative_prompt), (guidance, task.prompt)]
        return [(weight, self._network.states(text)) for weight, text in parts if weight]

    def _choose(self) -> list[tuple[ActiveJob, PictureState]]:
        """The pictures of the next step: of every job at least one, and of each those that are least far."""
        ready = [(work, [row for row in work.rows if not row.over]) for work in self._running.values()]
        chosen: list[tuple[ActiveJob, PictureState]] = []
        # Those with few pictures come first, so that what they leave of their share goes to the others.
        for waiting, (work, rows) in enumerate(sorted(ready, key=lambda pair: len(pair[1]))):
            share = (self.capacity - len(chosen)) // (len(ready) - waiting)
            chosen += [(work, row) for row in sorted(rows, key=lambda row: row.step)[:share]]
        return chosen

    def _run(self, chosen: Sequence[tuple[ActiveJob, PictureState]]) -> list[Event]:
        """One step with these; where the memory ends, in halves, until what does not fit is alone."""
        chosen = [(work, row) for work, row in chosen if work.drawing.job_id in self._running]
        if not chosen or self._advance([row for _, row in chosen]):
            return []
        give_memory_back()
        if len(chosen) > 1:
            half = len(chosen) // 2
            return self._run(chosen[:half]) + self._run(chosen[half:])
        job_id = chosen[0][0].drawing.job_id
        self.remove(job_id)
        return [NO_ROOM.event(job_id)]

    def _advance(self, rows: Sequence[PictureState]) -> bool:
        """Whether the memory was enough."""
        try:
            noisy = torch.stack([row.noisy for row in rows])
            before = [row.clean for row in rows]
            after, clean = advance([row.move for row in rows], noisy, self._output(rows), before)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            return False
        for place, row in enumerate(rows):
            row.noisy, row.clean = after[place], clean[place]
            row.step += 1
        return True

    def _output(self, rows: Sequence[PictureState]) -> torch.Tensor:
        """What the network says of each row, guided, from a single pass for all that is to be read."""
        parts = [(row, weight, states) for row in rows for weight, states in row.wanted]
        outputs = self._network.predict(
            torch.stack([row.noisy for row, _, _ in parts]),
            [row.move.timestep for row, _, _ in parts],
            [states for _, _, states in parts],
        )
        weights = torch.tensor([weight for _, weight, _ in parts], device=outputs.device)
        counts = [len(row.wanted) for row in rows]
        guesses, weighted = (torch.split(part, counts) for part in (outputs, outputs * weights[:, None, None, None]))
        guided = [part.sum(0) for part in weighted]
        share = self._can.guidance_rescale
        return torch.stack([rescaled(row, part[-1], share) for row, part in zip(guided, guesses, strict=True)])

    def _tell(self, work: ActiveJob, moved: Sequence[PictureState]) -> list[Event]:
        """What there is to say of a job, some of whose pictures took a step."""
        drawing = work.drawing
        for row in moved:
            drawing.advance(row.index, row.step)
        events: list[Event] = []
        if drawing.wants_preview:
            if seen := self._foresee(work.rows):
                events.append(drawing.preview(seen))
            else:
                drawing.leave_preview_out()
        return [*events, drawing.progress(), *self._look(drawing, moved)]

    def _foresee(self, rows: Sequence[PictureState]) -> list[Image.Image]:
        """How the pictures are going to look: decoded at once, else one by one; none where not even that fits."""
        going_to = torch.stack([row.noisy if row.clean is None else row.clean for row in rows])
        for size in dict.fromkeys((len(rows), 1)):
            try:
                return [picture for part in torch.split(going_to, size) for picture in self._network.decode(part)]
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
            give_memory_back()
        return []

    def _look(self, drawing: PictureJob, rows: Sequence[PictureState]) -> list[Event]:
        """Decode those that a frame is made of now, and those that have taken all their steps."""
        events: list[Event] = []
        for row in rows:
            if row.over or drawing.wants_frame(row.step):
                [picture] = self._network.decode(row.noisy[None])
                if row.over:
                    guidance = drawing.singles[row.index].guidance or 0.0
                    events += drawing.finish(row.index, picture, SINGLE_GUESSES.get(guidance, "comparison"))
                else:
                    drawing.add_frame(row.index, row.step, picture)
        if drawing.over:
            self.remove(drawing.job_id)
        return events


def rescaled(guided: torch.Tensor, prompted: torch.Tensor, share: float) -> torch.Tensor:
    """What guidance made of two guesses, with its contrast brought back towards that of the guess with the prompt.

    Guidance raises the contrast, and where noise alone is the beginning so far that colours glare. `share` is how much
    of that is taken back, from 0 to 1: φ in Lin et al., “Common Diffusion Noise Schedules and Sample Steps are Flawed”,
    arXiv 2305.08891, section 3.4. Both are C × H × W.
    """
    if not share:
        return guided
    return guided * (1 + share * (prompted.std() / guided.std() - 1))
