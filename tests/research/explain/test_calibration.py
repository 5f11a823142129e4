import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bot.documents.parse import parse_document
from plugins.explain.lessons.passages import Passage, split_passages
from plugins.explain.search.decision import FEATURE_COUNT, HAS_WORDINGS_FEATURE, HYBRID, Ranking
from plugins.explain.search.index import Index
from plugins.explain.search.reference_lesson import DEFAULT_LESSON
from research import DATA
from research.explain.calibration import (
    LabelledQuestion,
    calibrate,
    count_outcomes,
    fit_logistic,
    load_questions,
)

DEVELOPMENT = DATA / "explain" / "development.jsonl"
HELD_OUT = [DATA / "explain" / f"held_out{number}.jsonl" for number in ("", "_2", "_3")]
PLAIN, HEADINGS = DATA / "explain" / "plain_lesson.txt", DATA / "explain" / "plain_lesson_headings.json"


def headings(lesson: Path) -> set[str]:
    return {passage.heading for passage in split_passages(parse_document(lesson.read_bytes(), lesson.name))}


def passage(heading: str, *above: str, kind: str = "text") -> Passage:
    return Passage("Pets", (*above, heading), None, "Text.", heading.lower(), kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("held_out", HELD_OUT, ids=lambda path: path.stem)
def test_the_files_of_labelled_questions_are_complete_and_distinct(held_out: Path) -> None:
    halves = [load_questions(DEVELOPMENT), load_questions(held_out)]
    both = [question for half in halves for question in half]
    assert len(both) >= 300
    assert sum(not question.headings for question in both) >= 100
    assert len(halves[1]) * 4 > len(both)
    told = Counter(" ".join(question.question.casefold().split()) for question in both)
    assert [text for text, count in told.items() if count > 1] == []
    assert {heading for question in both for heading in question.headings} <= headings(DEFAULT_LESSON)


def test_the_other_lesson_has_a_heading_for_each_that_is_labelled() -> None:
    elsewhere = json.loads(HEADINGS.read_text("utf-8"))
    for path in (DEVELOPMENT, *HELD_OUT):
        assert all(load_questions(path, elsewhere))
    assert {heading for told in elsewhere.values() for heading in told} <= headings(PLAIN)


def test_labels_of_another_lesson(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"question": "meow?", "kind": "plain", "headings": ["Cats"]}\n', "utf-8")
    assert load_questions(path) == [LabelledQuestion("meow?", "plain", frozenset({"Cats"}))]
    assert load_questions(path, {"Cats": ["Felines", "Sounds"]})[0].headings == {"Felines", "Sounds"}


def test_an_overview_answers_a_question_that_several_of_its_sections_answer() -> None:
    lesson = [passage("Care", kind="overview"), passage("Food", "Care"), passage("Sleep", "Care"), passage("Cats")]
    both = LabelledQuestion("how do i care for it", "plain", frozenset({"Food", "Sleep"}))
    one = LabelledQuestion("what does it eat", "plain", frozenset({"Food"}))
    assert both.is_answered_by(lesson[0], lesson)
    assert not one.is_answered_by(lesson[0], lesson)
    assert one.is_answered_by(lesson[1], lesson)
    assert not both.is_answered_by(lesson[3], lesson)


def test_rates_count_each_kind_of_hit_and_miss() -> None:
    cats, dogs = passage("Cats"), passage("Dogs")
    index = Index([cats, dogs])
    sure, unsure, none = HYBRID.answer_unaided + 1, (HYBRID.answer_unaided + HYBRID.suggest) / 2, HYBRID.suggest - 1
    asked, found = [], []
    for wanted, first, second, confidence in (
        ("Cats", cats, dogs, sure),
        ("Cats", dogs, cats, sure),
        ("Cats", cats, dogs, unsure),
        ("", cats, dogs, sure),
        ("", cats, dogs, unsure),
        ("", cats, dogs, none),
    ):
        asked.append(LabelledQuestion("?", "plain", frozenset(filter(None, [wanted]))))
        found.append(Ranking((first, second), (0.0,) * FEATURE_COUNT, confidence, with_embeddings=True))
    assert count_outcomes(index, asked, found) == {
        "right first": (2, 3),
        "right in three": (3, 3),
        "right answers": (1, 3),
        "wrong answers": (1, 3),
        "false answers": (1, 3),
        "false suggestions": (1, 3),
    }


def test_the_fit_finds_the_weights_that_made_the_data() -> None:
    draw = np.random.default_rng(0)
    features = draw.standard_normal((4000, 2))
    odds = features @ np.array([2.0, -1.0]) + 0.5
    weights = fit_logistic(features, draw.random(4000) < 1 / (1 + np.exp(-odds)))
    assert np.allclose(weights, [2, -1, 0.5], atol=0.2)


def features(value: float, *, aided: bool) -> tuple[float, ...]:
    made = [0.0] * FEATURE_COUNT
    made[0], made[HAS_WORDINGS_FEATURE] = value, float(aided)
    return tuple(made)


def test_the_calibration_keeps_false_answers_few_with_wordings_and_without() -> None:
    draw = np.random.default_rng(1)
    has_answer, aided = draw.random(1200) < 0.6, draw.random(1200) < 0.5
    # Without wordings the two kinds of questions are harder to tell apart.
    values = np.where(has_answer, 1.0, -1.0) * np.where(aided, 1.5, 0.5) + draw.standard_normal(1200)
    asked = [LabelledQuestion(str(n), "plain", frozenset({"Cats"} if has else ())) for n, has in enumerate(has_answer)]
    given = [features(float(value), aided=bool(helped)) for value, helped in zip(values, aided, strict=True)]
    found = [Ranking((), one, 0.0, with_embeddings=True) for one in given]
    model = calibrate(asked, found)
    confidence = np.array(given) @ np.array(model.weights) + model.bias
    # Less is let through where wordings help.
    assert 0.015 < np.mean(confidence[~has_answer & aided] >= model.answer) < 0.045
    assert 0.03 < np.mean(confidence[~has_answer & ~aided] >= model.answer_unaided) < 0.07
    assert np.mean(confidence[has_answer] >= model.suggest) > 0.95
    assert model.suggest < model.answer < model.answer_unaided


def test_a_group_without_questions_gets_an_infinite_threshold() -> None:
    has_answer = np.arange(200) % 3 > 0
    asked = [LabelledQuestion(str(n), "plain", frozenset({"Cats"} if has else ())) for n, has in enumerate(has_answer)]
    noise = np.random.default_rng(2).standard_normal(200)
    found = [
        Ranking((), features(has + float(value), aided=True), 0.0, with_embeddings=True)
        for has, value in zip(has_answer, noise, strict=True)
    ]
    assert calibrate(asked, found).answer_unaided == math.inf
