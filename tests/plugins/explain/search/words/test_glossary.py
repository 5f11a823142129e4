import tomllib

import pytest

from plugins.explain.search.words.glossary import FILE, Translation, choose_language, name_language, translate_question
from plugins.explain.search.words.vocabulary import Vocabulary, fold

ENGLISH = Vocabulary(["The temperature of a language model says how random the next token is."])


@pytest.mark.parametrize(
    ("question", "text", "is_complete"),
    [
        (
            "Was bewirkt die Temperatur bei einem Sprachmodell?",
            "what changes the temperature at a language model",
            True,
        ),
        ("Wie funktioniert ein Token?", "how works a token", True),
        ("¿Qué es un modelo de lenguaje?", "what is a model of language", True),
        ("Wie koche ich eine Suppe", "how koche i a suppe", False),
    ],
)
def test_words_of_german_and_spanish_questions_become_english(question: str, text: str, *, is_complete: bool) -> None:
    assert translate_question(question, ENGLISH) == Translation(text, is_complete)


@pytest.mark.parametrize("question", ["What was in the die?", "Is a que what I think it is?", "wie", ""])
def test_other_questions_are_not_translated(question: str) -> None:
    assert translate_question(question, ENGLISH) is None
    assert name_language(question) == ""


def test_a_question_in_the_language_of_a_lesson_stays_as_it_is() -> None:
    german = Vocabulary(["Die Temperatur ist bei einem Sprachmodell das, was der Zufall bewirkt."])
    question = "Was bewirkt die Temperatur bei einem Sprachmodell?"
    assert translate_question(question, german) is None
    assert name_language(question) == "German"


def test_each_word_of_the_glossary_is_folded_and_there_once() -> None:
    for tables in tomllib.loads(FILE.read_text("utf-8")).values():
        entries = [*tables["questions"].values(), *tables["subject"].values()]
        foreign = [word for others in entries for word in others.split()]
        assert foreign == [fold(word) for word in foreign]
        assert [word for word in set(foreign) if foreign.count(word) > 1] == []


@pytest.mark.parametrize(
    ("question", "locale", "code"),
    [
        ("Was macht die Temperatur?", "en", "de"),
        ("¿Qué hace la temperatura?", "de", "es"),
        ("what is the temperature", "de", ""),
        ("Deepfakes", "es-MX", "es"),
        ("GAN", "en-GB", ""),
        ("GAN", "fr", ""),
    ],
)
def test_the_words_tell_the_language_and_else_the_reader(question: str, locale: str, code: str) -> None:
    assert choose_language(question, locale) == code
