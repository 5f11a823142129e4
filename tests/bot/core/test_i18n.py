"""Every sentence for users has its translations, and every translation belongs to a sentence."""

import ast
import re
import string
from collections.abc import Iterator

import pytest
from quality.translations import FACTS, ROOT, SOURCES, Collector, collect, find_untranslated

from bot.answers.greeting import welcome
from bot.app import Bot
from bot.core.errors import Busy
from bot.core.i18n import FOLDER, Sentence, list_languages, read_catalogue, shown_value, translate

LANGUAGES = ("de", "es")


def fields(sentence: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None)


def entries(code: str) -> Iterator[tuple[str, str]]:
    """Yield each sentence with its translation; of plurals, the first form is for one, and the others for several."""
    for message in read_catalogue(FOLDER / f"{code}.po"):
        if isinstance(message.id, str) and message.id:
            yield message.id, message.string
        elif message.id:
            # In some languages the first form is also for other numbers than one.
            yield message.id[0], message.string[0].replace("{count}", "1")
            yield from ((message.id[1], text) for text in message.string[1:])


def test_sentences_of_every_kind_are_collected() -> None:
    assert {
        "/{command} is for moderators.",
        "{name} must be {expected}; you gave {given}.",
        "This button has expired.",
        "Number {place} in the queue …",
        "a whole number",
        " characters",
        "Ask the language model a question.",
        "What you want to know",
        ("1 has voted.", "{count} have voted."),
        ("1 hour", "{count} hours"),
        "Skip to the message box",
        "Ask, or type / for commands",
        "Version {number}",
        ("1 reply", "{count} replies"),
    } <= collect().keys()
    # The page says it of one hour alone.
    assert "1 hour" not in collect()


def test_the_collector_refuses_a_concatenated_sentence() -> None:
    with pytest.raises(AssertionError, match="put together"):
        Collector(ast.parse('raise UserError(f"No {thing}.")'))


def test_plugins_put_these_facts_on_cards() -> None:
    plugins = "".join(path.read_text("utf-8") for path in SOURCES if ROOT / "plugins" in path.parents)
    assert {fact for fact in FACTS if f'"{fact}"' not in plugins} == set()


def test_the_languages_are_english_german_and_spanish() -> None:
    assert list_languages() == ("en", *LANGUAGES)


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_sentence_has_a_translation_and_every_translation_a_sentence(code: str) -> None:
    """`make lint` puts new sentences into the catalogues, and takes out those that are gone."""
    there = {message.id for message in read_catalogue(FOLDER / f"{code}.po") if message.id}
    assert collect().keys() - there == set()
    assert there - collect().keys() == set()
    assert find_untranslated(code) == []


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_translation_has_the_fields_and_the_outer_characters_of_its_sentence(code: str) -> None:
    for english, text in entries(code):
        assert fields(text) == fields(english), english
        assert (text[:1] == " ", text[-1:] == " ") == (english[:1] == " ", english[-1:] == " "), english
        assert (text[-1] in ".:?") == (english[-1] in ".:?"), english
        assert text.count("`") == english.count("`"), english


def test_quotation_marks_are_those_of_the_language() -> None:
    for _, text in entries("de"):
        assert not re.search('["”«»]|(?<!„)“(?!“)', re.sub("„[^“]*“", "", text)), text
    for _, text in entries("es"):
        assert not set('"“”„') & set(text), text


def test_a_plural_follows_its_count() -> None:
    several = Sentence("1 second", {"count": 2}, "{count} seconds")
    one = Sentence("1 second", {"count": 1}, "{count} seconds")
    assert [each.in_language("de") for each in (one, several)] == ["1 Sekunde", "2 Sekunden"]
    assert [each.in_language("en") for each in (one, several)] == ["1 second", "2 seconds"]
    assert [str(Busy("A second", 1, "{count} seconds", count=count)) for count in (1, 2)] == ["A second", "2 seconds"]


def test_a_locale_leads_to_its_language_and_an_unknown_one_to_english() -> None:
    assert {translate("Stop", locale) for locale in ("de", "de-DE", "de_AT", "DE")} == {"Stopp"}
    assert {translate("Stop", locale) for locale in ("", "C", "xx", "../de", "en-GB")} == {"Stop"}


def test_a_sentence_in_a_sentence_is_translated_too() -> None:
    sentence = Sentence("{name} must be {expected}; you gave {given}.", {
        "name": "seed", "expected": Sentence("a whole number"), "given": "{x}",
    })  # fmt: skip
    assert sentence.in_language("en") == "seed must be a whole number; you gave {x}."
    assert "eine ganze Zahl" in sentence.in_language("de")
    assert sentence.in_language("de").endswith("{x} eingegeben.")


@pytest.mark.parametrize(
    ("value", "locale", "shown"),
    [
        (0.7, "de-AT", "0,7"),
        (0.7, "en", "0.7"),
        (2.0, "es", "2"),
        (7, "de", "7"),
        (False, "es", "no"),
        ("quote", "de", "Zitat"),
    ],
)
def test_a_value_is_shown_as_people_read_it(value: object, locale: str, shown: str) -> None:
    assert shown_value(value, locale) == shown
    assert translate("{value}", locale, value=value) == (shown if isinstance(value, bool | float) else str(value))


@pytest.mark.parametrize("code", LANGUAGES)
async def test_the_welcome_is_in_one_language(bot: Bot, code: str) -> None:
    text = welcome(bot, code).text
    lines = [line for line in text.splitlines() if line]
    assert len(lines) == 6
    english = welcome(bot, "en").text.splitlines()
    assert [line for line in lines if line in english] == ["- `/imagine a red apple`", "- `/face count:4`"]
    assert "- `/imagine prompt:a red apple`" in welcome(bot, code, names_all=True).text
