"""Whether the best passage answers a question: an answer, “did you mean”, or “not in the lessons”.

A logistic model of a few numbers about question and passage says how likely it is an answer; calibration.py fits it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from plugins.explain.lessons.passages import Passage

SUGGESTIONS = 3
FEATURES = 11
"""Numbers that the decision is made from; `Index.rank` lists them."""
HAS_WORDINGS, KNOWN_TO_GUIDE, HALF = 6, 9, 0.5
"""Places of two of them, and what the second must be above."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The lessons answer the question with `passage`; `others` come nearest after it, each under another heading."""

    passage: Passage
    others: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class DidYouMean:
    """Perhaps one of these, up to three, each under another heading, is what was meant."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class NotInLessons:
    """The lessons do not answer it; `topics` is what they are about, by lesson."""

    topics: Mapping[str, Sequence[str]]


Decision = Answer | DidYouMean | NotInLessons


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best passage of each of the best headings, and the log-odds that the first one answers the question."""

    passages: tuple[Passage, ...]
    features: tuple[float, ...]
    confidence: float
    with_embeddings: bool

    @property
    def is_aided(self) -> bool:
        """Whether further wordings, the lesson's own or a guide's, tell of the first passage."""
        return bool(self.features[HAS_WORDINGS]) or self.features[KNOWN_TO_GUIDE] > HALF


@dataclass(frozen=True, slots=True)
class DecisionModel:
    """Weights of `Ranking.features` and what is needed for an answer and for a suggestion, as log-odds.

    `alone` is needed for an answer where neither wordings nor a guide help, and near misses look more like answers.
    """

    weights: tuple[float, ...]
    bias: float
    answer: float
    alone: float
    suggest: float

    def confidence(self, features: Sequence[float]) -> float:
        """The log-odds that a passage with these features is an answer."""
        return sum(map(float.__mul__, self.weights, features)) + self.bias


HYBRID = DecisionModel(
    weights=(3.16, 2.51, 2.49, -3.64, 1.17, 0.4, -3.57, 0.47, 1.96, -1.41, 3.18),
    bias=-3.62,
    answer=1.25,
    alone=1.63,
    suggest=-0.91,
)
LEXICAL = DecisionModel(
    weights=(0.0, 0.0, 3.24, -3.45, 1.64, 0.82, -1.27, 1.4, 1.73, -1.4, 0.0),
    bias=-2.63,
    answer=1.63,
    alone=1.64,
    suggest=-1.13,
)


def decide(ranking: Ranking, topics: Mapping[str, Sequence[str]]) -> Decision:
    """What to say to whoever asked."""
    model = HYBRID if ranking.with_embeddings else LEXICAL
    needed = model.answer if ranking.is_aided else model.alone
    if ranking.passages and ranking.confidence >= needed:
        return Answer(ranking.passages[0], ranking.passages[1:])
    if ranking.passages and ranking.confidence >= model.suggest:
        return DidYouMean(ranking.passages)
    return NotInLessons(topics)
