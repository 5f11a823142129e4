"""Prompts are split into the things that they ask for together, and only where that is understood."""

import pytest

from model_server.engines.diffusion.parts import make_singular, split_prompt

NAMES = {"cat", "dog", "penguin", "balloon", "hat", "heart", "ribbon", "heart with ribbon", "two hearts", "eyes"}


@pytest.mark.parametrize(
    ("prompt", "arrangement", "parts"),
    [
        ("a cat and a dog", "row", ["a cat", "a dog"]),
        ("A picture of a cat and a dog.", "row", ["a cat", "a dog"]),
        ("cat and dog", "row", ["cat", "dog"]),
        ("an apple, a pear, and two green figs", "row", ["an apple", "a pear", "a green fig", "a green fig"]),
        ("three lemons", "row", ["a lemon"] * 3),
        ("an orange and a green pear", "row", ["an orange", "a green pear"]),
        ("2 red cherries", "row", ["a red cherry"] * 2),
        ("two hearts", "row", ["a heart"] * 2),
        ("two octopuses", "row", ["an octopus"] * 2),
        ("three snowmen", "row", ["a snowman"] * 3),
        ("a penguin with balloon", "with", ["a penguin", "balloon"]),
        ("penguin with a red balloon", "with", ["penguin", "a red balloon"]),
        ("please draw a photo of a man with hat", "hat", ["a man", "hat"]),
        ("four stars", "row", ["a star"] * 4),
        ("a pair of shoes", "row", ["a shoe"] * 2),
        ("a frog on a bicycle", "on", ["a frog", "a bicycle"]),
        ("An owl sitting on top of a cake!", "on", ["An owl", "a cake"]),
        ("a bear with a drum", "with", ["a bear", "a drum"]),
        ("a bear playing a drum", "with", ["a bear", "a drum"]),
        ("a king with a crown", "hat", ["a king", "a crown"]),
        ("a rabbit in a top hat", "hat", ["a rabbit", "a top hat"]),
        ("a cat in a box", "in", ["a cat", "a box"]),
        ("a mouse under a chair", "under", ["a mouse", "a chair"]),
        ("a fox hiding behind a tree", "behind", ["a fox", "a tree"]),
        ("a tree in front of the moon", "behind", ["the moon", "a tree"]),
        ("a star to the right of a moon", "row", ["a moon", "a star"]),
        ("a cat in the snow", "place", ["a cat in the snow", "a cat"]),
        ("a boat on the sea", "place", ["a boat on the sea", "a boat"]),
        ("a pig that sits under a starry night", "place", ["a pig that sits under a starry night", "a pig"]),
        ("a lamp that is lost on the grass", "place", ["a lamp that is lost on the grass", "a lamp"]),
        ("a frog wearing a hat in the rain", "place", ["a frog wearing a hat in the rain", "a frog wearing a hat"]),
        ("a boat on the beach at night", "place", ["a boat on the beach at night", "a boat"]),
    ],
)
def test_things_and_how_they_lie(prompt: str, arrangement: str, parts: list[str]) -> None:
    split = split_prompt(prompt, NAMES.__contains__)
    assert split is not None
    assert (split.arrangement, list(split.prompts)) == (arrangement, parts)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a cat",
        "a purple apple",
        "a big and happy dog",
        "a black and white cow",
        "a dog in space",
        "a star on a blue background",
        "a cat with blue eyes",
        "a cup of tea",
        "a cat and a dog in the rain",
        "a cat on a chair on a table",
        "a heart with ribbon",
        "a penguin with courage",
        "a cat with eyes",
        "a pair of glasses",
        "a pair of sunglasses",
        "seven apples",
        "four cats and four dogs",
        "two",
        "and",
        "a cat and",
        "two happy",
        "a thing that somebody describes at length and a dog",
        "a cold sweet treat in a cone",
        "what a king wears on his head",
        "a face with a mask",
        "a dog wearing a scarf",
        "a clock on a wall",
        "a witch on a broom at night",
        "tall and strong",
        "cat, fluffy",
        "a cat and a dog playing",
        "SİX cats",
        "a dog and ſix cats",
        "a cat wearing [x](y) @everyone in the rain",
        "a man with a long beard",
        "a cat with a smile",
        "the sickle that shines at night",
        "clip and shear it",
        "a cat and " + "a dog " * 50,
    ],
)
def test_one_thing_and_what_is_not_understood_stay_whole(prompt: str) -> None:
    assert split_prompt(prompt, NAMES.__contains__) is None


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("cats", "cat"),
        ("cherries", "cherry"),
        ("boxes", "box"),
        ("potatoes", "potato"),
        ("houses", "house"),
        ("glasses", "glass"),
        ("witches", "witch"),
        ("mice", "mouse"),
        ("fish", "fish"),
        ("shoes", "shoe"),
        ("gases", "gas"),
        ("lenses", "lens"),
        ("buses", "bus"),
        ("vases", "vase"),
        ("gas", None),
        ("lens", None),
        ("canvas", None),
        ("bus", None),
        ("grass", None),
        ("cat", None),
        ("s", None),
    ],
)
def test_singulars(plural: str, singular: str | None) -> None:
    assert make_singular(plural) == singular
