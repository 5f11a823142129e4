from dataclasses import replace

import numpy as np
import pytest

from bot.documents.parse import parse_document
from plugins.explain.lessons.passages import Passage, split_passages
from plugins.explain.search.decision import LEXICAL, Answer, DidYouMean, NotInLessons, Ranking
from plugins.explain.search.embedding.embedded_texts import text_groups
from plugins.explain.search.index import Index

LESSON = """# Pets

Cats, dogs and hamsters live with us.

## Cats

Cats purr when somebody strokes their fur. A kitten sleeps all day.

## Dogs

Dogs bark at the postman and fetch a stick.

## Hamsters

A hamster fills its cheeks with seeds and runs in a wheel at night.

## FAQ

### Do fish need company?

Most of them live in a shoal.
"""


def pets_passages() -> list[Passage]:
    return split_passages(parse_document(LESSON.encode(), "pets.md"))


def rank_by_words(index: Index, question: str) -> Ranking:
    return index.rank(index.read_question(question))


@pytest.fixture(scope="module")
def index() -> Index:
    return Index(pets_passages())


@pytest.mark.parametrize(
    ("question", "heading"),
    [
        ("Which animal barks at the postman?", "Dogs"),
        ("why does it purr when i stroke the fur", "Cats"),
        ("hamstr in a weel", "Hamsters"),
        ("wat do hamsters do w seeds", "Hamsters"),
        ("do fish need company", "Do fish need company?"),
    ],
)
def test_words_alone_find_the_passage(index: Index, question: str, heading: str) -> None:
    assert rank_by_words(index, question).passages[0].heading == heading


def test_the_text_below_a_title_that_is_a_question_does_not_answer_it() -> None:
    text = "# What is a pet?\n\nThis lesson has two parts.\n\n## Pets\n\nA pet is an animal that lives with people.\n"
    index = Index(split_passages(parse_document(text.encode(), "pets.md")))
    assert rank_by_words(index, "what is a pet").passages[0].heading == "Pets"


@pytest.mark.parametrize(
    ("question", "texts"),
    [
        ("Wie funktioniert ein Hamster?", ("how works a hamster",)),
        ("Wie funktioniert ein Auto?", ("Wie funktioniert ein Auto?", "how works a auto")),
    ],
)
def test_a_foreign_question_is_embedded_as_it_is_only_where_a_word_has_no_translation(
    index: Index, question: str, texts: tuple[str, ...]
) -> None:
    assert index.read_question(question).texts == texts


def test_a_confident_result_is_an_answer_with_the_next_best_passages(index: Index) -> None:
    decision = index.decide(rank_by_words(index, "do dogs bark at the postman"))
    assert isinstance(decision, Answer)
    assert decision.passage.heading == "Dogs"
    assert decision.others
    assert decision.passage not in decision.others


@pytest.mark.parametrize("question", ["how do volcanoes erupt", "", "?!", "asdfghjkl", "what is it"])
def test_a_question_that_the_lessons_do_not_answer_gets_the_topics(index: Index, question: str) -> None:
    assert index.decide(rank_by_words(index, question)) == NotInLessons({"Pets": ("Cats", "Dogs", "Hamsters")})
    assert Index([]).decide(rank_by_words(Index([]), question)) == NotInLessons({})


def test_a_less_confident_result_gets_suggestions_under_different_headings(index: Index) -> None:
    ranking = rank_by_words(index, "dogs cats hamsters postman")
    decision = index.decide(replace(ranking, confidence=(LEXICAL.suggest + LEXICAL.answer) / 2))
    assert isinstance(decision, DidYouMean)
    headings = [passage.heading for passage in decision.passages]
    assert len(headings) == 3 == len(set(headings))


def test_several_passages_of_a_section_are_suggested_once() -> None:
    cats, *others = [passage for passage in pets_passages() if passage.path]
    index = Index([cats, replace(cats, text="Cats also hunt.", kind="row"), *others])
    found = rank_by_words(index, "cats purr and hunt, dogs, hamsters")
    assert sorted(passage.heading for passage in found.passages) == ["Cats", "Dogs", "Hamsters"]


def test_further_wordings_are_searched() -> None:
    cats, *others = [passage for passage in pets_passages() if passage.path]
    question = "why is my tiger so noisy"
    assert isinstance(Index([cats, *others]).decide(rank_by_words(Index([cats, *others]), question)), NotInLessons)
    index = Index([replace(cats, wordings=("noisy tiger at home",)), *others])
    assert rank_by_words(index, question).passages[0].heading == "Cats"


def test_text_groups_are_the_whole_the_sentences_and_the_questions() -> None:
    cats = pets_passages()[1]
    parts = ["Cats purr when somebody strokes their fur.", "A kitten sleeps all day."]
    whole = [f"Cats. {' '.join(parts)}"]
    assert text_groups(cats) == (whole, [f"Cats: {part}" for part in parts], parts, whole)
    assert text_groups(pets_passages()[-1])[3] == ["Do fish need company?"]


