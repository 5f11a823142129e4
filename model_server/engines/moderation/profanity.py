"""The linear model of alt-profanity-check 1.9.1 (MIT, Victor Zhou, Menelaos Kotoglou, Dimitrios Mistriotis), in numpy.

TF-IDF over single words, five linear support vector machines, each with Platt's calibration, and the mean of what they
say. A text without any known word is as likely as the machines' intercepts make it.
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
LARGEST_LOG_ODDS = 6.0


@dataclass(frozen=True, slots=True)
class Profanity:
    """`columns` numbers the known words; `tensors` are idf (words), coefficients (5, words), and the 5 of the rest."""

    columns: Mapping[str, int]
    tensors: Mapping[str, NDArray[Any]]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model in `folder`."""
        words = (folder / VOCABULARY).read_text("utf-8").split("\n")
        return cls({word: column for column, word in enumerate(words)}, load_file(folder / WEIGHTS))

    def probability(self, text: str) -> float:
        """How likely people would have called `text` offensive."""
        found = [self.columns[word] for word in WORD.findall(text.lower()) if word in self.columns]
        columns, counts = np.unique(np.array(found, dtype=np.int64), return_counts=True)
        weights = counts * self.tensors["idf"][columns]
        length = np.linalg.norm(weights)
        margins = self.tensors["coefficients"][:, columns] @ (weights / length if length else weights)
        margins = margins + self.tensors["intercepts"]
        return float(np.mean(1 / (1 + np.exp(self.tensors["slopes"] * margins + self.tensors["offsets"]))))

    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One number for each text, shape (texts, 1): the log-odds of being offensive, scaled to -1 … 1."""
        chances = np.clip([self.probability(text) for text in texts], 1e-9, 1 - 1e-9)
        odds = np.clip(np.log(chances / (1 - chances)), -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
        scaled: NDArray[np.float32] = (odds / LARGEST_LOG_ODDS).astype(np.float32)[:, None]
        return scaled
