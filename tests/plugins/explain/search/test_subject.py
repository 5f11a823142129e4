from dataclasses import replace

import pytest

from bot.documents.parse import parse_document
from plugins.explain.lessons.passages import split_passages
from plugins.explain.search.index import Index
from plugins.explain.search.subject import answers_by_the_way, put_subject

TIDES = """# The tide

## Ebb and flow

The moon pulls at the ocean, so the tide rises. Between two tides lie about twelve hours, with one ebb and one flow.

## Spring tides

When moon and sun pull together, the tide is at its highest. That is called a spring tide, and comes twice a month.

## What people do with it

Engineers build turbines that the tide turns. Which one is better, a dam or a turbine in the open ocean, depends on the
place, and it takes long to find out.
"""
GEZEITEN = """# Gezeiten

## Ebbe und Flut

Der Mond zieht am Meer, und deshalb steigt das Wasser. Zwischen Ebbe und Flut liegen etwa sechs Stunden.
"""


def index_of(*lessons: str) -> Index:
    return Index([passage for lesson in lessons for passage in split_passages(parse_document(lesson.encode(), "l.md"))])


@pytest.fixture(scope="module")
def tides() -> Index:
    return index_of(TIDES)


@pytest.mark.parametrize(
    ("question", "is_named"),
    [
        ("Why does the tide rise twice?", True),
        ("what do turbines have to do with the moon", True),
        ("which one is better?", False),
        ("why does it take so long?", False),
        ("what do people do with it?", False),
        ("How do I sort a list in Python?", False),
        ("", False),
    ],
)
def test_a_question_about_anything_has_to_name_the_subject(tides: Index, question: str, *, is_named: bool) -> None:
    assert tides.may_answer(tides.read_question(question)) is is_named


def answer(index: Index, question: str) -> str | None:
    query = index.read_question(question)
    passage = index.answer_by_the_way(query, index.rank(query))
    return passage.heading if passage else None


def test_what_only_the_lesson_can_mean_is_no_answer_where_anything_may_be_meant(tides: Index) -> None:
    assert tides.rank(tides.read_question("which one is better")).passages[0].heading == "What people do with it"
    assert answer(tides, "which one is better") is None
    assert answer(tides, "when is a spring tide") == "Spring tides"


@pytest.mark.parametrize(
    ("weight", "missing", "is_answer"),
    [(1.0, 0.0, True), (1.0, 0.1, False), (2.0, 0.5, True), (2.0, 1.0, False), (0.5, -9.0, False)],
)
def test_a_question_that_clearly_names_the_subject_needs_less_confidence(
    tides: Index, weight: float, missing: float, *, is_answer: bool
) -> None:
    ranking = tides.rank(tides.read_question("when is a spring tide"))
    uncertain = replace(ranking, confidence=ranking.answer_threshold - missing)
    assert answers_by_the_way(uncertain, weight) is is_answer


def test_a_question_that_stands_in_the_lesson_is_answered_if_it_names_the_subject(tides: Index) -> None:
    ranking = replace(tides.rank(tides.read_question("when is a spring tide")), confidence=-9.0, is_literal=True)
    assert [answers_by_the_way(ranking, weight) for weight in (0.5, 1.0)] == [False, True]


def test_each_lesson_has_its_own_subject() -> None:
    cooking = "# Eggs\n\n## Omelette\n\nBeat three eggs with a whisk. The omelette is done when the egg is firm.\n"
    both = index_of(TIDES, cooking)
    assert answer(both, "how is an omelette made of eggs") == "Omelette"
    assert answer(both, "when is a spring tide") == "Spring tides"


def test_nothing_is_known_about_the_words_of_a_lesson_that_is_not_english() -> None:
    index = index_of(GEZEITEN)
    assert index.may_answer(index.read_question("Hallo"))
    assert answer(index, "Zwischen Ebbe und Flut liegen wie viele Stunden") == "Ebbe und Flut"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("can it hurt people", "can generative AI hurt people"),
        ("Why is this dangerous?", "Why is generative AI dangerous?"),
        ("what damage can it do", "what damage can generative AI do"),
        ("is it safe to swim in the sea", ""),
        ("is it true that cats swim", ""),
        ("can dogs hurt people", ""),
    ],
)
def test_it_means_the_subject_where_it_is_what_a_question_is_about(question: str, expected: str) -> None:
    assert put_subject(question, "What is generative AI?") == expected
