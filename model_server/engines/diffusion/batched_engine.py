"""Continuous batching for a plain Stable Diffusion: pictures of different requests and steps share a forward pass.

What it does not know: how a network computes and how noise is removed; LoRA, inpainting, and any second sampler.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from http_server.wire import NearestDrawing, ReferenceDrawing
from model_server.engines.common.memory import run_within_memory
from model_server.engines.common.refusal import JobRefused
from model_server.engines.diffusion.collage import cut_parts, make_collage, make_tiles
from model_server.engines.diffusion.enlarger import EnlargingQueue
from model_server.engines.diffusion.network import Network
from model_server.engines.diffusion.parts import Parts, split_prompt
from model_server.engines.diffusion.picture_job import PictureJob
from model_server.engines.diffusion.request import (
    OUT_OF_MEMORY,
    append_style,
    choose_style,
    complete_job,
    count_needed_steps,
    make_capabilities,
    open_initial_picture,
    split_task,
)
from model_server.engines.diffusion.solver import NAME, SolverStep, advance
from model_server.images import decode, encode, read_stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL import Image

    from model_server.engines.contract import EngineSpec
    from model_server.engines.diffusion.references import Drawing
    from model_server.jobs import Event, GuidedBy, Imagine, Job

log = logging.getLogger(__name__)

DEFAULT_BATCH = 8
"""The most pictures, or parts of them, in one pass, of all jobs together. With guidance the network computes two rows
for each."""
DEFAULT_STEPS, DEFAULT_GUIDANCE, DEFAULT_REFERENCES = 30, 3.0, 3
MAX_SHOWN = 256
"""The most drawings whose pictures are kept ready, a few kilobytes each."""
LEAST_STRENGTH_OF_PARTS = 0.5
"""Variations that keep more of a picture are drawn at once: its things would be cut out and moved again."""
GUIDED_BY_ONE_PREDICTION: dict[float, GuidedBy] = {0.0: "nothing", 1.0: "prompt"}
"""Values of guidance that need one prediction of the network instead of a comparison of two."""


class Condition(NamedTuple):
    """What one prediction of the network depends on, and the weight with which it is added to the others.

    `states` are prompt embeddings; `references` the drawings that the network looks at, None if it can look at none.
    """

    weight: float
    states: torch.Tensor
    references: torch.Tensor | None


Conditions = Sequence[Condition]


@dataclass(slots=True, eq=False)
class PartState:
    """A part of a picture, or all of it, that is being drawn: `step` steps of its `schedule` are done.

    `noisy`: its latents (C × H × W). `clean`: the clean latents that the last step predicted. The network's predictions
    for the `conditions` are added with their weights. `unguided` takes their place at the steps that are not in
    `guided_steps`. `drawings`: those that the network looks at.
    """

    schedule: Sequence[SolverStep]
    noisy: torch.Tensor
    conditions: Conditions
    unguided: Conditions
    guided_steps: range
    drawings: Sequence[Drawing]
    clean: torch.Tensor | None = None
    step: int = 0

    @property
    def next_step(self) -> SolverStep:
        return self.schedule[self.step]

    @property
    def next_conditions(self) -> Conditions:
        return self.conditions if self.step in self.guided_steps else self.unguided

    @property
    def is_finished(self) -> bool:
        return self.step == len(self.schedule)


@dataclass(frozen=True, slots=True)
class PictureState:
    """A picture that is being drawn. `parts` has it as a whole, or the things of which it is put together."""

    index: int
    seed: int
    parts: Sequence[PartState]
    split: Parts | None
    is_partly_drawn: bool
    """True if the steps end before the picture is without noise, because only earlier frames of it are asked for."""

    @property
    def step(self) -> int:
        """The number of steps done, which is the same for all parts."""
        return self.parts[0].step

    @property
    def is_finished(self) -> bool:
        return self.parts[0].is_finished

    def combine(self, images: Sequence[Image.Image], *, noisy: bool = False) -> Image.Image:
        """Return the picture of which `images` are the parts; those that are still `noisy` are shown whole."""
        if self.split is None:
            return images[0]
        if noisy:
            return make_tiles(self.split.arrangement, images)
        return make_collage(self.split.arrangement, images, self.seed)


@dataclass(frozen=True, slots=True)
class ActiveJob:
    """A job whose pictures are being drawn."""

    picture_job: PictureJob
    pictures: Sequence[PictureState]


class BatchedEngine:
    """Draws pictures with the StableDiffusionPipeline in `spec.folder`.

    Options: `steps`, `guidance` and `size` (in pixels) for requests that name none; `guidance_rescale`;
    `guidance_start` and `guidance_stop`, the part of the steps that is guided (Kynkäänniemi et al., arXiv 2404.07724);
    `styles`, of which one is added to a prompt that names none; `parts`, to draw the things of a prompt one by one;
    `enlarger`, the folder of a network that enlarges finished pictures;
    `batch`, the most pictures, or parts of them, in one pass, and the most jobs at once.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self.capacity = int(spec.options.get("batch", DEFAULT_BATCH))
        self._new: list[Job] = []
        self._running: dict[str, ActiveJob] = {}
        self._shown: dict[Drawing, ReferenceDrawing] = {}

    def load(self) -> None:
        self._network = network = Network(self._spec, 2 * self.capacity)
        self._capabilities = make_capabilities(
            self._spec,
            sampler=NAME,
            steps=DEFAULT_STEPS,
            guidance=DEFAULT_GUIDANCE,
            edge=network.edge,
            multiple=max(8, network.scale),
        )
        if network.bank:
            self._capabilities = replace(self._capabilities, references=DEFAULT_REFERENCES)
        log.info("%s: %s; %d pictures in one step.", self._spec.name, network.dtype, self.capacity)
        [noise] = network.make_noises(0, 1, self._capabilities.width, self._capabilities.height)
        references = [network.bank.stack([])] if network.bank else []
        [trial] = network.decode(network.predict(noise[None], [0], [network.embed_prompt("")], references))
        self._enlarging = EnlargingQueue(self._spec, trial)

    @property
    def defaults(self) -> Mapping[str, float]:
        return self._capabilities.defaults

    def add(self, job: Job) -> None:
        self._new.append(job)

    @torch.inference_mode()
    def step(self) -> Sequence[Event]:
        """Start the new jobs, then advance pictures with about `capacity` parts by one step, shared among the jobs.

        At last, enlarge one of the finished pictures: more would delay the other jobs.
        """
        new, self._new = self._new, []
        events = [event for job in new for event in self._run_guarded(job.id, partial(self._start, job))]
        chosen = self._choose_pictures()
        parts = [(active, part) for active, picture in chosen for part in picture.parts]
        for shape in {part.noisy.shape: None for _, part in parts}:
            events += self._run_step([(active, part) for active, part in parts if part.noisy.shape == shape])
        for job_id, active in list(self._running.items()):
            if advanced := [picture for other, picture in chosen if other is active]:
                events += self._run_guarded(job_id, partial(self._report, active, advanced))
        if (next_job := self._enlarging.next_job) is not None:
            events += self._run_guarded(next_job, self._enlarge_next)
        return events

    def remove(self, job_id: str) -> None:
        self._new = [job for job in self._new if job.id != job_id]
        self._running.pop(job_id, None)
        self._enlarging.remove(job_id)

    def _run_guarded(self, job_id: str, action: Callable[[], list[Event]]) -> list[Event]:
        """Return the events of `action`; if it refuses the job or runs out of memory, remove the job and say why."""
        try:
            events = run_within_memory(action)
        except JobRefused as refused:
            self.remove(job_id)
            return [refused.to_event(job_id)]
        return self._fail_for_memory(job_id) if events is None else events

    def _fail_for_memory(self, job_id: str) -> list[Event]:
        self.remove(job_id)
        return [OUT_OF_MEMORY.to_event(job_id)]

    def _start(self, job: Job) -> list[Event]:
        task = complete_job(job, self._capabilities)
        start = open_initial_picture(task)
        split, read = self._read(task)
        pictures = self._start_pictures(task, split, read, start)
        steps_each = [len(picture.parts[0].schedule) for picture in pictures]
        picture_job = PictureJob(job.id, task, self._capabilities, steps_each, split, read, self._enlarging.name)
        self._running[job.id] = ActiveJob(picture_job, pictures)
        return [*picture_job.make_start_events(self._network.encode_prompt), *self._decode_due(picture_job, pictures)]

    def _read(self, task: Imagine) -> tuple[Parts | None, Sequence[str]]:
        """Return the things of a task that are drawn one by one, or None, and the prompts that the network reads.

        A variation is drawn one by one only if its initial picture, which must be a readable one, was, too, and if
        little of that stays.
        """
        bank = self._network.bank
        interpret = bank.interpret if bank and any(one.references for one in split_task(task)) else lambda text: (text,)
        split = split_prompt(task.prompt, bank.is_name if bank else lambda _: False)
        if split is not None and split.arrangement == "place":
            # The network learnt a thing and its place as one picture.
            prompts = split.prompts
        elif split is not None:
            prompts = tuple(interpret(text)[0] for text in split.prompts)
        else:
            prompts = interpret(task.prompt)
            split = Parts("with", prompts) if len(prompts) > 1 else None
        if split is None:
            return None, prompts
        is_alike = task.initial is None or (
            read_stamp(task.initial).get("parts") == str(len(prompts)) and task.strength >= LEAST_STRENGTH_OF_PARTS
        )
        return (split, prompts) if is_alike and self._capabilities.draws_parts else (None, (task.prompt,))

    def _start_pictures(
        self, task: Imagine, split: Parts | None, prompts: Sequence[str], start: Image.Image | None
    ) -> list[PictureState]:
        initial: list[torch.Tensor | None] = [None] * len(prompts)
        if start is not None:
            starts = [start] if split is None else cut_parts(split.arrangement, len(prompts), start)
            initial = [self._network.encode(one) for one in starts]
        return [self._start_picture(index, one, split, prompts, initial) for index, one in enumerate(split_task(task))]

    def _start_picture(
        self,
        index: int,
        task: Imagine,
        split: Parts | None,
        prompts: Sequence[str],
        initial: Sequence[torch.Tensor | None],
    ) -> PictureState:
        """Start one picture of `prompts`; `initial` has the latents with which each begins, if they are not noise."""
        solver, bank, steps = self._network.solver, self._network.bank, task.steps or 1
        noises = self._network.make_noises(task.seed, len(prompts), task.width or 0, task.height or 0)
        schedule = solver.schedule(steps)
        if task.initial is not None:
            schedule = schedule[solver.find_first_step(steps, task.strength) :]
        needed = schedule[: count_needed_steps(task, len(schedule))]
        skipped = steps - len(schedule)
        first, end = (round(share * steps) - skipped for share in self._capabilities.guidance_interval)
        parts = []
        for prompt, noisy, latents in zip(prompts, noises, initial, strict=True):
            if latents is not None:
                noisy = schedule[0].alpha * latents + schedule[0].sigma * noisy
            style = choose_style(task, self._capabilities.styles)
            drawings = bank.find(prompt, task.references or 0, style, task.seed) if bank else []
            guided, unguided = self._make_conditions(task, append_style(prompt, style), drawings)
            parts.append(PartState(needed, noisy, guided, unguided, range(first, end), drawings))
        return PictureState(index, task.seed, parts, split, is_partly_drawn=len(needed) < len(schedule))

    def _make_conditions(
        self, task: Imagine, prompt: str, drawings: Sequence[Drawing]
    ) -> tuple[Conditions, Conditions]:
        """Return the conditions of steps with classifier-free guidance (Ho and Salimans, arXiv 2207.12598).

        The unconditional one, which reads the negative prompt and looks at no drawing, comes first; those of weight 0
        are left out. Also return the condition of steps without guidance.
        """
        guidance = 1.0 if task.guidance is None else task.guidance
        bank, embed = self._network.bank, self._network.embed_prompt
        weighted = [(1 - guidance, task.negative_prompt, ()), (guidance, prompt, drawings)]
        conditions = [
            Condition(weight, embed(text), bank.stack(looked_at) if bank else None)
            for weight, text, looked_at in weighted
            if weight
        ]
        return conditions, [conditions[-1]._replace(weight=1.0)]

    def _choose_pictures(self) -> list[tuple[ActiveJob, PictureState]]:
        """Choose the pictures of the next step: at least one of every job, and those with the fewest steps done."""
        ready = [
            (active, unfinished)
            for active in self._running.values()
            if (unfinished := [picture for picture in active.pictures if not picture.is_finished])
        ]
        chosen: list[tuple[ActiveJob, PictureState]] = []
        # Jobs with few pictures come first, so that the rest of their share goes to the others.
        for place, (active, pictures) in enumerate(sorted(ready, key=lambda pair: len(pair[1]))):
            parts = sum(len(picture.parts) for _, picture in chosen)
            share = max(1, (self.capacity - parts) // (len(ready) - place) // len(pictures[0].parts))
            chosen += [(active, picture) for picture in sorted(pictures, key=lambda picture: picture.step)[:share]]
        return chosen

    def _run_step(self, chosen: Sequence[tuple[ActiveJob, PartState]]) -> list[Event]:
        """Advance these parts by one step. If memory runs out, try halves, and fail what does not fit alone."""
        if len(chosen) > self.capacity:
            return self._run_step(chosen[: self.capacity]) + self._run_step(chosen[self.capacity :])
        chosen = [(active, part) for active, part in chosen if active.picture_job.job_id in self._running]
        if not chosen:
            return []
        parts = [part for _, part in chosen]
        latents = run_within_memory(partial(self._compute_step, parts))
        if latents is not None:
            for part, noisy, clean in zip(parts, *latents, strict=True):
                part.noisy, part.clean = noisy, clean
                part.step += 1
            return []
        if len(chosen) > 1:
            half = len(chosen) // 2
            return self._run_step(chosen[:half]) + self._run_step(chosen[half:])
        return self._fail_for_memory(chosen[0][0].picture_job.job_id)

    def _compute_step(self, parts: Sequence[PartState]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the noisy and the clean latents of N parts after their next step, N × C × H × W each."""
        noisy = torch.stack([part.noisy for part in parts])
        return advance([part.next_step for part in parts], noisy, self._predict(parts), [part.clean for part in parts])

    def _predict(self, parts: Sequence[PartState]) -> torch.Tensor:
        """Return the guided predictions for N parts (N × C × H × W), from a single forward pass."""
        rows = [(part, condition) for part in parts for condition in part.next_conditions]
        outputs = self._network.predict(
            torch.stack([part.noisy for part, _ in rows]),
            [part.next_step.timestep for part, _ in rows],
            [condition.states for _, condition in rows],
            [condition.references for _, condition in rows if condition.references is not None],
        )
        weights = torch.tensor([condition.weight for _, condition in rows], device=outputs.device)
        counts = [len(part.next_conditions) for part in parts]
        predictions, weighted = (
            torch.split(some, counts) for some in (outputs, outputs * weights[:, None, None, None])
        )
        guided = [some.sum(0) for some in weighted]
        share = self._capabilities.guidance_rescale
        pairs = zip(guided, predictions, strict=True)
        return torch.stack([rescale_guidance(row, prediction[-1], share) for row, prediction in pairs])

    def _report(self, active: ActiveJob, advanced: Sequence[PictureState]) -> list[Event]:
        """Return the events of a job of which the `advanced` pictures took a step."""
        picture_job = active.picture_job
        for picture in advanced:
            picture_job.advance(picture.index, picture.step)
        events: list[Event] = []
        if picture_job.is_preview_due:
            if images := self._decode_preview(active.pictures):
                events.append(picture_job.make_preview_event(images))
            else:
                picture_job.skip_preview()
        return [*events, picture_job.make_progress_event(), *self._decode_due(picture_job, advanced)]

    def _decode_preview(self, pictures: Sequence[PictureState]) -> list[Image.Image]:
        """Decode the predicted pictures, one by one if more at once do not fit the memory; [] if not even one fits."""
        parts = [part for picture in pictures for part in picture.parts]
        expected = torch.stack([part.noisy if part.clean is None else part.clean for part in parts])
        for size in dict.fromkeys((self.capacity, 1)):
            images = run_within_memory(partial(self._decode_in_pieces, expected, size))
            if images is not None:
                decoded = iter(images)
                groups = [list(islice(decoded, len(picture.parts))) for picture in pictures]
                return [picture.combine(group) for picture, group in zip(pictures, groups, strict=True)]
        return []

    def _decode_in_pieces(self, latents: torch.Tensor, size: int) -> list[Image.Image]:
        return [image for piece in torch.split(latents, size) for image in self._network.decode(piece)]

    def _decode_due(self, picture_job: PictureJob, pictures: Sequence[PictureState]) -> list[Event]:
        """Decode those of `pictures` of which a frame is needed now and those that are finished."""
        events: list[Event] = []
        for picture in pictures:
            if picture.is_finished or picture_job.needs_frame(picture.step):
                images = [image for part in picture.parts for image in self._network.decode(part.noisy[None])]
                if picture.is_finished:
                    guidance = picture_job.single_tasks[picture.index].guidance or 0.0
                    guided_by = GUIDED_BY_ONE_PREDICTION.get(guidance, "comparison")
                    whole = picture.combine(images, noisy=picture.is_partly_drawn)
                    drawings = self._name_drawings(picture, whole)
                    if picture_job.enlarged_by:
                        self._enlarging.add(picture_job, picture.index, whole, guided_by, *drawings)
                    else:
                        events += picture_job.finish(picture.index, whole, guided_by, *drawings)
                else:
                    picture_job.add_frame(picture.index, picture.step, picture.combine(images, noisy=True))
        if picture_job.is_finished:
            self.remove(picture_job.job_id)
        return events

    def _enlarge_next(self) -> list[Event]:
        picture_job, events = self._enlarging.finish_next()
        if picture_job.is_finished:
            self.remove(picture_job.job_id)
        return events

    def _name_drawings(
        self, picture: PictureState, image: Image.Image
    ) -> tuple[list[ReferenceDrawing], NearestDrawing | None]:
        """Return the drawings that the network looked at for a finished picture, and the nearest one that it knows."""
        if (bank := self._network.bank) is None or picture.is_partly_drawn:
            return [], None
        looked_at = dict.fromkeys(chain.from_iterable(part.drawings for part in picture.parts))
        nearest = bank.nearest(picture.parts[0].noisy) if picture.split is None else None
        named = {one: self._show_drawing(one) for one in (*looked_at, *([nearest] if nearest else []))}
        references = [named[one] for one in looked_at]
        if nearest is None:
            return references, None
        return references, NearestDrawing(named[nearest], measure_distance(image, decode(named[nearest].picture)))

    def _show_drawing(self, drawing: Drawing) -> ReferenceDrawing:
        """Return a drawing with its picture, as the autoencoder decodes it."""
        if drawing not in self._shown:
            bank = self._network.bank
            [image] = self._network.decode(bank.latents(drawing)[None]) if bank else []
            if len(self._shown) >= MAX_SHOWN:
                self._shown.clear()
            picture = encode(image, {})
            self._shown[drawing] = ReferenceDrawing(
                drawing.thing, drawing.set, drawing.author, drawing.licence, picture
            )
        return self._shown[drawing]


def measure_distance(one: Image.Image, other: Image.Image) -> float:
    """Return the root mean square of the differences between two pictures of one size, 0 to 1.

    The other picture counts as it is or mirrored, whichever is nearer.
    """
    first, second = (np.asarray(picture.convert("RGB"), np.float32) / 255 for picture in (one, other))
    return float(min(np.sqrt(np.square(first - turned).mean()) for turned in (second, second[:, ::-1])))


def rescale_guidance(guided: torch.Tensor, prompted: torch.Tensor, share: float) -> torch.Tensor:
    """Return the guided prediction with its contrast moved back towards that of the prediction with the prompt.

    Guidance raises the contrast, and colours glare where a picture starts from pure noise. `share`, from 0 to 1, is how
    much of that is undone: φ in Lin et al., “Common Diffusion Noise Schedules and Sample Steps are Flawed”, arXiv
    2305.08891, section 3.4. Both predictions are C × H × W.
    """
    if not share:
        return guided
    return guided * (1 + share * (prompted.std() / guided.std() - 1))
