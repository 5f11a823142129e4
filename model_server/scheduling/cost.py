"""What a job costs its user, in tokens read and written or in pixels drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from model_server.jobs import (
    Chat,
    Chosen,
    Completion,
    Embed,
    Event,
    Faces,
    Finished,
    Imagine,
    Moderate,
    Progress,
    Started,
    Text,
)

if TYPE_CHECKING:
    from model_server.jobs import Task

OUTPUT_WEIGHT = 2.0
"""A written token costs about as much as this many that are read."""
CHARACTERS_PER_TOKEN = 4
USUAL_PICTURE = 64
USUAL_STEPS = 30
"""The edge in pixels, and the steps, that a picture is counted with when its request names none."""


class JobCost:
    """What one job costs its user: tokens read and twice those written, or the pixels of each step of its pictures."""

    def __init__(self, task: Task, usual_output: float) -> None:
        """`usual_output` is how many tokens an answer has here as a rule."""
        self.tokens = 0
        """Tokens written so far."""
        self._task = task
        self._unread = prompt_cost(task)
        self._pixels = picture_cost(task)
        self._drawn = 0.0
        self._output = 0.0
        if isinstance(task, Chat | Completion) and not task.dial:
            limit = task.sampling.max_tokens
            self._output = usual_output if limit is None else min(usual_output, limit)

    @property
    def ahead(self) -> float:
        """What the job is still expected to cost."""
        return self._unread + OUTPUT_WEIGHT * max(0.0, self._output - self.tokens) + self._pixels - self._drawn

    def hear(self, event: Event) -> float:
        """What an event of the job adds to what its user must pay; never below zero."""
        match event:
            case Started(prompt_tokens=tokens):
                self._unread = 0.0
                return float(tokens)
            case Text():
                return self._write(self.tokens + 1)
            case Chosen(steps=steps, width=width, height=height) if isinstance(self._task, Imagine):
                self._pixels = picture_cost(replace(self._task, steps=steps, width=width, height=height))
                return 0.0
            case Progress(step=step, steps=steps):
                return self._draw(self._pixels * step / steps)
            case Finished(completion_tokens=tokens):
                return self._write(tokens) + self._draw(self._pixels)
            case _:
                return 0.0

    def _write(self, tokens: int) -> float:
        new = max(0, tokens - self.tokens)
        self.tokens += new
        return OUTPUT_WEIGHT * new

    def _draw(self, pixels: float) -> float:
        new = max(0.0, pixels - self._drawn)
        self._drawn += new
        return new


def prompt_cost(task: Task) -> float:
    """About how many tokens a task has to read, told from its characters."""
    match task:
        case Chat(messages=messages):
            characters = sum(len(message.content) for message in messages)
        case Completion(prompt=str(prompt)):
            characters = len(prompt)
        case Completion(prompt=ids):
            return float(len(ids))
        case Embed(texts=texts) | Moderate(texts=texts):
            characters = sum(map(len, texts))
        case _:
            return 0.0
    return 1 + characters / CHARACTERS_PER_TOKEN


def picture_cost(task: Task) -> float:
    """The pixels of a task's pictures, once for each step that they take."""
    match task:
        case Faces(count=count, size=size):
            return float(count * (size or USUAL_PICTURE) ** 2)
        case Imagine():
            pixels = (task.width or USUAL_PICTURE) * (task.height or USUAL_PICTURE)
            return float(pixels * sum(steps_of(task)))
        case _:
            return 0.0


def steps_of(task: Imagine) -> list[int]:
    """How many steps each picture of a task takes: a start leaves out the first ones, frames those behind the last."""
    steps: list[float] = [task.steps or USUAL_STEPS] * task.count
    if task.sweep is not None:
        swept = task.sweep.values
        steps = list(swept) if task.sweep.knob == "steps" else [task.steps or USUAL_STEPS] * len(swept)
    part = 1.0 if task.initial is None else task.strength
    taken = [max(1, int(each * part)) for each in steps]
    return [min(each, max(task.frames, default=each)) for each in taken]
