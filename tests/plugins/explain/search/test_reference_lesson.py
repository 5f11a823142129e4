from dataclasses import replace

import numpy as np
import pytest

from plugins.explain.lessons.passages import Passage
from plugins.explain.search.embedding.embedded_texts import text_groups
from plugins.explain.search.index import Index
from plugins.explain.search.reference_lesson import MIN_CONFIDENCE, ReferenceLesson

WORDINGS = ("why is my text total rubbish", "it talks crazy when cranked up")


def passage(lesson: str, heading: str, text: str, asked: tuple[str, ...] = ()) -> Passage:
    return Passage(lesson, (heading,), None, text, heading.lower(), wordings=asked)


REFERENCE = [
    passage(
        "Reference", "High temperature", "At a high temperature rare tokens come up and the answers vary.", WORDINGS
    ),
    passage("Reference", "Tokens", "A token is a piece of a word.", ("what does it chop words into",)),
]
OWN = [
    passage("Mine", "Hot", "With a high temperature the answers vary and rare tokens come up."),
    passage("Mine", "Pieces", "The piece of a word that it reads is a token."),
]
OTHER = [passage("Plants", "Roots", "Roots drink water."), passage("Plants", "Leaves", "Leaves catch sunlight.")]


@pytest.fixture
def reference() -> Index:
    return Index(REFERENCE)


def test_a_lesson_on_another_subject_is_not_affected(reference: Index) -> None:
    index = Index(OTHER, reference)
    query = index.read_question("what does it chop words into")
    reference_lesson = ReferenceLesson(reference, index)
    scores = reference_lesson.score(query, None)
    assert scores is not None
    assert scores.relevance.tolist() == [0, 0]
    assert scores.confidence_for(0) == (0, 0)


def test_a_reference_lesson_without_an_answer_counts_little_against_a_lesson(reference: Index) -> None:
    index = Index(OWN, reference)
    reference_lesson = ReferenceLesson(reference, index)
    asked = [
        reference_lesson.score(index.read_question(question), None)
        for question in (WORDINGS[0], "how do volcanoes erupt")
    ]
    (sure, known), (unsure, _) = [scores.confidence_for(0) for scores in asked if scores]
    assert 0 < known <= 1
    assert MIN_CONFIDENCE <= unsure < 0 < sure


def directions(passages: list[Passage], of: list[int]) -> np.ndarray:
    """A row for each text of the passages' `text_groups`: the unit vector of that number."""
    return np.array(
        [np.eye(8)[n] for one, n in zip(passages, of, strict=True) for part in text_groups(one) for _ in part],
        np.float32,
    )


def test_embeddings_count_once_the_reference_lesson_has_its_own(reference: Index) -> None:
    strange = [replace(one, path=("X",), text="Nothing alike.") for one in OWN]
    index = Index(strange, reference)
    index.attach(directions(strange, [1, 0]))
    reference_lesson = index._reference_lesson
    query = index.read_question("anything")
    assert reference_lesson is not None
    embedded = [np.eye(8)[0].tolist()] * len(query.texts)
    assert reference_lesson.score(query, embedded) is None
    reference.attach(directions(REFERENCE, [0, 1]))
    index.attach(directions(strange, [1, 0]))
    scores = reference_lesson.score(query, embedded)
    assert scores is not None
    assert scores.relevance.argmax() == 1
