"""Prompts in German and Spanish, put into English with the dictionary."""

import pytest
from fakes.core.requests import MODERATOR, ROOM, ask, last, speaking
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.settings.scopes import server_scope
from plugins.imagine.translation import FILE, translate_prompt


@pytest.mark.parametrize(
    ("prompt", "english"),
    [
        ("ein roter Fuchs", "a red fox"),
        ("ein roter Apfel", "a red apple"),
        ("una manzana roja", "a red apple"),
        ("rote Herzen", "red hearts"),
        ("ein Herz, keine Katzen", "a heart, no cats"),
        ("un gato, no un perro", "a cat, not a dog"),
        ("Zwei blaue Katzen auf einem grünen Tisch", "two blue cats on a green table"),
        ("ein Bild von einem Elefanten im Schnee", "a picture of an elephant in the snow"),
        ("Igel, Pinguin!", "hedgehog, penguin!"),
        ("un gato rojo con sombrero", "a red cat with hat"),
        ("dos perros pequeños en la playa", "two small dogs on the beach"),
        ("una bruja de noche", "a witch at night"),
        ("dos corazones rojos", "two red hearts"),
        ("sechs Kisten", "six boxes"),
        ("Große Bäume", "big trees"),
        ("zwei Füße", "two feet"),
        ("rote Äpfel", "red apples"),
        ("ein Frosch und Vögel", "a frog and birds"),
        ("peces azules", "blue fish"),
        ("lápices", "pencils"),
        ("una rosa roja", "a red rose"),
        ("un mono en la nieve", "a monkey in the snow"),
        ("dos gatos monos y un vestido rosa", "two cute cats and a pink dress"),
        ("un paraguas con un unicornio", "an umbrella with a unicorn"),
        ("eine Tasse und eine Flasche", "a cup and a bottle"),
    ],
)
def test_things_colours_and_places_become_english(prompt: str, english: str) -> None:
    found = translate_prompt(prompt)
    assert found is not None
    assert (found.text, found.unknown) == (english, ())


@pytest.mark.parametrize("prompt", ["a red fox", "a Pikachu", "in Paris", "no Pikachu", "🍎 猫", "taxi", "x" * 1000])
def test_other_prompts_stay_as_they_are(prompt: str) -> None:
    assert translate_prompt(prompt, "es") is None


def test_the_reader_decides_about_words_of_several_languages() -> None:
    assert translate_prompt("Ball", "en") is None
    found = translate_prompt("Ball", "de-CH")
    assert found is not None
    assert found.text == "football"


def test_each_line_of_the_dictionary_has_four_columns() -> None:
    lines = [line.split("\t") for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert {len(line) for line in lines} == {4}
    assert {line[0] for line in lines} == {"noun", "adjective", "other"}
    assert all(line[1] and (line[2] or line[3]) for line in lines)


def test_no_name_of_an_emoji_takes_a_colour_away() -> None:
    lines = [line.split("\t") for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#")]
    colours = ("red", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "golden")
    lost = [
        (line[1], name)
        for column in (2, 3)
        for colour, *words in [[row[1], *row[column].split("|")] for row in lines if row[1] in colours]
        for line in lines
        for name in line[column].split("|")
        if line[0] == "noun" and " " in name and colour not in line[1]
        if any(part.startswith(word.removesuffix("o")) for part in name.split() for word in words)
    ]
    assert lost == []


def test_one_foreign_word_among_others_may_be_a_name() -> None:
    assert translate_prompt("mona lisa", "en") is None
    assert translate_prompt("mona lisa", "es").text == "monkey lisa"


async def test_the_translated_words_are_checked_too(bot: Bot, models: FakeModels) -> None:
    level = bot.settings.make_change("safety.level", "classroom", server_scope(ROOM))
    await bot.settings.write([level], MODERATOR)
    refused = await last(bot, ask("/imagine count:1 Prinz Harry", speaking("de")))
    assert refused.refused
    assert not [request for request in models.requests if "Harry" in str(request.get("prompt"))]


async def test_the_card_says_what_was_drawn(bot: Bot, models: FakeModels) -> None:
    reply = await last(bot, ask("/imagine count:1 negative:Hund Ein Xylofon mit einem roten Hut", speaking("de")))
    assert (models.requests[-1]["prompt"], models.requests[-1]["negative_prompt"]) == (
        "a Xylofon with a red hat",
        "dog",
    )
    assert reply.card["gezeichnet als"] == "a Xylofon with a red hat"
    assert reply.status.startswith("Diese Wörter fehlen in meinem Wörterbuch und bleiben, wie sie sind: `Xylofon`.")
    reply = await last(bot, ask("/imagine count:1 a red fox", speaking("de")))
    assert not reply.status
    assert "gezeichnet als" not in reply.card
