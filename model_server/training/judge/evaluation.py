"""What a judge says of a generator: are its things recognised, what does guidance do, what does it merely copy?"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from model_server.catalogue import StoreError
from model_server.jobs import Failed, Finished, Imagine, Job, Picture
from model_server.training.images.colours import HUES
from model_server.training.judge.classifier import ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.contract import Engine
    from model_server.training.images.things import Thing, Unseen

    class Judge(Protocol):
        """Whoever says how much pictures show each of some things."""

        def scores(self, pictures: np.ndarray) -> np.ndarray:
            """N × 64 × 64 × 3, uint8, to N × things."""


STEPS, GUIDANCE = 30, 5.0
GUIDANCES = (1.0, 2.0, 3.0, 5.0, 7.0)
EVERY, SEEDS = 8, 4
"""What guidance does is measured on every eighth thing, from so many seeds each."""
PAPER = 0.9
"""A pixel whose darkest channel is lighter than this is the ground."""
COMPARED_AT_ONCE = 2000


@dataclass(frozen=True)
class Recognised:
    """Pictures (N × 64 × 64 × 3) of the right things, and the places that the judge gave these."""

    pictures: np.ndarray
    places: np.ndarray
    scores: np.ndarray
    """How much the judge sees the right thing: about 1 where it is sure, about 0 where it does not see it."""

    def share(self, within: int) -> float:
        """How many are among the first so many."""
        return float((self.places < within).mean())


@dataclass(frozen=True)
class GuidanceScore:
    """At one guidance: the judge's mean score, and the mean distance between pictures of the same words."""

    guidance: float
    score: float
    diversity: float


@dataclass(frozen=True)
class UnseenResult:
    """Pictures of unseen prompts: did the thing come first, does the colour rule, which learnt picture is nearest?"""

    recognised: Recognised
    coloured: list[bool] = field(default_factory=list)
    """Of those prompts that name a colour."""
    nearest: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    distances: np.ndarray = field(default_factory=lambda: np.zeros(0))


def draw(engine: Engine, tasks: Sequence[Imagine]) -> np.ndarray:
    """One picture for each task, by as many at once as the engine takes: N × 64 × 64 × 3, uint8."""
    found: dict[str, bytes] = {}
    for start in range(0, len(tasks), engine.capacity):
        part = tasks[start : start + engine.capacity]
        jobs = [Job(id=str(start + place), model="", task=task) for place, task in enumerate(part)]
        for job in jobs:
            engine.add(job)
        left = len(jobs)
        while left:
            for event in engine.step():
                if isinstance(event, Failed):
                    raise StoreError(f"A picture could not be drawn: {event.message}")
                if isinstance(event, Picture):
                    found[event.job] = event.data
                left -= isinstance(event, Finished)
    pictures = [Image.open(io.BytesIO(found[str(place)])).convert("RGB") for place in range(len(tasks))]
    return np.stack([np.asarray(picture) for picture in pictures])


def recognise(
    judge: Judge, engine: Engine, prompts: Sequence[tuple[str, int]], guidance: float = GUIDANCE
) -> Recognised:
    """Draw each prompt, from seeds in a row, and look for the thing whose number stands beside it."""
    tasks = [
        Imagine(prompt=prompt, seed=seed, steps=STEPS, guidance=guidance) for seed, (prompt, _) in enumerate(prompts)
    ]
    pictures = draw(engine, tasks)
    right = [thing for _, thing in prompts]
    scores = judge.scores(pictures)
    return Recognised(pictures, ranks(scores, right), scores[np.arange(len(right)), right])


def turn_guidance(judge: Judge, things: Sequence[Thing], engine: Engine) -> list[GuidanceScore]:
    """The judge's score and the pictures' diversity, from little guidance to much; noise and words stay the same."""
    prompts = [(thing.prompt, number) for number, thing in enumerate(things) if number % EVERY == 0]
    many = [prompt for prompt in prompts for _ in range(SEEDS)]
    found = []
    for guidance in GUIDANCES:
        seen = recognise(judge, engine, many, guidance)
        groups = seen.pictures.reshape(len(prompts), SEEDS, *seen.pictures.shape[1:])
        found.append(
            GuidanceScore(guidance, float(seen.scores.mean()), float(np.mean([diversity(group) for group in groups])))
        )
    return found


def imagine_unseen(
    judge: Judge, things: Sequence[Thing], engine: Engine, unseen: Sequence[Unseen], learnt: np.ndarray
) -> UnseenResult:
    """Draw what is in no set. `learnt` is what the generator learnt from: N × 64 × 64 × 3."""
    numbers = {thing.code: number for number, thing in enumerate(things)}
    seen = recognise(judge, engine, [(one.prompt, numbers[one.code]) for one in unseen])
    coloured = [
        dominant(picture) == one.colour for picture, one in zip(seen.pictures, unseen, strict=True) if one.colour
    ]
    return UnseenResult(seen, coloured, *nearest(seen.pictures, learnt))


def diversity(pictures: np.ndarray) -> float:
    """The mean distance between two different pictures of N × …, uint8."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float64) / 255
    distances = np.sqrt(np.square(flat[:, None] - flat[None]).mean(axis=2))
    return float(distances[np.triu_indices(len(pictures), 1)].mean())


def nearest(pictures: np.ndarray, learnt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each picture, which learnt one is nearest, and the distance: root mean square of pixels, 0 to 1."""
    wanted = pictures.reshape(len(pictures), -1).astype(np.float32) / 255
    best, where = np.full(len(wanted), np.inf, np.float32), np.zeros(len(wanted), int)
    for start in range(0, len(learnt), COMPARED_AT_ONCE):
        part = learnt[start : start + COMPARED_AT_ONCE].reshape(-1, wanted.shape[1]).astype(np.float32) / 255
        squares = (wanted**2).sum(1)[:, None] - 2 * wanted @ part.T + (part**2).sum(1)[None]
        least = squares.min(axis=1)
        where = np.where(least < best, start + squares.argmin(axis=1), where)
        best = np.minimum(best, least)
    return where, np.sqrt(np.maximum(best, 0) / wanted.shape[1])


def dominant(picture: np.ndarray) -> str:
    """The colour word for most of what is not white paper, "" where there is nothing else: of 64 × 64 × 3, uint8."""
    hsv = np.asarray(Image.fromarray(picture).convert("HSV"), np.float32) / 255
    visible = picture.min(axis=2) < PAPER * 255
    hue, saturation, value = (hsv[..., part][visible] for part in range(3))
    if not visible.any():
        return ""
    words = [*HUES, "brown", "black", "grey"]
    turns = np.abs((hue[:, None] * 360 - np.asarray(list(HUES.values())) + 180) % 360 - 180)
    kind = turns.argmin(axis=1)
    kind[(kind == words.index("orange")) & (value < 0.6)] = words.index("brown")
    kind[saturation < 0.2] = words.index("grey")
    kind[value < 0.25] = words.index("black")
    return words[int(np.bincount(kind, minlength=len(words)).argmax())]
