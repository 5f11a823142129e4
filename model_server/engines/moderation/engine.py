"""The moderation engine: scores what is wrong with a text, as one probability for each of a few categories.

A softmax regression, the head, reads three inputs: the vector of a sentence encoder (all-MiniLM-L6-v2), the log-odds of
a linear model of offensive words, and hashed words and character n-grams. A text is cut into pieces, which are its
sentences and the text as a whole, and gets the scores of its worst piece, since one bad sentence would drown among many
good ones. The encoder knows English: it cuts most words of other languages into syllables, of which “nude” in
“Nudeln” means something to it. So where many words are cut, the encoder never decides alone: a second head, which reads
the hashed words and nothing else, has to agree.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
from safetensors import safe_open

from model_server.engines.common.refusal import JobRefused, check_encodable
from model_server.engines.embedding import TEXTS_PER_STEP, EmbeddingEngine, EmbeddingJob
from model_server.engines.moderation.grams import columns
from model_server.engines.moderation.profanity import Profanity
from model_server.jobs import Moderate, Scores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Event, Job

HEAD_FILE = "moderation.safetensors"
FINE = "fine"
"""The head's category for harmless text; the others are those of OpenAI's moderation API."""
SENTENCE_END = re.compile(r"(?<=[.!?…。！？])\s+|\n+")
MIN_SENTENCE_LETTERS = 3
"""A shorter sentence is not scored by itself."""
MAX_PIECE_CHARACTERS = 400
"""A longer sentence is cut between words."""
SYMBOL_ROW = re.compile(r"(?:[^\w\s]|_)(?:[^\S\n]*(?:[^\w\s]|_)){7,}")
"""Eight or more symbols in a row, of one kind or several. Each is a token; words beside them get lost."""
KEPT_SYMBOLS = 3
"""Number of symbols that are read of such a row."""
LETTERS = re.compile(r"[^\W\d_]+")
MAX_CUT_SHARE = 0.3
"""From this share of words that the encoder knows only in pieces, it does not know the language of a text."""


class Head:
    """Two softmax regressions: one of features and words, and one of words alone.

    `weight` is (categories, features), `grams` and `word_grams` (columns, categories), `bias` and `word_bias`
    (categories).
    """

    def __init__(self, path: Path) -> None:
        with safe_open(path, framework="numpy") as file:
            self.categories: tuple[str, ...] = tuple(json.loads(file.metadata()["categories"]))
            self._weight, self._bias = file.get_tensor("weight"), file.get_tensor("bias")
            self._grams = file.get_tensor("grams").astype(np.float32)
            self._word_grams = file.get_tensor("word_grams").astype(np.float32)
            self._word_bias = file.get_tensor("word_bias")
        self._fine = self.categories.index(FINE)

    def scores(self, texts: Sequence[str], features: NDArray[np.float32], known: Sequence[bool]) -> NDArray[np.float32]:
        """Return the probabilities (texts, categories) of texts and their `features` (texts, features).

        Each row adds up to 1. `known` says of each text whether the encoder knows its language; if it does not, the
        regression that finds less wrong counts.
        """
        scores = _softmax(features @ self._weight.T + self._bias, self._grams, texts)
        of_words = _softmax(np.tile(self._word_bias, (len(texts), 1)), self._word_grams, texts)
        is_gentler = ~np.asarray(known, dtype=bool) & (of_words[:, self._fine] > scores[:, self._fine])
        return np.where(is_gentler[:, None], of_words, scores)


class ModerationEngine(EmbeddingEngine):
    """Scores texts. `spec.folder` holds the files of the encoder, the head and the model of offensive words."""

    def __init__(self, spec: EngineSpec) -> None:
        super().__init__(spec)
        self._pieces: dict[str, list[tuple[int, str]]] = {}

    def load(self) -> None:
        self.load_features(self._spec.folder, self._spec.folder)
        self._head = Head(self._spec.folder / HEAD_FILE)

    def load_features(self, encoder: Path, weights: Path) -> None:
        """Load the part that `features` needs: the encoder's files and the model of offensive words."""
        self.load_encoder(encoder)
        self._profanity = Profanity.load(weights)

    def remove(self, job_id: str) -> None:
        super().remove(job_id)
        self._pieces.pop(job_id, None)

    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the features of texts, without their hashed words: shape (texts, width of the encoder + 1)."""
        ids = self._tokenize(texts)
        vectors = [
            vector
            for start in range(0, len(ids), TEXTS_PER_STEP)
            for vector in self._embed(ids[start : start + TEXTS_PER_STEP])
        ]
        return self._join_features(texts, vectors)

    def _join_features(self, texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> NDArray[np.float32]:
        return np.hstack([np.array(vectors, dtype=np.float32), self._profanity.features(texts)])

    def _read_texts(self, job: Job) -> Sequence[str]:
        if not isinstance(job.task, Moderate):
            raise JobRefused(
                f"{self._spec.name} only tells what is wrong with texts; it cannot do this.", param="model"
            )
        for text in job.task.texts:
            check_encodable(text, "input")
        self._pieces[job.id] = [
            (number, piece)
            for number, text in enumerate(job.task.texts)
            for piece in self._cut_to_context(split_into_pieces(text))
        ]
        return [piece for _, piece in self._pieces[job.id]]

    def _knows_language(self, text: str) -> bool:
        if not (words := LETTERS.findall(text)):
            return True
        ids = self._tokenizer(words, add_special_tokens=False, verbose=False).input_ids
        return sum(len(of_word) > 1 for of_word in ids) < MAX_CUT_SHARE * len(words)

    def _cut_to_context(self, found: Sequence[str]) -> list[str]:
        """Return the pieces, of which those with more tokens than the encoder reads are cut until they fit."""
        fitting = []
        for piece, ids in zip(found, self._tokenizer(list(found), verbose=False).input_ids, strict=True):
            fits = len(ids) <= self._context
            fitting += [piece] if fits else self._cut_to_context(_cut_between_words(piece, len(piece) // 2 + 1))
        return fitting

    def _make_result(self, active: EmbeddingJob) -> Event:
        found = self._pieces.pop(active.job_id)
        texts = [piece for _, piece in found]
        known = [self._knows_language(text) for text in texts]
        scores = self._head.scores(texts, self._join_features(texts, active.vectors), known)
        fine = self._head.categories.index(FINE)
        worst: dict[int, NDArray[np.float32]] = {}
        for (number, _), row in zip(found, scores, strict=True):
            if number not in worst or row[fine] < worst[number][fine]:
                worst[number] = row
        kept = [place for place in range(len(self._head.categories)) if place != fine]
        return Scores(
            active.job_id,
            tuple(self._head.categories[place] for place in kept),
            tuple(tuple(float(row[place]) for place in kept) for row in worst.values()),
        )


def _softmax(logits: NDArray[np.float32], grams: NDArray[np.float32], texts: Sequence[str]) -> NDArray[np.float32]:
    """Add the hashed words of each text to its row of `logits`, and return the probabilities."""
    for row, text in zip(logits, texts, strict=True):
        if hashed := columns(text):
            row += grams[hashed].sum(axis=0) / np.sqrt(len(hashed))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def split_into_pieces(text: str) -> list[str]:
    """Return the pieces of `text` that are scored: its sentences, and the whole text if it is short enough.

    Rows of symbols are shortened, and their underscores, which mean nothing, left out.
    """
    text = SYMBOL_ROW.sub(lambda match: f" {match[0].replace('_', '')[:KEPT_SYMBOLS]} ", text)
    sentences = [sentence.strip() for sentence in SENTENCE_END.split(text)]
    found = [
        piece
        for sentence in sentences
        if len(sentence) >= MIN_SENTENCE_LETTERS
        for piece in _cut_between_words(sentence, MAX_PIECE_CHARACTERS)
    ]
    if len(text) <= MAX_PIECE_CHARACTERS and (whole := " ".join(text.split())) not in found:
        found.append(whole)
    return found or [text]


def _cut_between_words(sentence: str, longest: int) -> list[str]:
    found = []
    while len(sentence) > longest:
        end = sentence.rfind(" ", longest // 2, longest)
        end = longest if end < 0 else end
        found.append(sentence[:end])
        sentence = sentence[end:].strip()
    return [*found, sentence]
