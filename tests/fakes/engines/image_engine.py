"""An image engine without torch: it draws an apple of a colour that the seed decides, and mixes noise into it.

All but the network is real: layouts, previews, frames, sweeps, stamps. More guidance draws the apple more strongly.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from model_server.engines.common.refusal import JobRefused
from model_server.engines.contract import EngineSpec
from model_server.engines.diffusion.drawing import PictureJob
from model_server.engines.diffusion.request import Capabilities, imagined, last_step, start_of
from model_server.jobs import EncodedPrompt, Event, Imagine, Job

EDGE, STEPS, GUIDANCE = 64, 6, 3.0
MOST_WORDS = 8
PAUSE_SECONDS = 0.002
PAPER = (250, 246, 236)


@dataclass
class Sketch:
    """A job with its pictures: their noise, what is under it, how many steps they have, and how many they take."""

    drawing: PictureJob
    noises: list[Image.Image]
    pictures: list[Image.Image]
    whole: list[int]
    each: list[int]
    step: int = 0


class Sketcher:
    """The image engine. Its option `pause` is how long a step takes, in seconds."""

    def __init__(self, spec: EngineSpec) -> None:
        self.capacity = 4
        self._pause = float(spec.options.get("pause", PAUSE_SECONDS))
        self._can = Capabilities(
            name=spec.name, sampler="sketch", steps=STEPS, guidance=GUIDANCE, width=EDGE, height=EDGE, multiple=8
        )
        self._new: list[Job] = []
        self._running: dict[str, Sketch] = {}

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
            task = imagined(job, self._can)
            start = start_of(task)
            strength = 1.0 if start is None else task.strength
            singles = PictureJob(job.id, task, self._can, [1]).singles
            whole = [max(1, round((one.steps or 1) * strength)) for one in singles]
            each = [last_step(one, steps) for one, steps in zip(singles, whole, strict=True)]
        except JobRefused as refused:
            return [refused.event(job.id)]
        pictures = [_apple(one, start) for one in singles]
        drawing = PictureJob(job.id, task, self._can, each)
        sketch = Sketch(drawing, [_noise(one) for one in singles], pictures, whole, each)
        self._running[job.id] = sketch
        negative = _reading(task.negative_prompt) if task.negative_prompt else None
        return [*sketch.drawing.opening(_reading(task.prompt), negative), *self._look(sketch)]

    def _advance(self, sketch: Sketch) -> list[Event]:
        sketch.step += 1
        drawing = sketch.drawing
        for index, steps in enumerate(sketch.each):
            drawing.advance(index, min(sketch.step, steps))
        events: list[Event] = [drawing.preview(sketch.pictures)] if drawing.wants_preview else []
        return [*events, drawing.progress(), *self._look(sketch)]

    def _look(self, sketch: Sketch) -> list[Event]:
        drawing, events = sketch.drawing, list[Event]()
        for index, steps in enumerate(sketch.each):
            left = max(0, sketch.whole[index] - sketch.step) / (drawing.singles[index].steps or 1)
            shown = Image.blend(sketch.pictures[index], sketch.noises[index], left)
            if sketch.step == steps:
                events += drawing.finish(index, shown, "comparison")
            elif sketch.step < steps and drawing.wants_frame(sketch.step):
                drawing.add_frame(index, sketch.step, shown)
        if drawing.over:
            self.remove(drawing.job_id)
        return events


def _noise(task: Imagine) -> Image.Image:
    return Image.frombytes("RGB", (EDGE, EDGE), random.Random(task.seed).randbytes(3 * EDGE * EDGE))


def _apple(task: Imagine, start: Image.Image | None) -> Image.Image:
    chance = random.Random(task.seed)
    colour = tuple(chance.randrange(90, 230) for _ in range(3))
    picture = Image.new("RGB", (EDGE, EDGE), PAPER)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((12, 18, 52, 56), fill=colour)
    pen.line((32, 20, 36, 8), fill=(90, 60, 30), width=3)
    pen.ellipse((36, 6, 48, 13), fill=(70, 140, 60))
    strongly = Image.blend(Image.new("RGB", (EDGE, EDGE), PAPER), picture, min(1.0, (task.guidance or 0) / GUIDANCE))
    return strongly if start is None else Image.blend(start, strongly, task.strength)


def _reading(text: str) -> EncodedPrompt:
    words = text.split()
    read = words[:MOST_WORDS]
    known = (word if word.isascii() else "[UNK]" for word in read)
    unknown = tuple(word for word in read if not word.isascii())
    return EncodedPrompt(("[CLS]", *known, "[SEP]"), tuple(words[MOST_WORDS:]), MOST_WORDS + 2, unknown)
