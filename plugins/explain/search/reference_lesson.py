"""Uses a lesson whose author wrote down how pupils ask to find passages of other lessons on the same subject.

Teachers' lessons have no such wordings. So a question is first asked of a reference lesson, the one that comes with
Tempera: passages of other lessons that say the same as its best passages are then likely to answer the question.
For a lesson on another subject no passage is similar to one of the reference lesson, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.explain.search.types import Floats, Query, SearchIndex

DEFAULT_LESSON = Path(__file__).parents[3] / "config" / "lessons" / "what-is-generative-ai.md"
"""The lesson that comes with Tempera."""
TEMPERATURE, LEXICAL_TEMPERATURE = 0.1, 0.2
"""The temperature of the softmax over the reference lesson's scores, with embeddings and by words alone."""
MIN_SIMILARITY, LEXICAL_MIN_SIMILARITY = 0.4, 0.03
"""The similarity that passages on different subjects may have; only the part above it counts."""
SAME_SUBJECT_MARGIN = 0.25
"""The part above it at which two passages certainly have the same subject."""
MIN_CONFIDENCE, MAX_CONFIDENCE = -1.0, 4.0
"""The limits of the reference lesson's log-odds. The lower one is near 0, since a lesson may know what it does not."""


@dataclass(frozen=True, slots=True)
class ReferenceScores:
    """The results of a question in the reference lesson, for the passages of an index.

    `relevance` says how well its best passages agree with each passage, 0 to 1, shape (passages,). `similarity` is that
    of its passages to those of the index, shape (reference passages, passages). `confidence` is the log-odds that the
    reference lesson answers the question.
    """

    relevance: NDArray[Any]
    similarity: NDArray[Any]
    confidence: float

    def confidence_for(self, position: int) -> tuple[float, float]:
        """Return the confidence times the coverage of the passage at `position`, and this coverage.

        The coverage says how far the reference lesson has the subject of the passage, 0 to 1.
        """
        coverage = min(float(self.similarity[:, position].max()) / SAME_SUBJECT_MARGIN, 1.0)
        return coverage * self.confidence, coverage


class ReferenceLesson:
    """A reference lesson, compared with an index of other lessons.

    Embeddings are used if both have theirs; the reference lesson must get them first.
    """

    def __init__(self, reference: SearchIndex, index: SearchIndex) -> None:
        self._reference = reference
        overlaps = np.array([index.word_overlap(passage) for passage in reference.passages])
        self._word_similarity = np.maximum(overlaps - LEXICAL_MIN_SIMILARITY, 0)
        self._embedding_similarity: NDArray[Any] | None = None

    def attach(self, reference: Floats, index: Floats) -> None:
        """Compare the passages by their embeddings: a row of length 1 for each passage of either."""
        self._embedding_similarity = np.maximum(np.einsum("ik,jk->ij", reference, index) - MIN_SIMILARITY, 0)

    def score(self, query: Query, embeddings: Sequence[Sequence[float]] | None) -> ReferenceScores | None:
        """Ask the reference lesson. Returns None if there are `embeddings`, but none of the passages."""
        similarity = self._word_similarity if embeddings is None else self._embedding_similarity
        if similarity is None:
            return None
        temperature = LEXICAL_TEMPERATURE if embeddings is None else TEMPERATURE
        scores = self._reference.score_all(query, embeddings)
        likelihood = np.exp((scores.total - scores.total.max()) / temperature)
        relevance = likelihood / likelihood.sum() @ similarity
        confidence = self._reference.rank(query, embeddings, scores).confidence
        return ReferenceScores(relevance, similarity, min(max(confidence, MIN_CONFIDENCE), MAX_CONFIDENCE))
