"""Tells whether a question is about the subject of a lesson, where it may be about anything.

Whoever asks /explain “which one is slower?” means the lesson; in a conversation about cars the same words mean cars. So
a question that another command looks up has to name the subject. The words of a subject are those that a lesson uses
far more often than English does (keyness: Scott, “PC Analysis of Key Words”, 1997). One of them may have its everyday
meaning, as “temperature” has in a question about the weather; two together hardly do.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING

from plugins.explain.search.words import spelling
from plugins.explain.search.words.vocabulary import STOP_WORDS, all_stems, fold, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from plugins.explain.lessons.passages import Passage
    from plugins.explain.search.decision import Ranking

PRONOUN = re.compile(
    r"(?P<before>^(?:\w+\s+){0,3}?(?:is|was|can|cant|can't|could|does|did|do|will|would|should|has|may|might)\s+)"
    r"(?:it|this|that)\b(?!\s+(?:true|possible|mean|that)\b)(?!.*\b(?:to|that|if)\b)",
    re.IGNORECASE,
)
"""The first verb of a question, and a pronoun as its subject; not the “it” of “is it safe to swim?”."""
MIN_KEYNESS, MIN_UNMISTAKABLE_KEYNESS = 4.4, 8.5
"""The keyness, a natural logarithm, of words of the subject, and of those that need not be frequent in the lesson."""
WORDS_PER_OCCURRENCE, MAX_REQUIRED_OCCURRENCES = 1000, 3
"""A word of the subject occurs once in so many words of the lesson, or often enough."""
RARE_WORD_WEIGHT = 0.5
"""The weight of a word that is rare elsewhere and in the lesson: two of them count like one that is frequent there."""
MIN_WEIGHT, CLEAR_WEIGHT = 1.0, 2.0
"""The total weight of a question's words from which on it may be about the subject, and from which on it clearly is."""
CLEAR_ADVANTAGE = 0.75
"""The log-odds that a question may lack for an answer if it is clearly about the subject."""
MIN_ENGLISH_SHARE = 0.5
"""The share of English words in a text; of a lesson below it nothing is known about how often its words are used."""


class Subject:
    """The words of the subject of one lesson, each with a weight."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        typed = [
            word
            for passage in passages
            for word in words(f"{' '.join(passage.path)} {passage.plain_text}")
            if word.isalpha()
        ]
        form_counts = Counter(typed)
        forms = list(form_counts)
        counts: Counter[str] = Counter()
        frequencies: dict[str, float] = {}
        for form, stem in zip(forms, all_stems(forms), strict=True):
            counts[stem] += form_counts[form]
            frequencies[stem] = frequencies.get(stem, 0.0) + spelling.frequency(form)
        required = min(MAX_REQUIRED_OCCURRENCES, 1 + len(typed) // WORDS_PER_OCCURRENCE)
        english = sum(count for form, count in form_counts.items() if spelling.is_word(form))
        self._is_english = english >= MIN_ENGLISH_SHARE * len(typed)
        self._weights = {
            stem: 1.0 if count >= required or keyness >= MIN_UNMISTAKABLE_KEYNESS else RARE_WORD_WEIGHT
            for stem, count in counts.items()
            if (keyness := _keyness(count / len(typed), frequencies[stem])) >= MIN_KEYNESS
        }

    def weigh(self, question_words: Sequence[str]) -> float:
        """Return the total weight of a question's words. Where a lesson is not English, each has just enough."""
        if not self._is_english:
            return MIN_WEIGHT
        return sum(self._weights.get(stem, 0.0) for stem in set(all_stems(question_words)))


def put_subject(question: str, title: str) -> str:
    """Return a question with the subject of a lesson in place of “it”; "" if it has no such word.

    Whoever asks of a lesson “What is generative AI?”, “can it hurt people?”, asks whether generative AI can.
    """
    subject = title.strip(" ?.!").split()
    while len(subject) > 1 and fold(subject[0]) in STOP_WORDS:
        del subject[0]
    replaced, count = PRONOUN.subn(lambda match: match["before"] + " ".join(subject), question, count=1)
    return replaced if count else ""


def answers_by_the_way(ranking: Ranking, weight: float) -> bool:
    """Return True if the first passage answers a question that may be about anything.

    `weight` is that of the question's words for the lesson of the passage.
    """
    advantage = CLEAR_ADVANTAGE if weight >= CLEAR_WEIGHT else 0.0
    is_answered = ranking.is_literal or ranking.confidence >= ranking.answer_threshold - advantage
    return weight >= MIN_WEIGHT and is_answered


def _keyness(in_lesson: float, in_english: float) -> float:
    return math.log(in_lesson / in_english)
