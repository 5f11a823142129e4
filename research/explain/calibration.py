"""Counts how many labelled questions an index answers correctly, and fits the decision to them.

A file of labelled questions has one JSON object per line: `question`; `kind`; and `headings`, the headings of the
lesson under which an answer is, empty if there is none. Another lesson on the same subject needs no labels of its own,
only a table of its headings by those of the labels.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from plugins.explain.search.decision import Answer, DecisionModel, DidYouMean, Ranking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from plugins.explain.lessons.passages import Passage
    from plugins.explain.search.index import Index

MAX_FALSE_ANSWERS, MAX_FALSE_ANSWERS_AIDED = 0.05, 0.03
"""The share of questions without an answer that may get one in cross-validation, unaided and aided.

A ranking is aided by wordings and embeddings. There the share is smaller, because more questions of other people will
get an answer: the authors of the wordings knew the questions of the cross-validation.
"""
MIN_SUGGESTED, MIN_SUGGESTED_BY_WORDS = 0.98, 0.97
"""The share of questions with an answer that must get at least suggestions, with embeddings and by words alone.

Words alone separate questions with and without an answer less well: a larger share would give suggestions to half of
the questions without an answer.
"""
PENALTY = 0.0003
FOLDS = 8
REPETITIONS = 10


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """A question, and the headings that answer it."""

    question: str
    kind: str
    headings: frozenset[str]

    def is_answered_by(self, passage: Passage, lesson: Sequence[Passage]) -> bool:
        """Return True if a passage answers the question; an overview does if several sections below it do."""
        if passage.heading in self.headings:
            return True
        below = {other.heading for other in lesson if other.path[: len(passage.path)] == passage.path}
        return passage.kind == "overview" and len(below & self.headings) > 1


def load_questions(path: Path, other_headings: Mapping[str, Sequence[str]] | None = None) -> list[LabelledQuestion]:
    """Load labelled questions. `other_headings` are the headings of another lesson, by those of the labels."""
    questions = []
    for row in map(json.loads, path.read_text("utf-8").splitlines()):
        headings = row["headings"]
        if other_headings is not None:
            headings = [other for heading in headings for other in other_headings[heading]]
        questions.append(LabelledQuestion(row["question"], row["kind"], frozenset(headings)))
    return questions


def count_outcomes(
    index: Index, questions: Sequence[LabelledQuestion], rankings: Sequence[Ranking]
) -> dict[str, tuple[int, int]]:
    """Return the count of each outcome and the number of questions that could have it, by name."""
    counts = dict.fromkeys(
        ("right first", "right in three", "right answers", "wrong answers", "false answers", "false suggestions"), 0
    )
    for question, ranking in zip(questions, rankings, strict=True):
        right = [question.is_answered_by(passage, index.passages) for passage in ranking.passages]
        decision = index.decide(ranking)
        if question.headings:
            counts["right first"] += any(right[:1])
            counts["right in three"] += any(right)
            counts["right answers"] += isinstance(decision, Answer) and right[0]
            counts["wrong answers"] += isinstance(decision, Answer) and not right[0]
        else:
            counts["false answers"] += isinstance(decision, Answer)
            counts["false suggestions"] += isinstance(decision, DidYouMean)
    with_answer = sum(bool(question.headings) for question in questions)
    return {
        name: (count, len(questions) - with_answer if name.startswith("false") else with_answer)
        for name, count in counts.items()
    }


def fit_logistic(features: NDArray[np.float64], has_answer: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the weights, and last the bias, of a logistic regression with a small L2 penalty, by Newton's method."""
    rows = np.column_stack([features, np.ones(len(features))])
    penalty = np.diag([PENALTY] * features.shape[1] + [1e-9]) * 2
    weights = np.zeros(rows.shape[1])
    for _ in range(50):
        probability = 1 / (1 + np.exp(-rows @ weights))
        gradient = rows.T @ (probability - has_answer) / len(rows) + penalty @ weights
        hessian = (rows * (probability * (1 - probability))[:, None]).T @ rows / len(rows) + penalty
        weights -= np.linalg.solve(hessian, gradient)
    return weights


def calibrate(questions: Sequence[LabelledQuestion], rankings: Sequence[Ranking]) -> DecisionModel:
    """Fit the weights to all questions, and the thresholds by cross-validation.

    A question that was asked of several lessons appears several times, always in the same fold.
    """
    features = np.array([ranking.features for ranking in rankings])
    has_answer = np.array([bool(question.headings) for question in questions])
    texts, text_of = np.unique([question.question for question in questions], return_inverse=True)
    confidences = np.zeros(len(questions))
    for seed in range(REPETITIONS):
        fold_of = np.random.default_rng(seed).permutation(len(texts))[text_of] % FOLDS
        for fold in range(FOLDS):
            held_out = fold_of == fold
            *weights, bias = fit_logistic(features[~held_out], has_answer[~held_out])
            confidences[held_out] += (features[held_out] @ np.array(weights) + bias) / REPETITIONS
    aided = np.array([ranking.is_aided for ranking in rankings])
    if rankings[0].with_embeddings:
        max_false, min_suggested = MAX_FALSE_ANSWERS_AIDED, MIN_SUGGESTED
    else:
        max_false, min_suggested = MAX_FALSE_ANSWERS, MIN_SUGGESTED_BY_WORDS
    answer = _threshold(max_false, confidences[~has_answer & aided])
    answer_unaided = _threshold(MAX_FALSE_ANSWERS, confidences[~has_answer & ~aided])
    suggest = np.quantile(confidences[has_answer], 1 - min_suggested)
    *weights, bias = (round(float(value), 2) for value in fit_logistic(features, has_answer))
    return DecisionModel(tuple(weights), bias, answer, answer_unaided, round(float(suggest), 2))


def _threshold(share: float, confidences: NDArray[np.float64]) -> float:
    """Return the threshold that at most this share of the confidences exceeds; infinity if there are none."""
    if not len(confidences):
        return math.inf
    return round(float(np.sort(confidences)[::-1][int(share * len(confidences))]) + 0.01, 2)
