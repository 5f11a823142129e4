"""Evaluates a generator with a judge: recognition of things, effect of guidance, distance to the training pictures."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from model_server.errors import OperatorError
from model_server.jobs import Failed, Finished, Imagine, Job, Picture
from research.pictures.data.colours import HUES, wrap_angle
from research.pictures.data.emoji import SMALL_SIZE
from research.pictures.judge import copies
from research.pictures.judge.classifier import rank_right_things

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.engines.contract import Engine
    from research.pictures.data.things import Thing, UnseenPrompt

    class Judge(Protocol):
        """Scores how much pictures show each of some things."""

        def scores(self, pictures: np.ndarray) -> np.ndarray:
            """Return N × things scores for N × 64 × 64 × 3, uint8."""

        def features(self, pictures: np.ndarray) -> np.ndarray:
            """Return N × F features for the same."""


STEPS, GUIDANCE = 30, 4.0
GUIDANCES = (1.0, 2.0, 3.0, 4.0, 6.0)
THING_STRIDE, SEEDS_PER_THING = 8, 4
"""Guidance is evaluated on every eighth thing, with so many seeds each."""
VARIETY_STRIDE = 4
"""Variety is evaluated on every fourth thing, with as many seeds."""
PAPER_BRIGHTNESS = 0.9
"""A pixel whose darkest channel is brighter than this (0 to 1) belongs to the white background."""


@dataclass(frozen=True)
class RecognitionResult:
    """Pictures (N × side × side × 3), and the rank and score that the judge gave to the right thing of each."""

    pictures: np.ndarray
    ranks: np.ndarray
    """0 where the judge names the right thing first."""
    scores: np.ndarray
    """About 1 where the judge is sure of the right thing, about 0 where it does not see it."""
    references: list[list[np.ndarray]] = field(default_factory=list)
    """The drawings that each picture looked at, 64 × 64 × 3 each."""

    def top_share(self, count: int) -> float:
        """Return the share of pictures whose right thing is among the first `count` of the judge."""
        return float((self.ranks < count).mean())


@dataclass(frozen=True)
class GuidanceScore:
    """The judge's mean score at one guidance, and the mean distance between pictures of the same prompt."""

    guidance: float
    score: float
    diversity: float


@dataclass(frozen=True)
class Variety:
    """How far the pictures of one prompt are apart: on average, the least, and relative to what people draw.

    `share` is the distance in the judge's features, relative to that of the sets' own drawings of the same thing.
    """

    mean: float
    least: float
    share: float


@dataclass(frozen=True)
class UnseenResult:
    """The evaluation of unseen prompts."""

    recognised: RecognitionResult
    colour_is_right: list[bool] = field(default_factory=list)
    """For each prompt that names a colour."""
    nearest: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    """The number of the nearest training picture, for each picture of the first draw."""
    nearest_distances: np.ndarray = field(default_factory=lambda: np.zeros(0))