def attach_directions(index: Index, towards: dict[str, int], width: int = 8) -> None:
    """Give the passages embeddings: those under the named headings look along an axis, the others along the last."""
    rows = []
    for passage in index.passages:
        row = np.full(width, 0.1, np.float32)
        row[towards.get(passage.heading, width - 1)] = 1
        rows += [row / np.linalg.norm(row)] * sum(len(part) for part in text_groups(passage))
    index.attach(np.array(rows))


def test_embeddings_find_a_passage_that_shares_no_word() -> None:
    index = Index(pets_passages())
    question = "which one is loud"
    assert rank_by_words(index, question).passages == ()
    attach_directions(index, {"Dogs": 0, "Cats": 1})
    query = index.read_question(question)
    ranking = index.rank(query, [np.eye(8)[0].tolist()] * len(query.texts))
    assert ranking.passages[0].heading == "Dogs"
    assert ranking.with_embeddings
    assert rank_by_words(index, question).with_embeddings is False


def test_of_two_readings_of_it_the_surer_one_counts() -> None:
    index = Index(pets_passages())
    attach_directions(index, {"Dogs": 0, "Cats": 1})
    query = index.read_question("can it scratch")
    assert query.embedded_texts == ("can it scratch", "can Pets scratch")
    nowhere, cats, dogs = ([float(number == axis) for number in range(8)] for axis in (5, 1, 0))
    for rows, heading in (([nowhere, cats], "Cats"), ([dogs, nowhere], "Dogs")):
        assert index.rank(query, rows).passages[0].heading == heading
    # In any other conversation, and with several lessons, “it” may be anything.
    assert index.read_question("can it scratch", is_about_lessons=False).with_subject == ""
    two = Index([*pets_passages(), replace(pets_passages()[1], lesson_title="Tigers")])
    assert two.read_question("can it scratch").with_subject == ""


def test_similarity_and_words_are_joined() -> None:
    index = Index(pets_passages())
    attach_directions(index, {"Dogs": 0, "Cats": 0})
    along = [np.eye(8)[0].tolist()]
    for question, heading in (("barks at a postman", "Dogs"), ("kitten that sleeps", "Cats")):
        query = index.read_question(question)
        assert index.rank(query, along * len(query.texts)).passages[0].heading == heading


def test_the_mean_of_all_passages_does_not_decide() -> None:
    index = Index([passage for passage in pets_passages() if passage.path])
    rows = []
    for passage in index.passages:
        row = np.array([1.0, 0.0, 0.0, 0.0]) if passage.heading != "Dogs" else np.array([0.9, 0.3, 0.0, 0.0])
        rows += [row / np.linalg.norm(row)] * sum(len(part) for part in text_groups(passage))
    index.attach(np.array(rows, np.float32))
    query = index.read_question("zzz")
    question = np.array([1.0, 0.156, 0.0, 0.0]) / np.linalg.norm([1.0, 0.156])
    assert index.rank(query, [question.tolist()] * len(query.texts)).passages[0].heading == "Dogs"


def test_a_query_embeds_the_question_and_the_corrected_question(index: Index) -> None:
    assert index.read_question("lol wat do dgs do, a hamstr").texts == (
        "lol wat do dgs do, a hamstr",
        "what do dgs do a hamster",
    )
    assert index.read_question("what do dogs do").texts == ("what do dogs do",)
    assert index.read_question("the hamstr").stems == ("hamster",)


def test_an_exact_wording_is_found_even_if_other_passages_have_its_words() -> None:
    many = ("what is a cat", "which pet purrs in a basket", "who catches mice at night")
    about = Passage("Pets", ("Animals at home",), None, "They purr and they sleep all day.", "animals", wordings=many)
    food = Passage(
        "Pets", ("Cat",), None, "What is a cat, and what is a cat for?", "cat", wordings=("what is a cat for",)
    )
    for index in (Index([about, food]), Index([food, about])):
        assert rank_by_words(index, "wat is a cat??").passages[0] == about
        assert rank_by_words(index, "cat").passages[0] == food


def test_the_section_classifier_scores_all_passages_of_a_section() -> None:
    cats, dogs = pets_passages()[1:3]
    row = replace(cats, text="Cats: four legs.", kind="row")
    worded = replace(cats, wordings=("the purring one",)), row, replace(dogs, wordings=("the loud one",))
    index = Index([*worded, pets_passages()[3]])
    attach_directions(index, {"Cats": 0, "Dogs": 1})
    query = index.read_question("zzz")
    along = [np.eye(8)[0].tolist()] * len(query.texts)
    scored = index.score_all(query, along)
    here, beside, other, unknown = scored.section_score
    assert here == beside > 0 > other
    assert unknown == 0
    assert index._embeddings is not None
    index._embeddings._section_classifier = None
    moved = np.sign((scored.total - index.score_all(query, along).total).round(6))
    assert moved.tolist() == [1, 1, -1, 0]
    assert index.score_all(query, None).section_score.tolist() == [0] * 4
