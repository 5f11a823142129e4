"""From a lesson whose author wrote down how pupils ask, to other lessons about the same.

Teachers' lessons have no such wordings. A question that a guide, such as the lesson that comes with Tempera, has the
place for also fits those passages of other lessons that say what stands there. Where a lesson is about something else,
no passage of the guide is like any of its own, and the bridge leads nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from plugins.explain.search.types import Floats, Query, SearchIndex

DEFAULT_LESSON = Path(__file__).parents[3] / "config" / "lessons" / "what-is-generative-ai.md"
"""The lesson that comes with Tempera."""
SHARPNESS, LEXICAL_SHARPNESS = 0.1, 0.2
"""Differences of the guide's scores that count as large."""
ALIKE, LEXICAL_ALIKE = 0.4, 0.03
"""How like each other passages about different things may be; only what is above counts."""
SAME = 0.25
"""How far above it passages are that are about the same for certain."""
UNSURE, SURE = -1.0, 4.0
"""The log-odds of the guide that count. A lesson may know what its guide does not, so that counts less."""


@dataclass(frozen=True, slots=True)
class Guidance:
    """How well a guide's places for a question lead to each passage, 0 to 1; what it is alike to; how sure it is."""

    leads: NDArray[Any]
    alike: NDArray[Any]
    confidence: float

    def sureness(self, place: int) -> tuple[float, float]:
        """How sure the guide is to answer the question, as far as it knows what the passage at `place` is about.

        The second number is how far that is, 0 to 1.
        """
        known = min(float(self.alike[:, place].max()) / SAME, 1.0)
        return known * self.confidence, known


class ReferenceLesson:
    """Between a guide and an index of other lessons. Embeddings count where both have theirs, the guide first."""

    def __init__(self, guide: SearchIndex, index: SearchIndex) -> None:
        self._guide = guide
        self._said = np.array([np.maximum(index.share_of(passage) - LEXICAL_ALIKE, 0) for passage in guide.passages])
        self._meant: NDArray[Any] | None = None

    def attach(self, guide: Floats, index: Floats) -> None:
        """Take in what the passages of either mean: a row of length 1 for each."""
        self._meant = np.maximum(np.einsum("ik,jk->ij", guide, index) - ALIKE, 0)

    def guidance(self, query: Query, embedded: Sequence[Sequence[float]] | None) -> Guidance | None:
        """What the guide makes of a question; None where embeddings are to decide and one of the two has none."""
        alike = self._said if embedded is None else self._meant
        if alike is None:
            return None
        scored = self._guide.scored(query, embedded)
        likely = np.exp((scored.score - scored.score.max()) / (LEXICAL_SHARPNESS if embedded is None else SHARPNESS))
        confidence = self._guide.rank(query, embedded, scored).confidence
        return Guidance(likely / likely.sum() @ alike, alike, min(max(confidence, UNSURE), SURE))
