"""Finds the passage that answers a question, or decides that none does.

Two searches are joined. The lexical one is BM25 (Robertson and Zaragoza, “The Probabilistic Relevance Framework: BM25
and Beyond”, 2009) over three fields: the text, the headings with the questions of a FAQ, and further wordings of the
questions. The semantic one compares sentence embeddings (Reimers and Gurevych, “Sentence-BERT”, 2019;
embedding/passage_embeddings.py). Both searches name candidates. The score of a candidate joins these similarities with
the share of the question's words and character n-grams (words/ngrams.py) that it has, weighted by their rarity, and
with the results of a reference lesson (reference_lesson.py). A logistic model of a few features, fitted to labelled
questions, decides whether the best candidate is an answer.

Without embeddings the words alone decide, with a model of their own. Everything here computes and never waits: call it
in a thread.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from bot.documents.plain import is_question
from plugins.explain.lessons.passages import topics_by_lesson
from plugins.explain.search.answer_type import lacks_answer_type
from plugins.explain.search.decision import FEATURE_COUNT, MAX_SUGGESTIONS, Decision, Ranking, choose_model, decide
from plugins.explain.search.embedding.passage_embeddings import PassageEmbeddings
from plugins.explain.search.embedding.scale import REFERENCE_SCALE, SimilarityScale
from plugins.explain.search.literal import LiteralQuestions, is_same, without_fillers
from plugins.explain.search.reference_lesson import ReferenceLesson
from plugins.explain.search.subject import MIN_WEIGHT, Subject, answers_by_the_way, put_subject
from plugins.explain.search.types import Floats, PassageScores, Query
from plugins.explain.search.words.glossary import translate_question
from plugins.explain.search.words.ngrams import CharacterNgrams
from plugins.explain.search.words.vocabulary import ENGLISH, SearchLanguage, Vocabulary, join_compounds, stems, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from plugins.explain.lessons.passages import Passage


MAX_CANDIDATES = 40
"""The number of passages that each of the searches names."""
COVERAGE_WEIGHT, NGRAMS_WEIGHT, REFERENCE_WEIGHT = 0.2, 0.3, 2.0
"""The weights relative to the similarity."""
BM25_WEIGHT, BM25_NGRAMS_WEIGHT, BM25_REFERENCE_WEIGHT = 0.25, 1.0, 6.0
"""The weights relative to the word coverage, without embeddings."""
SECTION_WEIGHT = 1.0
"""The weight of the section classifier, relative to the similarity."""
EXACT_MATCH_SCORE = 10.0
"""More than all other scores together: the question is exactly a heading or a known wording."""
INTRODUCTION_SCORE, BM25_INTRODUCTION_SCORE = -0.07, -0.25
"""The text before the first heading, and an overview, name many things and explain none of them."""


class Index:
    """The passages of some lessons, ready for questions in `language`.

    `reference` is the index of their reference lesson.
    """

    def __init__(
        self, passages: Sequence[Passage], reference: Index | None = None, language: SearchLanguage = ENGLISH
    ) -> None:
        self.language = language
        self.passages = tuple(passages)
        self.topics = topics_by_lesson(passages)
        fields = [
            [passage.plain_text if passage.kind != "overview" else "" for passage in passages],
            [" ".join(passage.path) or passage.lesson_title for passage in passages],
            [" ".join(passage.wordings) for passage in passages],
        ]
        texts = [" ".join(parts) for parts in zip(*fields, strict=True)]
        self._ngrams = CharacterNgrams(texts)
        self._vocabulary: Vocabulary = Vocabulary(texts, reference._vocabulary if reference else None, language)
        stemmed = [[self._stems_of(text) for text in field] for field in fields]
        self._fields = [_bm25(field) for field in stemmed if any(field)]
        self._stems = [frozenset(chain(*parts)) for parts in zip(*stemmed, strict=True)]
        self._stem_counts = Counter(chain.from_iterable(self._stems))
        self._is_introduction = np.array([_is_introduction(passage) for passage in passages])
        self._literal_questions = LiteralQuestions(passages)
        by_lesson: dict[str, list[Passage]] = {}
        for passage in passages:
            by_lesson.setdefault(passage.lesson_title, []).append(passage)
        self._subjects = {title: Subject(own) for title, own in by_lesson.items()}
        self._embeddings: PassageEmbeddings | None = None
        self._reference = reference
        self._reference_lesson = ReferenceLesson(reference, self) if reference and passages else None

    def attach(self, embeddings: Floats, scale: SimilarityScale = REFERENCE_SCALE) -> None:
        """Add the embeddings: a row of length 1 for each text of all passages' `text_groups`, in their order.

        `scale` is that of the model. The reference lesson's embeddings are used if it has got its own before.
        """
        self._embeddings = PassageEmbeddings(self.passages, embeddings, scale)
        if self._reference_lesson and self._reference and self._reference._embeddings is not None:
            guide = self._reference._embeddings.passage_directions()
            self._reference_lesson.attach(guide, self._embeddings.passage_directions())

    def has_width_of(self, embeddings: Sequence[Sequence[float]]) -> bool:
        """Return True if the attached embeddings, also those of the reference lesson, are as wide as `embeddings`."""
        indexes = [index for index in (self, self._reference) if index is not None]
        widths = {index._embeddings.width for index in indexes if index._embeddings is not None}
        return all(width == len(row) for width in widths for row in embeddings)

    def read_question(self, question: str, *, is_about_lessons: bool = True) -> Query:
        """Read a question; “it” means the subject of the only lesson if the question `is_about_lessons`.

        The texts of a translated question are the translation, and the question itself if a word of it has none. A
        question that stands in a lesson needs neither correction nor translation.
        """
        if self.has_literally(question):
            return Query(question, tuple(dict.fromkeys(stems(words(question), self.language))), (question,))
        if self.language is ENGLISH and (translation := translate_question(question, self._vocabulary)):
            text = translation.text
            texts = (text,) if translation.is_complete else (question, text)
            return Query(text, tuple(dict.fromkeys(stems(words(text)))), texts)
        corrected = self._vocabulary.correct_words(question)
        text = without_fillers(corrected)
        texts = (question, text) if text and text != " ".join(words(question)) else (question,)
        titles = list(self._subjects)
        is_english = is_about_lessons and self.language is ENGLISH
        with_subject = put_subject(question, titles[0]) if is_english and len(titles) == 1 else ""
        return Query(question, tuple(dict.fromkeys(stems(corrected, self.language))), texts, with_subject)

    def has_literally(self, question: str) -> bool:
        """Return True if a question stands in a lesson, so that its answer is certain without embeddings."""
        return self._literal_questions.find(question) is not None

    def rank(
        self, query: Query, embeddings: Sequence[Sequence[float]] | None = None, scores: PassageScores | None = None
    ) -> Ranking:
        """Return the best passages. `embeddings` are those of `query.embedded_texts`; None lets the words alone decide.

        `scores` is the result of `score_all`, if the caller has it. Of the two readings of a question with “it”, the
        one with the surer answer counts.
        """
        if query.with_subject:
            as_typed = replace(query, with_subject="")
            if embeddings is None:
                return self.rank(as_typed)
            readings = [self.rank(as_typed, rows) for rows in (embeddings[:-1], embeddings[-1:])]
            return max(readings, key=lambda ranking: ranking.confidence)
        direction = self._direction(embeddings)
        lexical = self._lexical_scores(query.stems)
        reference = None
        if self._reference_lesson:
            reference = self._reference_lesson.score(query, embeddings if direction is not None else None)
        relevance = reference.relevance if reference else np.zeros(len(self.passages))
        literal = self._literal_position(query)
        chosen = self._candidates(lexical, direction, relevance)
        if literal is not None:
            chosen = np.union1d(chosen, [literal])
        if not len(chosen):
            return Ranking((), (0.0,) * FEATURE_COUNT, -math.inf, direction is not None)
        scores = scores.select(chosen) if scores else self._score(query, direction, lexical, chosen)
        weight = BM25_REFERENCE_WEIGHT if direction is None else REFERENCE_WEIGHT
        total = scores.total + weight * relevance[chosen]
        order = np.argsort(-total, kind="stable")
        best = [order[rank] for rank in self._best_per_section(chosen[order])]
        first, passage = best[0], self.passages[chosen[best[0]]]
        passage_text = f"{' '.join(passage.path)} {passage.plain_text}"
        features = (
            float(scores.similarity[first]),
            float(scores.best_similarity[first]),
            float(scores.word_coverage[first]),
            float(lacks_answer_type(query.question, passage_text, passage.question or "", self.language.code)),
            min(len(query.stems), 4) / 4,
            min(float(total[first] - total[best[1]]), 1.0) if len(best) > 1 else 1.0,
            float(bool(passage.wordings)),
            float(scores.ngram_overlap[first]),
            *(reference.confidence_for(int(chosen[first])) if reference else (0.0, 0.0)),
            float(scores.section_score[first]),
        )
        is_foreign = self.language is not ENGLISH and bool(passage.wordings)
        confidence = choose_model(with_embeddings=direction is not None, is_foreign=is_foreign).confidence(features)
        passages = tuple(self.passages[chosen[position]] for position in best)
        title = passage.lesson_title
        is_literal = chosen[first] == literal or (is_question(title) and is_same(query.question, title))
        return Ranking(passages, features, confidence, direction is not None, bool(is_literal), is_foreign)

    def score_all(self, query: Query, embeddings: Sequence[Sequence[float]] | None) -> PassageScores:
        """Score every passage for a question. The totals only compare passages."""
        every = np.arange(len(self.passages))
        return self._score(query, self._direction(embeddings), self._lexical_scores(query.stems), every)

    def word_overlap(self, other: Passage) -> NDArray[Any]:
        """Return, for each passage, the share of the words of another lesson's passage that it has: 0 to about 1."""
        other_stems = set(self._stems_of(f"{' '.join(other.path)} {other.plain_text}"))
        return self._lexical_scores(sorted(other_stems)) / max(sum(map(self._rarity, other_stems)), 1e-9)

    def decide(self, ranking: Ranking) -> Decision:
        """Choose between an answer, suggestions and a refusal with the topics."""
        return decide(ranking, self.topics)

    def may_answer(self, query: Query) -> bool:
        """Return True if a question that may be about anything names the subject of a lesson."""
        return self.subject_weight(query) >= MIN_WEIGHT

    def subject_weight(self, query: Query) -> float:
        """Return how clearly a question names the subject of a lesson."""
        return max((subject.weigh(_corrected_words(query)) for subject in self._subjects.values()), default=0.0)

    def answer_by_the_way(self, query: Query, ranking: Ranking, weight: float | None = None) -> Passage | None:
        """Return the passage that answers a question that may be about anything; None if none does.

        `weight` says how clearly the question names the subject, if the caller knows that better.
        """
        if not ranking.passages:
            return None
        passage = ranking.passages[0]
        if weight is None:
            weight = self._subjects[passage.lesson_title].weigh(_corrected_words(query))
        return passage if answers_by_the_way(ranking, weight) else None

    def _direction(self, embeddings: Sequence[Sequence[float]] | None) -> Floats | None:
        """Return the mean direction of a question's embeddings; None if they or the passages' are missing."""
        if embeddings is None or self._embeddings is None:
            return None
        return self._embeddings.direction(embeddings)

    def _literal_position(self, query: Query) -> int | None:
        """Return the position of the passage that has the question, as typed or as corrected; None if none has it."""
        found = (self._literal_questions.find(text) for text in (query.question, query.texts[-1]))
        return next((position for position in found if position is not None), None)

    def _score(
        self, query: Query, direction: Floats | None, lexical: Floats, chosen: NDArray[np.intp]
    ) -> PassageScores:
        coverage = self._word_coverage(query.stems, chosen)
        ngrams = self._ngrams.overlap(query.question, chosen)
        introduction = self._is_introduction[chosen]
        literal = self._literal_position(query)
        exact = EXACT_MATCH_SCORE * (chosen == (-1 if literal is None else literal))
        if direction is None or self._embeddings is None:
            none = np.zeros(len(chosen))
            total = exact + coverage + BM25_WEIGHT * lexical[chosen] + BM25_INTRODUCTION_SCORE * introduction
            return PassageScores(total + BM25_NGRAMS_WEIGHT * ngrams, none, none, coverage, ngrams, none)
        found = self._embeddings.score(direction, chosen)
        total = exact + found.centred_similarity + SECTION_WEIGHT * found.section_score + COVERAGE_WEIGHT * coverage
        total = total + INTRODUCTION_SCORE * introduction + NGRAMS_WEIGHT * ngrams
        return PassageScores(total, found.similarity, found.best_similarity, coverage, ngrams, found.section_score)

    def _best_per_section(self, order: NDArray[np.intp]) -> Iterator[int]:
        """Yield the ranks of the best passages of the first three sections."""
        seen = set()
        for rank, position in enumerate(order):
            if (section := self.passages[position].section_key) not in seen:
                seen.add(section)
                yield rank
            if len(seen) == MAX_SUGGESTIONS:
                return

    def _lexical_scores(self, query_stems: Sequence[str]) -> Floats:
        """Return the sum of the BM25 scores of all fields for each passage."""
        scores = np.zeros(len(self.passages), np.float32)
        for field in self._fields:
            if known := [stem for stem in query_stems if stem in field.vocab_dict]:
                scores += field.get_scores(known)
        return scores

    def _candidates(self, lexical: Floats, direction: Floats | None, relevance: NDArray[Any]) -> NDArray[np.intp]:
        """Return the positions of the passages that a search names, in ascending order."""
        # Stems match less well in other languages, so that a question may share nothing but n-grams with its answer.
        if (direction is not None or self.language is not ENGLISH) and len(lexical) <= 2 * MAX_CANDIDATES:
            return np.arange(len(lexical))
        chosen = np.union1d(_best_positions(lexical), _best_positions(relevance))
        if direction is None or self._embeddings is None:
            return chosen
        return np.union1d(chosen, _best_positions(self._embeddings.compare_whole(direction)))

    def _stems_of(self, text: str) -> list[str]:
        return stems([*words(text), *join_compounds(text)], self.language)

    def _rarity(self, stem: str) -> float:
        """Return the inverse document frequency of a stem, as BM25 defines it."""
        count = self._stem_counts.get(stem, 0)
        return math.log(1 + (len(self.passages) - count + 0.5) / (count + 0.5))

    def _word_coverage(self, query_stems: Sequence[str], chosen: NDArray[np.intp]) -> NDArray[Any]:
        """Return the share of the question's words, weighted by rarity, that each chosen passage has: 0 to 1."""
        rarity = {stem: self._rarity(stem) for stem in query_stems}
        total = sum(rarity.values()) or 1.0
        return np.array(
            [sum(rarity[s] for s in query_stems if s in self._stems[position]) / total for position in chosen]
        )


def _corrected_words(query: Query) -> list[str]:
    return words(query.texts[-1])


def _is_introduction(passage: Passage) -> bool:
    return not passage.path or passage.kind == "overview"


def _bm25(stemmed_texts: list[list[str]]) -> Any:
    import bm25s

    field = bm25s.BM25(k1=1.2, b=0.75)
    field.index(stemmed_texts, show_progress=False)
    return field


def _best_positions(scores: NDArray[Any]) -> NDArray[np.intp]:
    """Return the positions of the largest scores, without those that are not above 0."""
    positions = np.arange(len(scores))
    if len(scores) > MAX_CANDIDATES:
        positions = np.argpartition(scores, -MAX_CANDIDATES)[-MAX_CANDIDATES:]
    return positions[scores[positions] > 0]
