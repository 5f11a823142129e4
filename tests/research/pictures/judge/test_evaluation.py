"""The evaluation gives the right figures for pictures whose figures are known."""

import io
from collections import deque
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from model_server.errors import OperatorError
from model_server.jobs import Event, Failed, Finished, Imagine, Job, Picture, Started
from research.pictures.data.things import Thing, UnseenPrompt
from research.pictures.judge import evaluation

COLOURS = {"red": (230, 20, 20), "green": (20, 200, 20), "blue": (20, 60, 230)}


class PaintingEngine:
    """Paints the colour in the prompt, paler with less guidance; takes two jobs and finishes the later one first."""

    capacity = 2

    def __init__(self) -> None:
        self.tasks: list[Imagine] = []
        self._jobs: deque[Job] = deque()

    def load(self) -> None:
        """Do nothing: there is nothing to load."""

    def add(self, job: Job) -> None:
        assert len(self._jobs) < self.capacity
        assert isinstance(job.task, Imagine)
        self.tasks.append(job.task)
        self._jobs.append(job)

    def step(self) -> Sequence[Event]:
        job = self._jobs.pop()
        task = job.task
        assert isinstance(task, Imagine)
        if "broken" in task.prompt:
            return [Failed(job=job.id, message="The paint ran out.")]
        colour = next(colour for name, colour in COLOURS.items() if name in task.prompt)
        noise = np.random.default_rng(task.seed).normal(0, 40 / (task.guidance or 1), (64, 64, 3))
        faded = 255 - (255 - np.asarray(colour)) * min(1.0, (task.guidance or 1) / 3)
        picture = Image.fromarray(np.clip(faded + noise, 0, 255).astype(np.uint8))
        picture.save(data := io.BytesIO(), "PNG")
        return [
            Started(job=job.id),
            Picture(job=job.id, data=data.getvalue()),
            Finished(job=job.id),
        ]

    def remove(self, job_id: str) -> None:
        """Do nothing: no test cancels a job."""


class ColourJudge:
    """Scores three things by the red, green and blue of a picture."""

    def scores(self, pictures: np.ndarray) -> np.ndarray:
        sure = np.exp(pictures.mean(axis=(1, 2)) / 32)
        return sure / sure.sum(axis=1, keepdims=True)

    def features(self, pictures: np.ndarray) -> np.ndarray:
        return pictures.mean(axis=(1, 2))


THINGS = [Thing("a", "red"), Thing("b", "green"), Thing("c", "blue")]


def flat(*colour: int) -> np.ndarray:
    return np.full((64, 64, 3), colour, np.uint8)


def test_pictures_come_in_the_order_of_their_prompts() -> None:
    painter = PaintingEngine()
    prompts = ["red", "green", "blue", "red", "green"]
    tasks = [Imagine(prompt=prompt, seed=1, guidance=9.0) for prompt in prompts]
    pictures, references = evaluation.draw_pictures(painter, tasks)
    assert [len(looked_at) for looked_at in references] == [0] * 5
    assert pictures.shape == (5, 64, 64, 3)
    assert [int(picture.mean(axis=(0, 1)).argmax()) for picture in pictures] == [0, 1, 2, 0, 1]


def test_a_failed_picture_raises_store_error() -> None:
    with pytest.raises(OperatorError, match="could not be drawn: The paint ran out"):
        evaluation.draw_pictures(PaintingEngine(), [Imagine(prompt="broken", seed=1)])


def test_recognition_is_ranked_by_the_scores_of_the_judge() -> None:
    painter = PaintingEngine()
    result = evaluation.evaluate_recognition(ColourJudge(), painter, [("red", 0), ("green", 1), ("blue", 0)])
    assert result.ranks.tolist()[:2] == [0, 0]
    assert result.top_share(1) == pytest.approx(2 / 3)
    assert result.top_share(3) == 1
    assert result.scores[0] > 0.8 > 0.2 > result.scores[2]
    assert [task.seed for task in painter.tasks] == [0, 1, 2]
    assert {task.steps for task in painter.tasks} == {evaluation.STEPS}


