"""The cost of a job to its user, in tokens read and written or in pixels drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from http_server.fair_queue import CHARACTERS_PER_TOKEN, OUTPUT_WEIGHT
from model_server.jobs import (
    Chat,
    Completion,
    Embed,
    Event,
    Faces,
    Finished,
    Imagine,
    Moderate,
    Progress,
    ResolvedSettings,
    Started,
    Text,
)

if TYPE_CHECKING:
    from model_server.jobs import Task

DEFAULT_EDGE_PIXELS = 64
DEFAULT_STEPS = 30
"""The edge and the number of steps by which a picture is counted when its request names none."""


class JobCost:
    """The cost of one job: tokens read plus twice the tokens written, or the pixels of each step of its pictures."""

    def __init__(self, task: Task, expected_output_tokens: float) -> None:
        """Take the length that answers of this model usually have, as `expected_output_tokens`."""
        self.tokens = 0
        """Number of tokens written so far."""
        self._task = task
        self._unread_tokens = estimate_prompt_tokens(task)
        self._pixels = compute_picture_pixels(task)
        self._drawn_pixels = 0.0
        self._expected_tokens = 0.0
        if isinstance(task, Chat | Completion) and not task.dial:
            limit = task.sampling.max_tokens
            self._expected_tokens = expected_output_tokens if limit is None else min(expected_output_tokens, limit)

    @property
    def remaining(self) -> float:
        """The cost that is still expected of the job."""
        return (
            self._unread_tokens
            + OUTPUT_WEIGHT * max(0.0, self._expected_tokens - self.tokens)
            + self._pixels
            - self._drawn_pixels
        )

    def record(self, event: Event) -> float:
        """Note an event of the job and return the cost that it adds, which is never below zero."""
        match event:
            case Started(prompt_tokens=tokens):
                self._unread_tokens = 0.0
                return float(tokens)
            case Text():
                return self._add_tokens(self.tokens + 1)
            case ResolvedSettings(steps=steps, width=width, height=height, parts=parts) if isinstance(
                self._task, Imagine
            ):
                one = replace(self._task, steps=steps, width=width, height=height)
                self._pixels = compute_picture_pixels(one) * max(1, len(parts))
                return 0.0
            case Progress(step=step, steps=steps):
                return self._add_pixels(self._pixels * step / steps)
            case Finished(completion_tokens=tokens):
                return self._add_tokens(tokens) + self._add_pixels(self._pixels)
            case _:
                return 0.0

    def _add_tokens(self, tokens: int) -> float:
        new = max(0, tokens - self.tokens)
        self.tokens += new
        return OUTPUT_WEIGHT * new

    def _add_pixels(self, pixels: float) -> float:
        new = max(0.0, pixels - self._drawn_pixels)
        self._drawn_pixels += new
        return new


def estimate_prompt_tokens(task: Task) -> float:
    """Estimate from the number of characters how many tokens a task has to read."""
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


def compute_picture_pixels(task: Task) -> float:
    """Return the pixels of all pictures of a task, counted once for each of their steps."""
    match task:
        case Faces(count=count, size=size, best_of=best_of):
            # What is only drawn to be compared has the size of the generator.
            return float(count * (size or DEFAULT_EDGE_PIXELS) ** 2 + (best_of - 1) * DEFAULT_EDGE_PIXELS**2)
        case Imagine():
            pixels = (task.width or DEFAULT_EDGE_PIXELS) * (task.height or DEFAULT_EDGE_PIXELS)
            return float(pixels * sum(count_steps(task)))
        case _:
            return 0.0


def count_steps(task: Imagine) -> list[int]:
    """Return the number of steps of each picture of a task.

    A picture to start from saves the first steps; `frames` saves the steps after the last frame.
    """
    steps: list[float] = [task.steps or DEFAULT_STEPS] * task.count
    if task.sweep is not None:
        values = task.sweep.values
        steps = list(values) if task.sweep.knob == "steps" else [task.steps or DEFAULT_STEPS] * len(values)
    share = 1.0 if task.initial is None else task.strength
    shortened = [max(1, int(count * share)) for count in steps]
    return [min(count, max(task.frames, default=count)) for count in shortened]
