"""Lessons in several languages: where their files are, and which of them answer a question.

The German version of `cells.md` is the file `cells.de.md` beside it. It is no further lesson: a German question is
answered from it instead of from `cells.md`, and all others are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from plugins.explain.lessons.passages import Passage, make_distinct
from plugins.explain.library.lesson_set import Lesson
from plugins.explain.search.words.glossary import count_stop_words, language_codes

MAX_TELLING_CHARACTERS = 5000
"""The beginning of a lesson that is read to tell its language."""


def translation_paths(path: Path) -> dict[str, Path]:
    """Return where the translations of a lesson file would be, by the code of their language."""
    return {code: path.with_suffix(f".{code}{path.suffix}") for code in language_codes()}


def in_language(lessons: Sequence[Lesson], code: str) -> tuple[Lesson, ...] | None:
    """Return each lesson in a language if it is there, else as it is; None if none of them is in that language."""
    chosen = tuple(lesson.translations.get(code, lesson) for lesson in lessons)
    return chosen if code in languages_of(chosen) else None


def languages_of(lessons: Sequence[Lesson]) -> frozenset[str]:
    """Return the codes of the languages that some lessons are in, without their translations."""
    return frozenset(map(_language_of, lessons))


def with_translations(lessons: Sequence[Lesson]) -> Iterator[Lesson]:
    """Yield the lessons, each followed by its translations."""
    for lesson in lessons:
        yield lesson
        yield from lesson.translations.values()


def passages_of(lessons: Sequence[Lesson]) -> list[Passage]:
    """Return the passages of the lessons and of their translations."""
    return [passage for lesson in with_translations(lessons) for passage in lesson.passages]


def with_distinct_page_names(lessons: Sequence[Lesson]) -> tuple[Lesson, ...]:
    """Return the lessons, each with a page address that no other one has, also not in another language."""
    used: dict[str, int] = {}
    named = [
        replace(lesson, page=replace(lesson.page, name=make_distinct(lesson.page.name, used)))
        for lesson in with_translations(lessons)
    ]
    rest = iter(named)
    return tuple(
        replace(next(rest), translations={code: next(rest) for code in lesson.translations}) for lesson in lessons
    )


def _language_of(lesson: Lesson) -> str:
    text = ""
    for passage in lesson.passages:
        text = f"{text} {passage.plain_text[:MAX_TELLING_CHARACTERS]}"
        if len(text) > MAX_TELLING_CHARACTERS:
            break
    counts = count_stop_words(text)
    return max(counts, key=lambda code: counts[code])
