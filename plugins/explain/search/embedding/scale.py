"""Puts the similarities of any embedding model onto the scale that the decision was fitted to.

Embeddings of some models lie in a narrow cone (Ethayarajh, “How Contextual are Contextualized Word Representations?”,
2019): two sentences that have nothing in common have a cosine of about 0.76 with multilingual E5, and one of about 0.08
with all-MiniLM-L6-v2. What all embeddings of a model share is their mean (Mu and Viswanath, “All-but-the-Top”, 2018).
So as much of the mean of sentences about different things is subtracted from each embedding as makes these sentences no
more similar to each other than they are for the reference model, all-MiniLM-L6-v2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plugins.explain.search.types import Floats

REFERENCE_SIMILARITY = 0.08
"""The mean cosine of two of the `UNRELATED_SENTENCES` for the reference model."""
MAX_SHARE = 0.95
"""The largest share of the mean that is subtracted."""
HALVINGS = 20
"""The steps in which the share is looked for; each halves the interval that it is in."""
UNRELATED_SENTENCES = (
    "What is the capital of France?",
    "How do I bake bread?",
    "Why is the sky blue?",
    "When does the train leave?",
    "My dog is afraid of thunder.",
    "She plays the violin in an orchestra.",
    "The match ended two to one.",
    "How old can a tortoise become?",
    "Please close the window.",
    "The shop sells shoes and bags.",
    "Where do penguins live?",
    "Water freezes at zero degrees.",
    "I have a headache.",
    "The king died in 1715.",
    "How far is the moon from the earth?",
    "He paid for the meal with his card.",
    "Tomatoes need a lot of sun.",
    "Who wrote Romeo and Juliet?",
    "The volcano erupted last night.",
    "What is the square root of nine?",
    "My bicycle has a flat tyre.",
    "They moved to a smaller house.",
    "The judge will decide tomorrow.",
    "It will rain in the afternoon.",
    "Which language do people speak in Brazil?",
    "This jacket is too tight for me.",
    "Bees make honey.",
    "The ship reached the harbour at dawn.",
    "How many players are in a basketball team?",
    "Our neighbour paints his fence green.",
    "The museum is closed on Mondays.",
    "A triangle has three sides.",
)
"""Sentences about different things, none of them about the subject of the default lesson."""


class SimilarityScale:
    """What to subtract from the embeddings of a model before they are compared; nothing without a `common` part."""

    def __init__(self, common: Floats | None = None) -> None:
        self._common = common

    def apply(self, rows: Floats) -> Floats:
        """Return embeddings of length 1, one a row, as they are to be compared: again of length 1."""
        return rows if self._common is None else normalize(rows - self._common)


REFERENCE_SCALE = SimilarityScale()
"""The scale of the reference model: nothing is subtracted."""


def measure_scale(embeddings: Sequence[Sequence[float]] | Floats) -> SimilarityScale:
    """Return the scale of a model, from its embeddings of the `UNRELATED_SENTENCES`."""
    rows = normalize(np.asarray(embeddings, np.float32))
    mean = rows.mean(axis=0)
    low, high = 0.0, MAX_SHARE
    if _mean_similarity(rows) <= REFERENCE_SIMILARITY:
        return REFERENCE_SCALE
    for _ in range(HALVINGS):
        share = (low + high) / 2
        if _mean_similarity(normalize(rows - share * mean)) > REFERENCE_SIMILARITY:
            low = share
        else:
            high = share
    return SimilarityScale((low + high) / 2 * mean)


def normalize(rows: Floats) -> Floats:
    """Scale a row, or each of several rows, to length 1."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9), np.float32)


def _mean_similarity(rows: Floats) -> float:
    """Return the mean cosine of two different rows of length 1."""
    total, count = float(np.square(rows.sum(axis=0)).sum()), len(rows)
    return (total - count) / (count * (count - 1))
