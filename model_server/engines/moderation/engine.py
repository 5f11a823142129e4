"""The moderation engine: what is wrong with a text, as one probability for each of a few categories.

A sentence encoder (all-MiniLM-L6-v2) tells what a piece of text is about, a linear model of single words how offensive
they are, and a softmax regression reads both, and the words and pieces of words themselves. A text counts as its worst
piece: the whole of it, or any of its sentences, since one bad sentence would drown among many good ones. It knows
English, and less of German and Spanish.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
from safetensors import safe_open

from model_server.engines.common.refusal import JobRefused, check_encodable
from model_server.engines.embedding import CHUNK, EmbeddingEngine, EmbeddingJob
from model_server.engines.moderation.grams import columns
from model_server.engines.moderation.profanity import Profanity
from model_server.jobs import Moderate, Scores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Event, Job

HEAD = "moderation.safetensors"
FINE = "fine"
"""The head's category for what nothing is wrong with; the others are OpenAI's."""
ENDS = re.compile(r"(?<=[.!?…。！？])\s+|\n+")
SHORTEST = 3
"""Letters of a sentence that is looked at by itself."""
LONGEST = 400
"""Characters of a piece; what is longer is cut between words."""
SIGNS = re.compile(r"(?:[^\w\s]|_)(?:[^\S\n]*(?:[^\w\s]|_)){7,}")
"""Signs in a row, of one kind or several, in which words would be lost: each is a token, and some cling to a word."""
FEW = 3
"""How much of such a row is read."""


class Head:
    """Softmax regression: `weight` (categories, features), `grams` (columns, categories) and `bias` (categories)."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, framework="numpy") as file:
            self.categories: tuple[str, ...] = tuple(json.loads(file.metadata()["categories"]))
            self._weight, self._bias = file.get_tensor("weight"), file.get_tensor("bias")
            self._grams = file.get_tensor("grams").astype(np.float32)

    def scores(self, texts: Sequence[str], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, shape (texts, categories), of texts and their `features`, shape (texts, features).

        Each row adds up to 1.
        """
        odds = features @ self._weight.T + self._bias
        for row, text in zip(odds, texts, strict=True):
            if found := columns(text):
                row += self._grams[found].sum(axis=0) / np.sqrt(len(found))
        raised = np.exp(odds - odds.max(axis=1, keepdims=True))
        scores: NDArray[np.float32] = raised / raised.sum(axis=1, keepdims=True)
        return scores


class ModerationEngine(EmbeddingEngine):
    """Opens a folder that holds the encoder's files, the head and the model of words."""

    def __init__(self, spec: EngineSpec) -> None:
        super().__init__(spec)
        self._pieces: dict[str, list[tuple[int, str]]] = {}

    def load(self) -> None:
        self.load_features(self._spec.folder, self._spec.folder)
        self._head = Head(self._spec.folder / HEAD)

    def load_features(self, encoder: Path, weights: Path) -> None:
        """Load what is needed for `features` alone: the encoder's files and the model of words."""
        self.load_encoder(encoder)
        self._profanity = Profanity.load(weights)

    def remove(self, job_id: str) -> None:
        super().remove(job_id)
        self._pieces.pop(job_id, None)

    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the head reads of texts beside their words, shape (texts, width of the encoder + 1)."""
        ids = self._encode(texts)
        vectors = [vector for start in range(0, len(ids), CHUNK) for vector in self._embed(ids[start : start + CHUNK])]
        return self._joined(texts, vectors)

    def _joined(self, texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> NDArray[np.float32]:
        return np.hstack([np.array(vectors, dtype=np.float32), self._profanity.features(texts)])

    def _texts(self, job: Job) -> Sequence[str]:
        if not isinstance(job.task, Moderate):
            raise JobRefused(
                f"{self._spec.name} only tells what is wrong with texts; it cannot do this.", param="model"
            )
        for text in job.task.texts:
            check_encodable(text, "input")
        self._pieces[job.id] = [
            (number, piece) for number, text in enumerate(job.task.texts) for piece in self._readable(pieces(text))
        ]
        return [piece for _, piece in self._pieces[job.id]]

    def _readable(self, found: Sequence[str]) -> list[str]:
        """The pieces, of which those with more tokens than the encoder reads are cut until it reads all of them."""
        readable = []
        for piece, ids in zip(found, self._tokenizer(list(found), verbose=False).input_ids, strict=True):
            whole = len(ids) <= self._context
            readable += [piece] if whole else self._readable(_cut(piece, len(piece) // 2 + 1))
        return readable

    def _answer(self, batch: EmbeddingJob) -> Event:
        found = self._pieces.pop(batch.job_id)
        texts = [piece for _, piece in found]
        scores = self._head.scores(texts, self._joined(texts, batch.vectors))
        fine = self._head.categories.index(FINE)
        worst: dict[int, NDArray[np.float32]] = {}
        for (number, _), row in zip(found, scores, strict=True):
            if number not in worst or row[fine] < worst[number][fine]:
                worst[number] = row
        kept = [place for place in range(len(self._head.categories)) if place != fine]
        return Scores(
            batch.job_id,
            tuple(self._head.categories[place] for place in kept),
            tuple(tuple(float(row[place]) for place in kept) for row in worst.values()),
        )


def pieces(text: str) -> list[str]:
    """`text` as it is looked at: its sentences, and the whole where that is short enough to be read at once.

    Of many signs in a row a few are left.
    """
    text = SIGNS.sub(lambda row: f" {row[0][:FEW]} ", text)
    sentences = [sentence.strip() for sentence in ENDS.split(text)]
    found = [piece for sentence in sentences if len(sentence) >= SHORTEST for piece in _cut(sentence, LONGEST)]
    if len(text) <= LONGEST and (whole := " ".join(text.split())) not in found:
        found.append(whole)
    return found or [text]


def _cut(sentence: str, longest: int) -> list[str]:
    found = []
    while len(sentence) > longest:
        end = sentence.rfind(" ", longest // 2, longest)
        end = longest if end < 0 else end
        found.append(sentence[:end])
        sentence = sentence[end:].strip()
    return [*found, sentence]
