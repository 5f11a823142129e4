"""Learns from the further wordings of a lesson which section answers a question.

The nearest wording alone is a poor judge: features that the wordings of one section share, and those of others lack,
say more. Kernel ridge regression (Saunders, Gammerman and Vovk, “Ridge Regression Learning Algorithm in Dual
Variables”, 1998) with a Gaussian kernel learns them in one step from embeddings, again whenever a lesson changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.explain.search.types import Floats

KERNEL_GAMMA = 2.0
"""How fast the influence of a text decreases with the distance from it."""
RIDGE = 0.1
"""The strength of the ridge penalty: the larger it is, the less a single text counts against its neighbours."""
MAX_TEXTS = 4000
"""The largest number of texts to learn from; the work grows with its third power."""


class SectionClassifier:
    """Scores sections by how much a question is like the wordings of each, and unlike those of the others."""

    def __init__(self, rows: Floats, sections: NDArray[np.intp]) -> None:
        """Train on embeddings of length 1, shape (texts, width), and the section number of each, from 0."""
        targets = np.eye(int(sections.max()) + 1, dtype=np.float32)[sections]
        kernel = _kernel(rows @ rows.T)
        kernel[np.diag_indices_from(kernel)] += RIDGE
        self._weights = np.linalg.solve(kernel, targets - targets.mean(axis=0)).astype(np.float32)

    def score(self, cosines: Floats) -> NDArray[Any]:
        """Return a score for each section, about 0 to 1, from the question's cosine with each of the rows."""
        return np.asarray(np.einsum("i,ij->j", _kernel(cosines), self._weights))


def _kernel(cosines: Floats) -> Floats:
    """Return the Gaussian kernel of texts with these cosines; for embeddings of length 1 the cosine is enough."""
    return np.asarray(np.exp(KERNEL_GAMMA * (cosines - 1)), np.float32)
