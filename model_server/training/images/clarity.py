"""Which descriptions say what they mean: those whose thing a linear reader knows who has learnt all others.

“Poor as a mouse from here” is a church to those who know the saying, and to others nothing; a small network can only
learn it by heart, and meanwhile learns to draw something in between. Such descriptions are shown seldom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

AT_ONCE = 2048
RIDGE = 30.0
"""What keeps the reader from learning single descriptions by heart, beside the sum of squares of each feature."""
OFTEN = ((3, 1.0), (10, 0.3))
"""How often descriptions are shown whose own thing is among so many that the reader thinks of first."""
SELDOM = 0.05


def clarity(states: np.ndarray, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """How often each description is to be shown, from 0.05 to 1; `rows` has those of each thing in `states`.

    The reader is a ridge regression from the mean over the tokens of `states` (N × tokens × width) to the things. What
    it says of a description without having learnt it follows from what it says with it (Allen, “The Relationship
    between Variable Selection and Data Augmentation and a Method for Prediction”, Technometrics 16, 1974).
    """
    counts = [len(one) for one in rows]
    asked = np.repeat(np.arange(len(rows)), counts)
    features = _means(states, np.concatenate(rows))
    wanted = np.eye(len(rows))[asked]
    inverse = np.linalg.inv(features.T @ features + RIDGE * np.eye(features.shape[1]))
    reach = features @ inverse
    own = (reach * features).sum(1, keepdims=True)
    said = (reach @ (features.T @ wanted) - own * wanted) / (1 - own)
    places = (said > said[np.arange(len(said)), asked][:, None]).sum(1)
    often = np.full(len(places), SELDOM)
    for most, share in reversed(OFTEN):
        often[places < most] = share
    return np.split(often, np.cumsum(counts)[:-1])


def _means(states: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The mean over the tokens, of deviation 1 in each feature, and a feature that is always 1."""
    parts = [states[part].astype(np.float64).mean(1) for part in np.split(rows, range(AT_ONCE, len(rows), AT_ONCE))]
    means = np.concatenate(parts)
    # Some features are the same in all texts.
    scaled = (means - means.mean(0)) / np.maximum(means.std(0), 0.01)
    return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)