def draw_pictures(engine: Engine, tasks: Sequence[Imagine]) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Draw one picture for each task, as many at once as the engine takes: N × side × side × 3, uint8.

    Returns the drawings that each looked at as well, 64 × 64 × 3 each.
    """
    drawn: dict[str, Picture] = {}
    for start in range(0, len(tasks), engine.capacity):
        part = tasks[start : start + engine.capacity]
        jobs = [Job(id=str(start + offset), model="", task=task) for offset, task in enumerate(part)]
        for job in jobs:
            engine.add(job)
        unfinished = len(jobs)
        while unfinished:
            for event in engine.step():
                if isinstance(event, Failed):
                    raise OperatorError(f"A picture could not be drawn: {event.message}")
                if isinstance(event, Picture):
                    drawn[event.job] = event
                unfinished -= isinstance(event, Finished)
    events = [drawn[str(number)] for number in range(len(tasks))]
    references = [[shrink([_decode(one.picture)])[0] for one in event.references] for event in events]
    return np.stack([_decode(event.data) for event in events]), references


def _decode(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def shrink(pictures: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """Return N × 64 × 64 × 3 for pictures of any size, since the judge knows only those."""
    if len(pictures[0]) == SMALL_SIZE:
        return np.asarray(pictures)
    size = (SMALL_SIZE, SMALL_SIZE)
    return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in pictures])


def evaluate_recognition(
    judge: Judge, engine: Engine, prompts: Sequence[tuple[str, int]], guidance: float = GUIDANCE, draws: int = 1
) -> RecognitionResult:
    """Draw each prompt so many times, and score the thing whose number comes with it.

    The seeds are 0, 1, 2 …; between two draws one is left out, since the seed decides the style.
    """
    tasks = [
        Imagine(prompt=prompt, seed=draw * (len(prompts) + 1) + number, steps=STEPS, guidance=guidance)
        for draw in range(draws)
        for number, (prompt, _) in enumerate(prompts)
    ]
    pictures, references = draw_pictures(engine, tasks)
    right = [thing for _, thing in prompts] * draws
    scores = judge.scores(shrink(pictures))
    own = scores[np.arange(len(right)), right]
    return RecognitionResult(pictures, rank_right_things(scores, right), own, references)


def evaluate_variety(
    judge: Judge, engine: Engine, things: Sequence[Thing], drawings: Mapping[int, Sequence[np.ndarray]]
) -> Variety:
    """Draw some things four times each. `drawings` are those of the sets, 64 × 64 × 3, by the number of the thing."""
    chosen = range(0, len(things), VARIETY_STRIDE)
    tasks = [
        Imagine(prompt=things[number].prompt, seed=seed, steps=STEPS, guidance=GUIDANCE)
        for number in chosen
        for seed in range(number * SEEDS_PER_THING, (number + 1) * SEEDS_PER_THING)
    ]
    pictures, _ = draw_pictures(engine, tasks)
    groups = pictures.reshape(len(chosen), SEEDS_PER_THING, *pictures.shape[1:])
    distances = [measure_diversity(group) for group in groups]
    drawn = mean([_measure_spread(judge.features(shrink(group))) for group in groups])
    made_by_people = mean([_measure_spread(judge.features(np.stack(drawings[number]))) for number in chosen])
    return Variety(float(np.mean(distances)), float(np.min(distances)), drawn / max(made_by_people, 1e-9))


def evaluate_guidance(judge: Judge, things: Sequence[Thing], engine: Engine) -> list[GuidanceScore]:
    """Measure the judge's score and the diversity at each of GUIDANCES, with the same prompts and noise."""
    prompts = [(thing.prompt, number) for number, thing in enumerate(things) if number % THING_STRIDE == 0]
    repeated = [prompt for prompt in prompts for _ in range(SEEDS_PER_THING)]
    scores = []
    for guidance in GUIDANCES:
        result = evaluate_recognition(judge, engine, repeated, guidance)
        groups = result.pictures.reshape(len(prompts), SEEDS_PER_THING, *result.pictures.shape[1:])
        diversity = float(np.mean([measure_diversity(group) for group in groups]))
        scores.append(GuidanceScore(guidance, float(result.scores.mean()), diversity))
    return scores


def evaluate_unseen(
    judge: Judge,
    things: Sequence[Thing],
    engine: Engine,
    unseen: Sequence[UnseenPrompt],
    training_pictures: np.ndarray,
    draws: int = 1,
) -> UnseenResult:
    """Draw each unseen prompt so many times and evaluate it; `training_pictures` are N × 64 × 64 × 3."""
    numbers = {thing.code: number for number, thing in enumerate(things)}
    prompts = [(prompt.prompt, numbers[prompt.code]) for prompt in unseen]
    recognised = evaluate_recognition(judge, engine, prompts, draws=draws)
    colour_is_right = [
        find_dominant_colour(picture) == prompt.colour
        for picture, prompt in zip(recognised.pictures, [*unseen] * draws, strict=True)
        if prompt.colour
    ]
    return UnseenResult(
        recognised, colour_is_right, *copies.find_nearest(shrink(recognised.pictures[: len(unseen)]), training_pictures)
    )


def measure_diversity(pictures: np.ndarray) -> float:
    """Return the mean distance between two different pictures of N × …, uint8."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float64) / 255
    distances = np.sqrt(np.square(flat[:, None] - flat[None]).mean(axis=2))
    return float(distances[np.triu_indices(len(pictures), 1)].mean())


def _measure_spread(features: np.ndarray) -> float:
    """Return the mean distance between two different rows of features."""
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    return float(distances[np.triu_indices(len(features), 1)].mean())


def find_dominant_colour(picture: np.ndarray) -> str:
    """Return the colour word for most of what is not white background, or "": of side × side × 3, uint8."""
    hsv = np.asarray(Image.fromarray(picture).convert("HSV"), np.float32) / 255
    visible = picture.min(axis=2) < PAPER_BRIGHTNESS * 255
    hue, saturation, value = (hsv[..., channel][visible] for channel in range(3))
    if not visible.any():
        return ""
    words = [*HUES, "brown", "black", "grey"]
    differences = np.abs(wrap_angle(hue[:, None] * 360 - np.asarray(list(HUES.values()))))
    colours = differences.argmin(axis=1)
    colours[(colours == words.index("orange")) & (value < 0.6)] = words.index("brown")
    colours[saturation < 0.2] = words.index("grey")
    colours[value < 0.25] = words.index("black")
    return words[int(np.bincount(colours, minlength=len(words)).argmax())]
