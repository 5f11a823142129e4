"""Labelled questions: how many of them an index answers rightly, and the decision fitted to them.

A file holds one JSON object a line: `question`; `kind`; `headings`, the lesson's headings under which an answer stands,
empty where the lesson has none. Another lesson about the same needs no labels of its own, only what its headings are.
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

FALSE_ANSWERS, FALSE_ANSWERS_AIDED = 0.05, 0.03
"""What share of questions without an answer may get one in cross-validation, and where wordings and embeddings help.

More of other people's questions get one there, since the wordings were written by those who knew these.
"""
KEPT, KEPT_BY_WORDS = 0.98, 0.97
"""What share of questions with an answer must get at least suggestions: by embeddings, and by words alone.

Words tell the rest less well from questions without an answer, half of which would get suggestions, too.
"""
PENALTY = 0.0003
FOLDS = 8
REPETITIONS = 10


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question, and the headings that answer it."""

    question: str
    kind: str
    headings: frozenset[str]

    def is_answered_by(self, passage: Passage, lesson: Sequence[Passage]) -> bool:
        """Whether a passage is right. An overview also is where several of the sections that it names are."""
        if passage.heading in self.headings:
            return True
        below = {other.heading for other in lesson if other.path[: len(passage.path)] == passage.path}
        return passage.kind == "overview" and len(below & self.headings) > 1


def load(path: Path, elsewhere: Mapping[str, Sequence[str]] | None = None) -> list[Labelled]:
    """The labelled questions of a file. `elsewhere` tells another lesson's headings by those of the labels."""
    questions = []
    for row in map(json.loads, path.read_text("utf-8").splitlines()):
        headings = row["headings"]
        if elsewhere is not None:
            headings = [other for heading in headings for other in elsewhere[heading]]
        questions.append(Labelled(row["question"], row["kind"], frozenset(headings)))
    return questions


def interval(hits: int, of: int) -> tuple[float, float]:
    """The 95% interval of a rate (Wilson, “Probable inference”, 1927)."""
    if not of:
        return 0.0, 1.0
    z, rate = 1.96, hits / of
    middle = (rate + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(rate * (1 - rate) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def rates(index: Index, questions: Sequence[Labelled], rankings: Sequence[Ranking]) -> dict[str, tuple[int, int]]:
    """Hits and attempts of everything that is reported, by name."""
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
    answered = sum(bool(question.headings) for question in questions)
    return {
        name: (count, len(questions) - answered if name.startswith("false") else answered)
        for name, count in counts.items()
    }


def fit(features: NDArray[np.float64], has_answer: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights and bias of a logistic regression with a small penalty on the weights, by Newton's method."""
    rows = np.column_stack([features, np.ones(len(features))])
    penalty = np.diag([PENALTY] * features.shape[1] + [1e-9]) * 2
    weights = np.zeros(rows.shape[1])
    for _ in range(50):
        likely = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (likely - has_answer) / len(rows) + penalty @ weights
        curve = (rows * (likely * (1 - likely))[:, None]).T @ rows / len(rows) + penalty
        weights -= np.linalg.solve(curve, slope)
    return weights


def calibrate(questions: Sequence[Labelled], rankings: Sequence[Ranking]) -> DecisionModel:
    """The weights fitted to all questions, and thresholds from confidences of models that had not seen the question.

    A question that was asked of several lessons stands there several times, and is unseen only if it is in none of
    the folds that the model was fitted to.
    """
    features = np.array([ranking.features for ranking in rankings])
    has_answer = np.array([bool(question.headings) for question in questions])
    texts, text_of = np.unique([question.question for question in questions], return_inverse=True)
    unseen = np.zeros(len(questions))
    for seed in range(REPETITIONS):
        fold_of = np.random.default_rng(seed).permutation(len(texts))[text_of] % FOLDS
        for fold in range(FOLDS):
            tested = fold_of == fold
            *weights, bias = fit(features[~tested], has_answer[~tested])
            unseen[tested] += (features[tested] @ np.array(weights) + bias) / REPETITIONS
    aided = np.array([ranking.is_aided for ranking in rankings])
    if rankings[0].with_embeddings:
        share, kept = FALSE_ANSWERS_AIDED, KEPT
    else:
        share, kept = FALSE_ANSWERS, KEPT_BY_WORDS
    answer = _exceeded_by(share, unseen[~has_answer & aided])
    alone = _exceeded_by(FALSE_ANSWERS, unseen[~has_answer & ~aided])
    suggest = np.quantile(unseen[has_answer], 1 - kept)
    *weights, bias = (round(float(value), 2) for value in fit(features, has_answer))
    return DecisionModel(tuple(weights), bias, answer, alone, round(float(suggest), 2))


def _exceeded_by(share: float, confidences: NDArray[np.float64]) -> float:
    """What only this share is above, and a little above the first that must not be; infinite where there are none."""
    if not len(confidences):
        return math.inf
    return round(float(np.sort(confidences)[::-1][int(share * len(confidences))]) + 0.01, 2)
