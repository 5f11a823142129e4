"""Captions name things, colours and skin tones in several wordings."""

from random import Random

import pytest

from research.pictures.data import captions
from research.pictures.data.emoji import Emoji

APPLE = Emoji("1f34e", "red apple", ("apple",), ("fruit", "food", "ripe"), "Food & Drink")
CAT = Emoji("1f431", "cat face", ("cat",), ("pet", "kitten"), "Animals & Nature")


def test_an_emoji_has_many_captions_and_its_name_most_often() -> None:
    texts = captions.write_plain_captions(APPLE, Random(0))
    assert max(texts, key=texts.count) == "red apple"
    assert {"apple", "an apple", "a picture of a red apple", "fruit"} <= set(texts)


def test_keywords_are_combined_with_each_other() -> None:
    texts = captions.write_plain_captions(APPLE, Random(0))
    assert any(" " in text and set(text.split()) <= {"fruit", "food", "ripe"} for text in texts)


def test_another_colour_replaces_the_one_in_the_name() -> None:
    texts = captions.write_colour_captions(APPLE, "purple")
    assert {"purple apple", "a purple apple", "apple in purple"} <= set(texts)
    assert not [text for text in texts if "red" in text.split()]


def test_articles_are_right() -> None:
    assert "an orange apple" in captions.write_colour_captions(APPLE, "orange")
    assert captions.add_article("umbrella") == "an umbrella"
    assert captions.add_article("glasses") == "glasses"
    assert captions.add_article("octopus") == "an octopus"


def test_the_face_of_an_animal_is_called_by_the_animal() -> None:
    assert "blue cat" in captions.write_colour_captions(CAT, "blue")


def test_a_quarter_of_things_and_colours_is_held_out_reproducibly() -> None:
    pairs = [(f"thing {number}", colour) for number in range(100) for colour in ("red", "blue", "green")]
    held_out = [captions.is_held_out(*pair) for pair in pairs]
    assert 50 < sum(held_out) < 100
    assert held_out == [captions.is_held_out(*pair) for pair in pairs]


@pytest.mark.parametrize(
    ("thing", "plural"),
    [
        ("heart", "hearts"),
        ("red fox", "red foxes"),
        ("cherry", "cherries"),
        ("key", "keys"),
        ("mouse", "mice"),
        ("bus", "buses"),
        ("peach", "peaches"),
        ("glasses", "glasses"),
        ("green leaf", "green leaves"),
    ],
)
def test_plurals(thing: str, plural: str) -> None:
    assert captions.make_plural(thing) == plural


def test_captions_say_which_thing_is_where() -> None:
    assert "a frog on a bicycle" in captions.write_on_captions("frog", "bicycle")
    assert "a bicycle under a frog" in captions.write_on_captions("frog", "bicycle")
    assert "a ghost with a balloon" in captions.write_with_captions("ghost", "balloon")
    assert "a tree behind a car" in captions.write_behind_captions("tree", "car")
    assert "a car in front of a tree" in captions.write_behind_captions("tree", "car")
    assert "two red hearts" in captions.write_copies_captions("red heart", 2)
    assert "an angry apple" in captions.write_expression_captions("apple", ("angry", "mad"))


def test_each_expression_has_one_face() -> None:
    words = [word for some in captions.read_expressions().values() for word in some]
    assert len(words) == len(set(words)) > 200


def test_a_face_is_captioned_with_all_that_it_shows() -> None:
    texts = captions.write_face_captions(captions.read_expressions()["1f612"])
    assert {"a face that is jealous", "an unamused face", "a face that looks moody"} <= set(texts)
