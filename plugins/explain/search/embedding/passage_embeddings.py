"""The embeddings of the passages of an index, and how similar a question is to each passage.

A question is compared with each passage as a whole, with each of its sentences, and with each question that it is known
to answer. Most of the mean of all passages is subtracted first (after Mu and Viswanath, “All-but-the-Top”, 2018),
because otherwise the subject that all passages share would decide. Whether the best passage is an answer is decided
without this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.explain.lessons.passages import Passage
from plugins.explain.search.embedding.embedded_texts import TEXT_GROUPS, known_questions, text_groups
from plugins.explain.search.embedding.scale import SimilarityScale, normalize
from plugins.explain.search.embedding.section_classifier import MAX_TEXTS, SectionClassifier
from plugins.explain.search.types import Floats
from plugins.explain.search.words.ngrams import gather_ranges

QUESTIONS_WEIGHT = 0.75
"""The weight of the best known question of a passage, relative to its text."""
COMMON_SHARE = 0.75
"""The share of the passages' mean that is subtracted from embeddings."""
IS_TRAINING_GROUP = (False, False, True, True)
"""The `text_groups` that the section classifier is trained on: sentences without heading, and known questions."""
MAX_FULL_PRECISION_TEXTS = 8192
"""The largest number of texts whose embeddings keep 32 bits, and are all compared; of more, each number has 16 bits."""


@dataclass(frozen=True, slots=True)
class EmbeddingScores:
    """How well some passages match a question by embeddings, one number per passage."""

    similarity: NDArray[Any]
    """The similarity of all text groups together."""
    best_similarity: NDArray[Any]
    """That of the most similar group."""
    centred_similarity: NDArray[Any]
    """That of all groups together, without the direction that all passages have in common."""
    section_score: NDArray[Any]
    """The score that the section classifier gives its section; 0 without wordings."""


