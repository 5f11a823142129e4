"""An image engine without torch: it draws an apple, whose colour depends on the seed, and mixes noise into it.

All but the network is real: layouts, previews, frames, sweeps, stamps. More guidance draws the apple more strongly.
It looks at as many drawings of apples as a request says, three by default, and the first of them is always the nearest.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from model_server.engines.common.refusal import JobRefused
from model_server.engines.contract import EngineSpec
from model_server.engines.diffusion.picture_job import PictureJob
from model_server.engines.diffusion.request import Capabilities, complete_job, count_needed_steps, open_initial_picture
from model_server.images import encode
from model_server.jobs import EncodedPrompt, Event, Imagine, Job, NearestDrawing, ReferenceDrawing

EDGE, STEPS, GUIDANCE = 64, 6, 3.0
REFERENCES, DISTANCE = 3, 0.21
MOST_WORDS = 8
STEP_SECONDS = 0.002
PAPER = (250, 246, 236)


@dataclass
class ActiveSketch:
    """A job with its pictures: their noise, the pictures without it, all their steps, and the steps that are needed."""

    picture_job: PictureJob
    noises: list[Image.Image]
    pictures: list[Image.Image]
    total_steps: list[int]
    needed_steps: list[int]
    step: int = 0


class Sketcher:
    """The image engine. Its option `pause` is the duration of a step in seconds."""

    def __init__(self, spec: EngineSpec) -> None:
        self.capacity = 4
        self._pause = float(spec.options.get("pause", STEP_SECONDS))
        self._capabilities = Capabilities(
            name=spec.name,
            sampler="sketch",
            steps=STEPS,
            guidance=GUIDANCE,
            width=EDGE,
            height=EDGE,
            multiple=8,
            references=REFERENCES,
        )
        self._new: list[Job] = []
        self._running: dict[str, ActiveSketch] = {}

    def load(self) -> None:
        pass

    def add(self, job: Job) -> None:
        self._new.append(job)

    def remove(self, job_id: str) -> None:
        self._new = [job for job in self._new if job.id != job_id]
        self._running.pop(job_id, None)

    def step(self) -> Sequence[Event]:
        time.sleep(self._pause)
        new, self._new = self._new, []
        events = [event for job in new for event in self._start(job)]
        for sketch in list(self._running.values()):
            events += self._advance(sketch)
        return events

    def _start(self, job: Job) -> list[Event]:
        try:
            task = complete_job(job, self._capabilities)
            initial = open_initial_picture(task)
            strength = 1.0 if initial is None else task.strength
            single_tasks = PictureJob(job.id, task, self._capabilities, [1]).single_tasks
            total_steps = [max(1, round((one.steps or 1) * strength)) for one in single_tasks]
            needed_steps = [
                count_needed_steps(one, steps) for one, steps in zip(single_tasks, total_steps, strict=True)
            ]
        except JobRefused as refused:
            return [refused.to_event(job.id)]
        pictures = [_draw_apple(one, initial) for one in single_tasks]
        picture_job = PictureJob(job.id, task, self._capabilities, needed_steps)
        sketch = ActiveSketch(
            picture_job, [_draw_noise(one) for one in single_tasks], pictures, total_steps, needed_steps
        )
        self._running[job.id] = sketch
        return [*sketch.picture_job.make_start_events(_encode_prompt), *self._finish_due(sketch)]

    def _advance(self, sketch: ActiveSketch) -> list[Event]:
        sketch.step += 1
        picture_job = sketch.picture_job
        for index, steps in enumerate(sketch.needed_steps):
            picture_job.advance(index, min(sketch.step, steps))
        events: list[Event] = [picture_job.make_preview_event(sketch.pictures)] if picture_job.is_preview_due else []
        return [*events, picture_job.make_progress_event(), *self._finish_due(sketch)]

    def _finish_due(self, sketch: ActiveSketch) -> list[Event]:
        picture_job, events = sketch.picture_job, list[Event]()
        for index, steps in enumerate(sketch.needed_steps):
            left = max(0, sketch.total_steps[index] - sketch.step) / (picture_job.single_tasks[index].steps or 1)
            shown = Image.blend(sketch.pictures[index], sketch.noises[index], left)
            if sketch.step == steps:
                looked_at = DRAWINGS[: picture_job.single_tasks[index].references]
                events += picture_job.finish(
                    index, shown, "comparison", looked_at, NearestDrawing(DRAWINGS[0], DISTANCE)
                )
            elif sketch.step < steps and picture_job.needs_frame(sketch.step):
                picture_job.add_frame(index, sketch.step, shown)
        if picture_job.is_finished:
            self.remove(picture_job.job_id)
        return events


def _draw_reference(number: int) -> ReferenceDrawing:
    apple = _draw_apple(Imagine(prompt="an apple", seed=number, guidance=GUIDANCE), None).resize((128, 128))
    return ReferenceDrawing("apple", f"Set {number}", f"Painter {number}", "CC BY-SA 4.0", encode(apple, {}))


def _draw_noise(task: Imagine) -> Image.Image:
    return Image.frombytes("RGB", (EDGE, EDGE), random.Random(task.seed).randbytes(3 * EDGE * EDGE))


def _draw_apple(task: Imagine, initial: Image.Image | None) -> Image.Image:
    random_numbers = random.Random(task.seed)
    colour = tuple(random_numbers.randrange(90, 230) for _ in range(3))
    picture = Image.new("RGB", (EDGE, EDGE), PAPER)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((12, 18, 52, 56), fill=colour)
    pen.line((32, 20, 36, 8), fill=(90, 60, 30), width=3)
    pen.ellipse((36, 6, 48, 13), fill=(70, 140, 60))
    strongly = Image.blend(Image.new("RGB", (EDGE, EDGE), PAPER), picture, min(1.0, (task.guidance or 0) / GUIDANCE))
    return strongly if initial is None else Image.blend(initial, strongly, task.strength)


def _encode_prompt(text: str) -> EncodedPrompt:
    words = text.split()
    read = words[:MOST_WORDS]
    known = (word if word.isascii() else "[UNK]" for word in read)
    unknown = tuple(word for word in read if not word.isascii())
    return EncodedPrompt(("[CLS]", *known, "[SEP]"), tuple(words[MOST_WORDS:]), MOST_WORDS + 2, unknown)


DRAWINGS = tuple(_draw_reference(number) for number in range(1, 5))
