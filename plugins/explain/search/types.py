"""The types that the parts of the search share."""

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
    """A question as an index reads it: the stems that say something, and the texts to embed."""

    question: str
    stems: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """What some passages have to do with a question, a number for each: in all, and what that was made from."""

    score: NDArray[Any]
    likeness: NDArray[Any]
    best: NDArray[Any]
    coverage: NDArray[Any]
    letters: NDArray[Any]
    taught: NDArray[Any]

    def at(self, places: NDArray[np.intp]) -> Scored:
        """Those at some places."""
        return Scored(*(getattr(self, field.name)[places] for field in fields(self)))


class SearchIndex(Protocol):
    """The part of a search index that another lesson's index makes use of."""

    @property
    def passages(self) -> Sequence[Passage]:
        """The passages in the order of their numbers."""

    def rank(
        self, query: Query, embedded: Sequence[Sequence[float]] | None = None, scored: Scored | None = None
    ) -> Ranking:
        """Return the best passages for a question."""

    def scored(self, query: Query, embedded: Sequence[Sequence[float]] | None) -> Scored:
        """Return the scores of all passages for a question."""

    def share_of(self, other: Passage) -> NDArray[Any]:
        """Return, for each passage, the share of another passage's words that it has."""
