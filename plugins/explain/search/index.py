"""From a question to the passage that answers it, or to the decision that none does.

Two searches are joined. The lexical one is BM25 (Robertson and Zaragoza, “The Probabilistic Relevance Framework: BM25
and Beyond”, 2009) over three fields: the text, the headings with the questions of a FAQ, and further wordings of what
is asked. The semantic one compares sentence embeddings (Reimers and Gurevych, “Sentence-BERT”, 2019) of the question
with those of each passage as a whole, of each of its sentences, and of each question that it is known to answer. Most
of what all passages have in common is taken off first (after Mu and Viswanath, “All-but-the-Top”, 2018), or the words
that a lesson is full of would decide. Both searches name candidates; a candidate's score joins these likenesses with
how much of the question's words and of its runs of letters (letters.py), weighted by their rarity, it has, and with
where a guide leads (bridge.py). Whether the best candidate is an answer is a logistic model of a few features, fitted
to labelled questions; there the likenesses count as they are.

Without embeddings the words alone decide, with a model of their own. Everything here computes and never waits: call it
in a thread.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from plugins.explain.lessons.passages import topics
from plugins.explain.search.answer_type import is_missing
from plugins.explain.search.decision import FEATURES, HYBRID, LEXICAL, SUGGESTIONS, Decision, Ranking, decide
from plugins.explain.search.embedded_texts import asked, units
from plugins.explain.search.ngrams import CharacterNgrams, gathered
from plugins.explain.search.reference_lesson import ReferenceLesson
from plugins.explain.search.section_classifier import MOST, SectionClassifier
from plugins.explain.search.types import Floats, Query, Scored
from plugins.explain.search.vocabulary import FILLERS, Vocabulary, joined, stems, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from plugins.explain.lessons.passages import Passage


CANDIDATES = 40
"""How many passages each of the searches names."""
ASKED_WEIGHT = 0.75
"""Of the best of the questions that a passage is known to answer, beside its text."""
COMMON_SHARE = 0.75
"""How much of the passages' mean is taken off their embeddings."""
COVERAGE_WEIGHT, LETTERS_WEIGHT, BRIDGE_WEIGHT = 0.2, 0.3, 2.0
"""Beside the likeness."""
BM25_WEIGHT, BM25_LETTERS_WEIGHT, BM25_BRIDGE_WEIGHT = 0.25, 1.0, 6.0
"""Beside the coverage, where there are no embeddings."""
LEARNT_WEIGHT = 1.0
"""Beside the likeness, for the sections whose wordings are known."""
LEARNT_PARTS = (False, False, True, True)
"""Which of a passage's `units` are learnt from: its bare sentences, and what it is known to answer."""
SMALL = 8192
"""Units of an index that are kept ready to be compared, all of them; of more, each at half the size."""
EXACTLY = 10.0
"""More than all else together: the question is a heading or a known wording, letter for letter."""
ANNOUNCING, BM25_ANNOUNCING = -0.07, -0.25
"""What stands before the first heading, and an overview, name many things and explain none of them."""


