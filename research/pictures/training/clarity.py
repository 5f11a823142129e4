"""Rates how clear descriptions are, so that unclear ones are shown less often in training.

A description is clear if a linear classifier that has learnt all others names its thing. “Poor as a mouse from here”
means a church only to people who know the saying; a small network could only memorise it, and would meanwhile learn to
draw something in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from research.pictures.training.text_encoder import TextStates

BATCH = 2048
RIDGE = 30.0
"""The penalty that keeps the classifier from memorising single descriptions."""
FREQUENCY_BY_RANK = ((3, 1.0), (10, 0.3))
"""Pairs of a rank and a frequency: a description is shown so often if its own thing is ranked before that rank."""
LOWEST_FREQUENCY = 0.05
"""The frequency of all other descriptions."""


def rate_descriptions(states: np.ndarray | TextStates, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return how often each description is to be shown, from 0.05 to 1; `rows` are those of each thing in `states`.

    The classifier is a ridge regression from the mean over the tokens of `states` (N × tokens × width) to the things.
    What it predicts for a description that it has not learnt follows from its prediction with it (Allen, “The
    Relationship between Variable Selection and Data Augmentation and a Method for Prediction”, Technometrics 16, 1974).
    """
    counts = [len(thing_rows) for thing_rows in rows]
    things = np.repeat(np.arange(len(rows)), counts)
    features = _features(states, np.concatenate(rows))
    targets = np.eye(len(rows))[things]
    inverse = np.linalg.inv(features.T @ features + RIDGE * np.eye(features.shape[1]))
    projected = features @ inverse
    leverage = (projected * features).sum(1, keepdims=True)
    predictions = (projected @ (features.T @ targets) - leverage * targets) / (1 - leverage)
    ranks = (predictions > predictions[np.arange(len(predictions)), things][:, None]).sum(1)
    frequencies = np.full(len(ranks), LOWEST_FREQUENCY)
    for rank, frequency in reversed(FREQUENCY_BY_RANK):
        frequencies[ranks < rank] = frequency
    return np.split(frequencies, np.cumsum(counts)[:-1])


def _features(states: np.ndarray | TextStates, rows: np.ndarray) -> np.ndarray:
    """Return the mean over the tokens, standardised to deviation 1 per feature, and a last feature that is always 1."""
    parts = [states[part].astype(np.float64).mean(1) for part in np.split(rows, range(BATCH, len(rows), BATCH))]
    means = np.concatenate(parts)
    # Some features are the same in all texts.
    scaled = (means - means.mean(0)) / np.maximum(means.std(0), 0.01)
    return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)
