"""The linear model of alt-profanity-check 1.9.1 (MIT, Victor Zhou, Menelaos Kotoglou, Dimitrios Mistriotis), in numpy.

It averages five linear support vector machines over the TF-IDF of single words, each with Platt's calibration. The
probability of a text without any known word follows from the intercepts alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

WEIGHTS, VOCABULARY = "profanity.safetensors", "profanity.txt"
WORD = re.compile(r"\b\w\w+\b")
MAX_LOG_ODDS = 6.0


@dataclass(frozen=True, slots=True)
class Profanity:
    """`columns`: the number of each known word. `tensors`: idf (words), coefficients (5, words), and the others (5)."""

    columns: Mapping[str, int]
    tensors: Mapping[str, NDArray[Any]]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the model in `folder`."""
        words = (folder / VOCABULARY).read_text("utf-8").split("\n")
        return cls({word: column for column, word in enumerate(words)}, load_file(folder / WEIGHTS))

    def probability(self, text: str) -> float:
        """Return the probability that people call `text` offensive."""
        found = [self.columns[word] for word in WORD.findall(text.lower()) if word in self.columns]
        columns, counts = np.unique(np.array(found, dtype=np.int64), return_counts=True)
        weights = counts * self.tensors["idf"][columns]
        length = np.linalg.norm(weights)
        margins = self.tensors["coefficients"][:, columns] @ (weights / length if length else weights)
        margins = margins + self.tensors["intercepts"]
        return float(np.mean(1 / (1 + np.exp(self.tensors["slopes"] * margins + self.tensors["offsets"]))))

    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the log-odds of each text being offensive, scaled to -1 … 1: shape (texts, 1)."""
        probabilities = np.clip([self.probability(text) for text in texts], 1e-9, 1 - 1e-9)
        log_odds = np.clip(np.log(probabilities / (1 - probabilities)), -MAX_LOG_ODDS, MAX_LOG_ODDS)
        scaled: NDArray[np.float32] = (log_odds / MAX_LOG_ODDS).astype(np.float32)[:, None]
        return scaled