class Index:
    """The passages of some lessons, ready for questions. `guide` leads to those of lessons about the same."""

    def __init__(self, passages: Sequence[Passage], guide: Index | None = None) -> None:
        self.passages = tuple(passages)
        self.topics = topics(passages)
        said = [
            [passage.plain if passage.kind != "overview" else "" for passage in passages],
            [" ".join(passage.path) or passage.lesson for passage in passages],
            [" ".join(passage.asked) for passage in passages],
        ]
        texts = [" ".join(parts) for parts in zip(*said, strict=True)]
        self._letters = CharacterNgrams(texts)
        self._vocabulary: Vocabulary = Vocabulary(texts, guide._vocabulary if guide else None)
        stemmed = [[_stems(text) for text in field] for field in said]
        self._fields = [_bm25(field) for field in stemmed if any(field)]
        self._stems = [frozenset(chain(*parts)) for parts in zip(*stemmed, strict=True)]
        self._counts = Counter(chain.from_iterable(self._stems))
        self._announcing = np.array([_announces(passage) for passage in passages])
        self._exactly: dict[str, int] = {}
        for place, passage in enumerate(passages):
            for told in filter(None, (_told(words(text)) for text in (*passage.asked, passage.heading))):
                self._exactly.setdefault(told, place)
        self._whole: Floats | None = None
        self._learnt: SectionClassifier | None = None
        self._guide = guide
        self._bridge = ReferenceLesson(guide, self) if guide and passages else None

    def attach(self, vectors: Floats) -> None:
        """Add the embeddings: a row of length 1 for each text of all passages' `units`, in their order.

        The guide's count, too, where it has got its own before.
        """
        counts = [len(part) for passage in self.passages for part in units(passage)]
        self._bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
        self._asked = np.array([bool(asked(passage)) for passage in self.passages])
        self._units: NDArray[np.floating[Any]] = vectors.astype(np.float32 if len(vectors) <= SMALL else np.float16)
        self._whole = vectors[self._bounds[:-1:4]].astype(np.float32)
        self._common = COMMON_SHARE * self._whole.mean(axis=0)
        self._along = vectors @ self._common
        self._lengths = np.linalg.norm(vectors - self._common, axis=1)
        self._learn(vectors)
        if self._bridge and self._guide and self._guide._whole is not None:
            self._bridge.attach(self._guide.meanings(), self.meanings())

    def _learn(self, vectors: Floats) -> None:
        """Learn from the further wordings, and from the sentences of the sections that have some."""
        asked = {(passage.lesson, passage.anchor) for passage in self.passages if passage.asked}
        numbers = {section: number for number, section in enumerate(sorted(asked))}
        section = np.array([numbers.get((passage.lesson, passage.anchor), -1) for passage in self.passages])
        of_unit = np.repeat(np.repeat(section, 4), np.diff(self._bounds))
        in_parts = np.repeat(np.tile(LEARNT_PARTS, len(self.passages)), np.diff(self._bounds))
        rows = np.flatnonzero((of_unit >= 0) & in_parts)
        self._section = section
        self._learnt = None
        if 0 < len(rows) <= MOST:
            self._rows = rows
            self._learnt = SectionClassifier(_lengthened(vectors[rows] - self._common), of_unit[rows])

    def fits(self, embedded: Sequence[Sequence[float]]) -> bool:
        """Whether embeddings are as wide as those that are attached, here and to the guide."""
        attached = [index._whole for index in (self, self._guide) if index is not None and index._whole is not None]
        return all(rows.shape[1] == len(row) for rows in attached for row in embedded)

    def meanings(self) -> Floats:
        """A row of length 1 for each passage: the middle of it as a whole and its sentences."""
        sums = np.add.reduceat(self._units, self._bounds[:-1], dtype=np.float32).reshape(len(self.passages), 4, -1)
        told = sums[:, 0] + sums[:, 2]
        return np.asarray(told / np.linalg.norm(told, axis=1, keepdims=True), np.float32)

    def query(self, question: str) -> Query:
        """Read a question. Embedded is what was asked, and, where that differs, the same with its words as meant."""
        meant = self._vocabulary.meant(question)
        told = _told(meant)
        texts = (question, told) if told and told != " ".join(words(question)) else (question,)
        return Query(question, tuple(dict.fromkeys(stems(meant))), texts)

    def rank(
        self, query: Query, embedded: Sequence[Sequence[float]] | None = None, scored: Scored | None = None
    ) -> Ranking:
        """The best passages. `embedded` are the embeddings of `query.texts`; None leaves words alone to decide.

        `scored` is what `scored` says of them all, where that is known already.
        """
        direction = self._direction(embedded)
        lexical = self._lexical(query.stems)
        guidance = self._bridge.guidance(query, embedded if direction is not None else None) if self._bridge else None
        led = guidance.leads if guidance else np.zeros(len(self.passages))
        chosen = self._candidates(lexical, direction, led)
        if not len(chosen):
            return Ranking((), (0.0,) * FEATURES, -math.inf, direction is not None)
        scored = scored.at(chosen) if scored else self._scored(query, direction, lexical, chosen)
        score = scored.score + (BM25_BRIDGE_WEIGHT if direction is None else BRIDGE_WEIGHT) * led[chosen]
        order = np.argsort(-score, kind="stable")
        found = [order[rank] for rank in self._distinct(chosen[order])]
        first, passage = found[0], self.passages[chosen[found[0]]]
        features = (
            float(scored.likeness[first]),
            float(scored.best[first]),
            float(scored.coverage[first]),
            float(is_missing(query.question, f"{' '.join(passage.path)} {passage.plain}")),
            min(len(query.stems), 4) / 4,
            min(float(score[first] - score[found[1]]), 1.0) if len(found) > 1 else 1.0,
            float(bool(passage.asked)),
            float(scored.letters[first]),
            *(guidance.sureness(int(chosen[first])) if guidance else (0.0, 0.0)),
            float(scored.taught[first]),
        )
        confidence = (LEXICAL if direction is None else HYBRID).confidence(features)
        best_ones = tuple(self.passages[chosen[place]] for place in found)
        return Ranking(best_ones, features, confidence, direction is not None)

    def scored(self, query: Query, embedded: Sequence[Sequence[float]] | None) -> Scored:
        """What each passage has to do with a question; scores only compare passages."""
        every = np.arange(len(self.passages))
        return self._scored(query, self._direction(embedded), self._lexical(query.stems), every)

    def share_of(self, other: Passage) -> NDArray[Any]:
        """How much of what another lesson's passage says in words each passage here has: 0 to about 1."""
        told = set(_stems(f"{' '.join(other.path)} {other.plain}"))
        return self._lexical(sorted(told)) / max(sum(map(self._rarity, told)), 1e-9)

    def _direction(self, embedded: Sequence[Sequence[float]] | None) -> Floats | None:
        return None if embedded is None or self._whole is None else _mean(embedded)

    def _scored(self, query: Query, direction: Floats | None, lexical: Floats, chosen: NDArray[np.intp]) -> Scored:
        coverage = self._coverage(query.stems, chosen)
        letters = self._letters.shares(query.question, chosen)
        announcing = self._announcing[chosen]
        exactly = EXACTLY * (chosen == self._exactly.get(_told(words(query.texts[-1])), -1))
        if direction is None:
            none = np.zeros(len(chosen))
            score = exactly + coverage + BM25_WEIGHT * lexical[chosen] + BM25_ANNOUNCING * announcing
            return Scored(score + BM25_LETTERS_WEIGHT * letters, none, none, coverage, letters, none)
        every = _products(np.asarray(self._units, np.float32), direction) if self._units.dtype == np.float32 else None
        likeness, best, own = self._likeness(direction, every, chosen)
        taught = self._taught(direction, every)[chosen]
        score = exactly + own + LEARNT_WEIGHT * taught + COVERAGE_WEIGHT * coverage + ANNOUNCING * announcing
        return Scored(score + LETTERS_WEIGHT * letters, likeness, best, coverage, letters, taught)

    def decide(self, ranking: Ranking) -> Decision:
        """What to say to whoever asked."""
        return decide(ranking, self.topics)

    def _distinct(self, order: NDArray[np.intp]) -> Iterator[int]:
        """The ranks of the best passages of the first three sections, told apart by their lesson and anchor."""
        seen = set()
        for rank, place in enumerate(order):
            passage = self.passages[place]
            if (section := (passage.lesson, passage.anchor)) not in seen:
                seen.add(section)
                yield rank
            if len(seen) == SUGGESTIONS:
                return

    def _lexical(self, asked: Sequence[str]) -> Floats:
        scores = np.zeros(len(self.passages), np.float32)
        for field in self._fields:
            if known := [stem for stem in asked if stem in field.vocab_dict]:
                scores += field.get_scores(known)
        return scores

    def _candidates(self, lexical: Floats, direction: Floats | None, led: NDArray[Any]) -> NDArray[np.intp]:
        if direction is not None and len(lexical) <= 2 * CANDIDATES:
            return np.arange(len(lexical))
        chosen = np.union1d(_largest(lexical), _largest(led))
        if direction is None or self._whole is None:
            return chosen
        return np.union1d(chosen, _largest(_products(self._whole, direction)))

    def _likeness(self, direction: Floats, every: Floats | None, chosen: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        """How like the question each chosen passage is: in all; at most in one of its parts; in all that is its own."""
        places, begin = gathered(self._bounds[::4], chosen)
        offsets = self._bounds[4 * chosen[:, None] + np.arange(4)] - self._bounds[4 * chosen[:, None]]
        segments = (offsets + begin[:, None]).ravel()
        asked = self._asked[chosen]
        products, own = self._compared(direction, every, places)
        parts = np.maximum.reduceat(products, segments).reshape(-1, 4)
        return (
            _joined(parts, asked),
            parts.max(axis=1),
            _joined(np.maximum.reduceat(own, segments).reshape(-1, 4), asked),
        )

    def _compared(self, direction: Floats, every: Floats | None, places: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """The likeness of a question to some of the units: as they are, and without what is common.

        `every` has the first for all of them, where these are few enough to be compared at once.
        """
        products = _products(np.asarray(self._units[places], np.float32), direction) if every is None else every[places]
        without = products - self._along[places] - (direction - self._common) @ self._common
        lengths = self._lengths[places] * np.linalg.norm(direction - self._common)
        return products, np.asarray(without / np.maximum(lengths, 1e-9), np.float32)

    def _taught(self, direction: Floats, every: Floats | None) -> NDArray[Any]:
        """What the wordings teach about each passage."""
        if self._learnt is None:
            return np.zeros(len(self.passages))
        scores = self._learnt.scores(self._compared(direction, every, self._rows)[1])
        return np.where(self._section >= 0, scores[self._section], 0.0)

    def _rarity(self, stem: str) -> float:
        count = self._counts.get(stem, 0)
        return math.log(1 + (len(self.passages) - count + 0.5) / (count + 0.5))

    def _coverage(self, asked: Sequence[str], chosen: NDArray[np.intp]) -> NDArray[Any]:
        """How much of the question each passage has in words: 0 to 1, each word weighted by its rarity."""
        rarity = {stem: self._rarity(stem) for stem in asked}
        total = sum(rarity.values()) or 1.0
        return np.array([sum(rarity[s] for s in asked if s in self._stems[place]) / total for place in chosen])


def _told(said: Sequence[str]) -> str:
    return " ".join(word for word in said if word not in FILLERS)


def _stems(text: str) -> list[str]:
    return stems([*words(text), *joined(text)])


def _joined(parts: NDArray[Any], asked: NDArray[np.bool_]) -> NDArray[Any]:
    """From the likenesses of a passage's four parts to that of the whole. `asked`: whether the fourth is one."""
    text = parts[:, :3].mean(axis=1)
    return np.asarray((text + ASKED_WEIGHT * np.where(asked, parts[:, 3], text)) / (1 + ASKED_WEIGHT))


def _announces(passage: Passage) -> bool:
    return not passage.path or passage.kind == "overview"


def _bm25(texts: list[list[str]]) -> Any:
    """A BM25 index of stems."""
    import bm25s

    field = bm25s.BM25(k1=1.2, b=0.75)
    field.index(texts, show_progress=False)
    return field


def _mean(embedded: Sequence[Sequence[float]]) -> Floats:
    mean = np.asarray(embedded, np.float32).mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def _lengthened(rows: Floats) -> Floats:
    """With length 1."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9), np.float32)


def _products(rows: Floats, direction: Floats) -> Floats:
    """The product of each row with `direction`, in this thread: BLAS's own wait for cores that models keep busy."""
    products: Floats = np.einsum("ij,j->i", rows, direction)
    return products


def _largest(scores: NDArray[Any]) -> NDArray[np.intp]:
    """The places of the largest scores, of those that are above nothing."""
    places = np.argpartition(scores, -CANDIDATES)[-CANDIDATES:] if len(scores) > CANDIDATES else np.arange(len(scores))
    return places[scores[places] > 0]
