from dataclasses import replace

import numpy as np
import pytest

from plugins.explain.lessons.passages import Passage
from plugins.explain.search.embedded_texts import text_groups
from plugins.explain.search.index import Index
from plugins.explain.search.reference_lesson import MIN_CONFIDENCE, ReferenceLesson

WORDINGS = ("why is my text total rubbish", "it talks crazy when cranked up")


def passage(lesson: str, heading: str, text: str, asked: tuple[str, ...] = ()) -> Passage:
    return Passage(lesson, (heading,), None, text, heading.lower(), wordings=asked)


GUIDE = [
    passage("Guide", "High temperature", "At a high temperature rare tokens come up and the answers vary.", WORDINGS),
    passage("Guide", "Tokens", "A token is a piece of a word.", ("what does it chop words into",)),
]
OWN = [
    passage("Mine", "Hot", "With a high temperature the answers vary and rare tokens come up."),
    passage("Mine", "Pieces", "The piece of a word that it reads is a token."),
]
OTHER = [passage("Plants", "Roots", "Roots drink water."), passage("Plants", "Leaves", "Leaves catch sunlight.")]


@pytest.fixture
def guide() -> Index:
    return Index(GUIDE)


@pytest.mark.parametrize(("question", "heading"), [("my text is rubbish", "Hot"), ("how does it chop", "Pieces")])
def test_a_guides_wordings_find_passages_of_another_lesson(guide: Index, question: str, heading: str) -> None:
    alone, guided = Index(OWN), Index(OWN, guide)
    assert (
        alone.rank(alone.read_question(question)).passages[:1]
        != guided.rank(guided.read_question(question)).passages[:1]
    )
    assert guided.rank(guided.read_question(question)).passages[0].heading == heading


def test_a_lesson_about_something_else_is_not_led_astray(guide: Index) -> None:
    index = Index(OTHER, guide)
    query = index.read_question("what does it chop words into")
    bridge = ReferenceLesson(guide, index)
    guidance = bridge.score(query, None)
    assert guidance is not None
    assert guidance.relevance.tolist() == [0, 0]
    assert guidance.confidence_for(0) == (0, 0)


def test_a_guide_that_does_not_know_counts_little_against_a_lesson(guide: Index) -> None:
    index = Index(OWN, guide)
    bridge = ReferenceLesson(guide, index)
    asked = [bridge.score(index.read_question(question), None) for question in (WORDINGS[0], "how do volcanoes erupt")]
    (sure, known), (unsure, _) = [guidance.confidence_for(0) for guidance in asked if guidance]
    assert 0 < known <= 1
    assert MIN_CONFIDENCE <= unsure < 0 < sure


def directions(passages: list[Passage], of: list[int]) -> np.ndarray:
    """A row for each text of the passages' units: the unit vector of that number."""
    return np.array(
        [np.eye(8)[n] for one, n in zip(passages, of, strict=True) for part in text_groups(one) for _ in part],
        np.float32,
    )


def test_embeddings_lead_where_the_guide_has_its_own_already(guide: Index) -> None:
    strange = [replace(one, path=("X",), text="Nothing alike.") for one in OWN]
    index = Index(strange, guide)
    index.attach(directions(strange, [1, 0]))
    bridge = index._reference_lesson
    query = index.read_question("anything")
    assert bridge is not None
    embedded = [np.eye(8)[0].tolist()] * len(query.texts)
    assert bridge.score(query, embedded) is None
    guide.attach(directions(GUIDE, [0, 1]))
    index.attach(directions(strange, [1, 0]))
    guidance = bridge.score(query, embedded)
    assert guidance is not None
    assert guidance.relevance.argmax() == 1
