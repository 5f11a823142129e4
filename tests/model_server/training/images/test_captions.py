"""What pictures are called."""

from random import Random

from model_server.training.images import captions
from model_server.training.images.emoji import Emoji

APPLE = Emoji("1f34e", "red apple", ("apple",), ("fruit", "food", "ripe"), "Food & Drink")
CAT = Emoji("1f431", "cat face", ("cat",), ("pet", "kitten"), "Animals & Nature")


def test_an_emoji_has_many_captions_and_its_name_most_often() -> None:
    found = captions.plain_captions(APPLE, Random(0))
    assert max(found, key=found.count) == "red apple"
    assert {"apple", "an apple", "a picture of a red apple", "fruit"} <= set(found)


def test_a_word_for_it_comes_with_the_name_or_with_other_words() -> None:
    found = captions.plain_captions(APPLE, Random(0))
    assert any(" " in text and set(text.split()) <= {"fruit", "food", "ripe"} for text in found)


def test_another_colour_takes_the_place_of_the_one_in_the_name() -> None:
    found = captions.colour_captions(APPLE, "purple")
    assert {"purple apple", "a purple apple", "apple in purple"} <= set(found)
    assert not [text for text in found if "red" in text.split()]


def test_the_articles_fit() -> None:
    assert "an orange apple" in captions.colour_captions(APPLE, "orange")
    assert captions.with_article("umbrella") == "an umbrella"
    assert captions.with_article("glasses") == "glasses"
    assert captions.with_article("octopus") == "an octopus"


def test_an_animals_face_is_the_animal() -> None:
    assert "blue cat" in captions.colour_captions(CAT, "blue")


def test_a_skin_tone_is_always_said() -> None:
    toned = Emoji("1f44b-1f3ff", "waving hand", (), (), "People & Body", "dark skin tone")
    assert all("dark skin tone" in text for text in captions.plain_captions(toned, Random(0)))


def test_about_a_quarter_of_things_and_colours_is_held_out_always_the_same() -> None:
    pairs = [(f"thing {number}", colour) for number in range(100) for colour in ("red", "blue", "green")]
    held = [captions.is_held_out(*pair) for pair in pairs]
    assert 50 < sum(held) < 100
    assert held == [captions.is_held_out(*pair) for pair in pairs]