class PassageEmbeddings:
    """A row for each text of the `text_groups` of some passages, in their order."""

    def __init__(self, passages: Sequence[Passage], rows: Floats, scale: SimilarityScale) -> None:
        """`rows` are of length 1, as the model made them; `scale` is the one of the model."""
        self.width = rows.shape[1]
        self._scale = scale
        rows = scale.apply(rows)
        counts = [len(group) for passage in passages for group in text_groups(passage)]
        self._bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
        self._has_questions = np.array([bool(known_questions(passage)) for passage in passages])
        precision = np.float32 if len(rows) <= MAX_FULL_PRECISION_TEXTS else np.float16
        self._rows: NDArray[np.floating[Any]] = rows.astype(precision)
        self._whole_rows = rows[self._bounds[:-1:TEXT_GROUPS]].astype(np.float32)
        self._common = COMMON_SHARE * self._whole_rows.mean(axis=0)
        self._common_products = rows @ self._common
        self._centred_lengths = np.linalg.norm(rows - self._common, axis=1)
        self._below_overviews = list(_below_overviews(passages))
        self._section_classifier: SectionClassifier | None = None
        self._train_section_classifier(passages, rows)

    def direction(self, embeddings: Sequence[Sequence[float]]) -> Floats:
        """Return the mean direction of the embeddings of a question."""
        return normalize(self._scale.apply(np.asarray(embeddings, np.float32)).mean(axis=0))

    def compare_whole(self, direction: Floats) -> Floats:
        """Return the similarity of a question to each passage as a whole."""
        return _dot_products(self._whole_rows, direction)

    def passage_directions(self) -> Floats:
        """Return a row of length 1 for each passage: the mean direction of the whole passage and its sentences.

        An overview stands for the passages below it.
        """
        sums = np.add.reduceat(self._rows, self._bounds[:-1], dtype=np.float32)
        by_group = sums.reshape(len(self._whole_rows), TEXT_GROUPS, -1)
        directions = normalize(by_group[:, 0] + by_group[:, 2])
        for position, below in self._below_overviews:
            directions[position] = directions[below].mean(axis=0)
        return normalize(directions)

    def score(self, direction: Floats, chosen: NDArray[np.intp]) -> EmbeddingScores:
        """Return the scores of the chosen passages for the direction of a question."""
        products = None
        if self._rows.dtype == np.float32:
            products = _dot_products(np.asarray(self._rows, np.float32), direction)
        rows, begins = gather_ranges(self._bounds[::TEXT_GROUPS], chosen)
        first_groups = TEXT_GROUPS * chosen[:, None]
        offsets = self._bounds[first_groups + np.arange(TEXT_GROUPS)] - self._bounds[first_groups]
        segments = (offsets + begins[:, None]).ravel()
        has_questions = self._has_questions[chosen]
        original, centred = self._compare(direction, products, rows)
        by_group = np.maximum.reduceat(original, segments).reshape(-1, TEXT_GROUPS)
        centred_by_group = np.maximum.reduceat(centred, segments).reshape(-1, TEXT_GROUPS)
        return EmbeddingScores(
            _joint_similarity(by_group, has_questions),
            by_group.max(axis=1),
            _joint_similarity(centred_by_group, has_questions),
            self._section_scores(direction, products)[chosen],
        )

    def _train_section_classifier(self, passages: Sequence[Passage], embeddings: Floats) -> None:
        """Learn from the further wordings, and from the sentences of the sections that have some."""
        sections = sorted({passage.section_key for passage in passages if passage.wordings})
        numbers = {section: number for number, section in enumerate(sections)}
        self._section_of = np.array([numbers.get(passage.section_key, -1) for passage in passages])
        counts = np.diff(self._bounds)
        section_of_text = np.repeat(np.repeat(self._section_of, TEXT_GROUPS), counts)
        is_training_text = np.repeat(np.tile(IS_TRAINING_GROUP, len(passages)), counts)
        rows = np.flatnonzero((section_of_text >= 0) & is_training_text)
        if 0 < len(rows) <= MAX_TEXTS:
            self._training_rows = rows
            centred = normalize(embeddings[rows] - self._common)
            self._section_classifier = SectionClassifier(centred, section_of_text[rows])

    def _compare(self, direction: Floats, products: Floats | None, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return the cosines of a question with some embeddings: the original ones, and those without the mean.

        `products` are the original cosines of all embeddings, if these are few enough to be compared at once.
        """
        if products is None:
            original = _dot_products(np.asarray(self._rows[rows], np.float32), direction)
        else:
            original = products[rows]
        centred = original - self._common_products[rows] - (direction - self._common) @ self._common
        lengths = self._centred_lengths[rows] * np.linalg.norm(direction - self._common)
        return original, np.asarray(centred / np.maximum(lengths, 1e-9), np.float32)

    def _section_scores(self, direction: Floats, products: Floats | None) -> NDArray[Any]:
        """Return for each passage the score that the section classifier gives its section; 0 without wordings."""
        if self._section_classifier is None:
            return np.zeros(len(self._section_of))
        scores = self._section_classifier.score(self._compare(direction, products, self._training_rows)[1])
        return np.where(self._section_of >= 0, scores[self._section_of], 0.0)


def _joint_similarity(by_group: NDArray[Any], has_questions: NDArray[np.bool_]) -> NDArray[Any]:
    """Join the similarities of the four text groups. The last group counts only for passages with known questions."""
    text = by_group[:, :3].mean(axis=1)
    questions = np.where(has_questions, by_group[:, 3], text)
    return np.asarray((text + QUESTIONS_WEIGHT * questions) / (1 + QUESTIONS_WEIGHT))


def _below_overviews(passages: Sequence[Passage]) -> Iterator[tuple[int, list[int]]]:
    """Yield the position of each overview, and those of the passages below it that are none."""
    for position, one in enumerate(passages):
        if one.kind == "overview":
            below = [
                place
                for place, other in enumerate(passages)
                if other.lesson_title == one.lesson_title and other.path[: len(one.path)] == one.path
                if other.kind != "overview"
            ]
            if below:
                yield position, below


def _dot_products(rows: Floats, direction: Floats) -> Floats:
    """Return the product of each row with `direction`. BLAS is slower if models keep its threads' cores busy."""
    products: Floats = np.einsum("ij,j->i", rows, direction)
    return products