def test_each_draw_has_other_seeds_and_other_styles() -> None:
    painter = PaintingEngine()
    result = evaluation.evaluate_recognition(ColourJudge(), painter, [("red", 0), ("green", 1)], draws=3)
    assert [task.seed for task in painter.tasks] == [0, 1, 3, 4, 6, 7]
    assert result.ranks.tolist() == [0] * 6


def test_variety_is_compared_with_the_drawings_of_the_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "VARIETY_STRIDE", 2)
    noisy = [np.full((64, 64, 3), level, np.uint8) for level in (0, 60, 120)]
    painter = PaintingEngine()
    variety = evaluation.evaluate_variety(ColourJudge(), painter, THINGS, {0: noisy, 2: noisy})
    assert [task.prompt for task in painter.tasks] == ["red"] * 4 + ["blue"] * 4
    assert len({task.seed for task in painter.tasks}) == 8
    assert 0 < variety.least <= variety.mean < 0.2
    # What is painted differs in its noise alone, which the mean of a picture hardly shows.
    assert variety.share < 0.1


def test_more_guidance_raises_the_score_and_lowers_the_diversity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "THING_STRIDE", 2)
    painter = PaintingEngine()
    scores = evaluation.evaluate_guidance(ColourJudge(), THINGS, painter)
    assert [score.guidance for score in scores] == list(evaluation.GUIDANCES)
    assert scores[-1].score > scores[0].score
    assert scores[-1].diversity < scores[0].diversity
    prompts_and_seeds = [(task.prompt, task.seed) for task in painter.tasks]
    assert prompts_and_seeds[: len(prompts_and_seeds) // len(scores)] * len(scores) == prompts_and_seeds
    assert {prompt for prompt, _ in prompts_and_seeds} == {"red", "blue"}


def test_unseen_prompts_are_evaluated_by_thing_and_by_colour() -> None:
    unseen = [
        UnseenPrompt("a", "red", colour="red"),
        UnseenPrompt("b", "green", colour="blue"),
        UnseenPrompt("a", "blue in the snow", scene="in the snow"),
    ]
    training_pictures = np.stack([flat(255, 255, 255), flat(*COLOURS["green"]), flat(*COLOURS["red"])])
    result = evaluation.evaluate_unseen(ColourJudge(), THINGS, PaintingEngine(), unseen, training_pictures)
    assert result.recognised.ranks.tolist()[:2] == [0, 0]
    assert result.recognised.ranks[2] > 0
    assert result.colour_is_right == [True, False]
    assert result.nearest.tolist()[:2] == [2, 1]
    assert result.nearest_distances[0] < 0.1 < result.nearest_distances[2]


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    pictures = np.stack([flat(0, 0, 0), flat(0, 0, 0), flat(255, 255, 255)])
    assert evaluation.measure_diversity(pictures) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("colour", "word"),
    [
        ((230, 40, 40), "red"),
        ((250, 140, 20), "orange"),
        ((250, 220, 40), "yellow"),
        ((60, 170, 60), "green"),
        ((40, 120, 230), "blue"),
        ((140, 60, 200), "purple"),
        ((250, 120, 190), "pink"),
        ((120, 70, 30), "brown"),
        ((20, 20, 25), "black"),
        ((150, 150, 155), "grey"),
    ],
)
def test_the_dominant_colour_is_named(colour: tuple[int, int, int], word: str) -> None:
    picture = flat(255, 255, 255)
    picture[10:50, 10:50] = (0, 255, 255)
    picture[12:50, 10:50] = colour
    assert evaluation.find_dominant_colour(picture) == word


def test_a_blank_picture_has_no_colour() -> None:
    assert evaluation.find_dominant_colour(flat(250, 252, 250)) == ""
