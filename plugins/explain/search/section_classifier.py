"""What the wordings of a lesson teach about which section a question is asked of.

The nearest wording alone is a poor judge: what many wordings of a section have in common, and those of others have not,
says more. Kernel ridge regression (Saunders, Gammerman and Vovk, “Ridge Regression Learning Algorithm in Dual
Variables”, 1998) with a Gaussian kernel learns it in one step from embeddings, again whenever a lesson changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from plugins.explain.search.types import Floats

WIDTH = 2.0
"""How fast what is learnt from a text fades with the distance from it."""
RIDGE = 0.1
"""How little a single text counts against its neighbours."""
MOST = 4000
"""Texts to learn from; the work grows with the third power."""


class SectionClassifier:
    """For each of some sections, how much a question is like those asked of it and of no other."""

    def __init__(self, rows: Floats, sections: NDArray[np.intp]) -> None:
        """`rows` are embeddings of length 1, shape (texts, width); `sections` says of which each is, counted from 0."""
        told = np.eye(int(sections.max()) + 1, dtype=np.float32)[sections]
        kernel = _nearness(rows @ rows.T)
        kernel[np.diag_indices_from(kernel)] += RIDGE
        self._weights = np.linalg.solve(kernel, told - told.mean(axis=0)).astype(np.float32)

    def scores(self, likenesses: Floats) -> NDArray[Any]:
        """A number for each section, about 0 to 1. `likenesses` are the question's to each of the rows, at most 1."""
        return np.asarray(np.einsum("i,ij->j", _nearness(likenesses), self._weights))


def _nearness(likenesses: Floats) -> Floats:
    return np.asarray(np.exp(WIDTH * (likenesses - 1)), np.float32)
