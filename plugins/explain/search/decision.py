"""Decides between an answer, “did you mean” and “not in the lessons”.

A logistic model of a few features of the question and the best passage says how likely the passage is an answer.
research/explain/calibration.py fits the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from plugins.explain.lessons.passages import Passage

MAX_SUGGESTIONS = 3
FEATURE_COUNT = 11
"""The number of features; `Index.rank` lists them."""
HAS_WORDINGS_FEATURE, REFERENCE_COVERAGE_FEATURE, MIN_REFERENCE_COVERAGE = 6, 9, 0.5
"""The positions of two features, and the value above which the second one counts."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The lessons answer the question with `passage`. `others` are the next best, each under another heading."""

    passage: Passage
    others: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class DidYouMean:
    """One of up to three passages, each under another heading, may be what was meant."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class NotInLessons:
    """The lessons do not answer the question. `topics` are their main headings, by lesson."""

    topics: Mapping[str, Sequence[str]]


Decision = Answer | DidYouMean | NotInLessons


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best passage of each of the best headings, and the log-odds that the first one answers the question.

    `is_literal`: the question stands in the first passage, or is its heading or a further wording of it.
    """

    passages: tuple[Passage, ...]
    features: tuple[float, ...]
    confidence: float
    with_embeddings: bool
    is_literal: bool = False
    is_foreign: bool = False
    """True for a German or Spanish passage with further wordings."""

    @property
    def is_answered(self) -> bool:
        """True if the first passage answers a question about the lessons."""
        return self.is_literal or (bool(self.passages) and self.confidence >= self.answer_threshold)

    @property
    def model(self) -> DecisionModel:
        """The model that judges it."""
        return choose_model(with_embeddings=self.with_embeddings, is_foreign=self.is_foreign)

    @property
    def is_aided(self) -> bool:
        """True if further wordings, of the lesson itself or of the reference lesson, describe the first passage."""
        return (
            bool(self.features[HAS_WORDINGS_FEATURE])
            or self.features[REFERENCE_COVERAGE_FEATURE] > MIN_REFERENCE_COVERAGE
        )

    @property
    def answer_threshold(self) -> float:
        """The log-odds from which on the first passage is an answer to a question about the lessons."""
        return self.model.answer if self.is_aided else self.model.answer_unaided


@dataclass(frozen=True, slots=True)
class DecisionModel:
    """The weights of `Ranking.features`, and the thresholds of an answer and of suggestions, as log-odds.

    `answer_unaided` is the threshold of an answer for rankings that are not aided: there, near misses look more like
    answers.
    """

    weights: tuple[float, ...]
    bias: float
    answer: float
    answer_unaided: float
    suggest: float

    def confidence(self, features: Sequence[float]) -> float:
        """Return the log-odds that a passage with these features is an answer."""
        return sum(map(float.__mul__, self.weights, features)) + self.bias


HYBRID = DecisionModel(
    weights=(3.16, 2.51, 2.49, -3.64, 1.17, 0.4, -3.57, 0.47, 1.96, -1.41, 3.18),
    bias=-3.62,
    answer=1.25,
    answer_unaided=1.63,
    suggest=-0.91,
)
LEXICAL = DecisionModel(
    weights=(0.0, 0.0, 3.24, -3.45, 1.64, 0.82, -1.27, 1.4, 1.73, -1.4, 0.0),
    bias=-2.63,
    answer=1.63,
    answer_unaided=1.64,
    suggest=-1.13,
)


FOREIGN_HYBRID = DecisionModel(
    weights=(2.37, 4.1, 3.2, -3.71, 2.26, 1.91, 0.0, 3.49, 0.0, 0.0, 0.53),
    bias=-11.42,
    answer=1.54,
    answer_unaided=math.inf,
    suggest=-1.71,
)
FOREIGN_LEXICAL = DecisionModel(
    weights=(0.0, 0.0, 3.83, -4.14, 1.69, 1.35, 0.0, 4.95, 0.0, 0.0, 0.0),
    bias=-7.66,
    answer=1.26,
    answer_unaided=math.inf,
    suggest=-0.84,
)
"""For German and Spanish passages with further wordings, all of which are aided: with multilingual E5, and by words."""


def choose_model(*, with_embeddings: bool, is_foreign: bool) -> DecisionModel:
    """Return the model that judges a ranking."""
    if is_foreign:
        return FOREIGN_HYBRID if with_embeddings else FOREIGN_LEXICAL
    return HYBRID if with_embeddings else LEXICAL


def decide(ranking: Ranking, topics: Mapping[str, Sequence[str]]) -> Decision:
    """Choose between an answer, suggestions and a refusal by the confidence of a ranking."""
    if ranking.is_answered:
        return Answer(ranking.passages[0], ranking.passages[1:])
    if ranking.passages and ranking.confidence >= ranking.model.suggest:
        return DidYouMean(ranking.passages)
    return NotInLessons(topics)
