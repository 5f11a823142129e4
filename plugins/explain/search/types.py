"""The types that the modules of the search share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugins.explain.lessons.passages import Passage
    from plugins.explain.search.decision import Ranking

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Query:
    """A question as an index reads it: the stems of its words without stop words, and its texts.

    `texts` are the question and, if that differs, the corrected question. `with_subject` is the question with the
    subject of the lesson in place of “it”, or "" if it has no such word.
    """

    question: str
    stems: tuple[str, ...]
    texts: tuple[str, ...]
    with_subject: str = ""

    @property
    def embedded_texts(self) -> tuple[str, ...]:
        """The texts to embed."""
        return (*self.texts, self.with_subject) if self.with_subject else self.texts


@dataclass(frozen=True, slots=True)
class PassageScores:
    """The scores of some passages for a question: the total and what it was computed from, one number per passage."""

    total: NDArray[Any]
    similarity: NDArray[Any]
    best_similarity: NDArray[Any]
    word_coverage: NDArray[Any]
    ngram_overlap: NDArray[Any]
    section_score: NDArray[Any]

    def select(self, positions: NDArray[np.intp]) -> PassageScores:
        """Return the scores of the passages at some positions."""
        return PassageScores(*(getattr(self, field.name)[positions] for field in fields(self)))


class SearchIndex(Protocol):
    """The part of a search index that the index of another lesson uses."""

    @property
    def passages(self) -> Sequence[Passage]:
        """The passages in the order of their numbers."""

    def rank(
        self, query: Query, embeddings: Sequence[Sequence[float]] | None = None, scores: PassageScores | None = None
    ) -> Ranking:
        """Return the best passages for a question."""

    def score_all(self, query: Query, embeddings: Sequence[Sequence[float]] | None) -> PassageScores:
        """Return the scores of all passages for a question."""

    def word_overlap(self, other: Passage) -> NDArray[Any]:
        """Return, for each passage, the share of another passage's words that it has."""
