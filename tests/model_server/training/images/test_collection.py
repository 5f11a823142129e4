"""The pictures that are learnt from."""

import numpy as np
import pytest

from model_server.training.images import captions, scenes
from model_server.training.images.collection import ORIENTED_WORDS, SHARES, Collection, collect
from model_server.training.images.colours import COLOURS, HUES, colour_name, recolour
from model_server.training.images.emoji import TONES, Emoji
from model_server.training.images.things import read_descriptions

FRUIT = Emoji("1f34e", "red apple", ("apple",), ("fruit", "ripe"), "Food & Drink")
ARROW = Emoji("27a1", "right arrow", (), ("east",), "Symbols")
PIZZA = Emoji("1f355", "pizza", (), (), "Food & Drink")
MATE = Emoji("1f9c9", "mate", (), (), "Food & Drink")
HAND = Emoji("1f44b-1f3ff", "waving hand", (), (), "People & Body", TONES["1F3FF"])


def disc(colour: tuple[int, int, int], *, left_half: bool = False) -> np.ndarray:
    """A disc, or its left half, of one colour on nothing."""
    down, across = np.mgrid[:64, :64]
    inside = (down - 32) ** 2 + (across - 32) ** 2 < 28**2
    if left_half:
        inside &= across < 32
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[inside] = (*colour, 255)
    return picture


@pytest.fixture(scope="module")
def collection() -> Collection:
    pictures = {
        FRUIT.code: disc((220, 30, 30)),
        ARROW.code: disc((10, 10, 10), left_half=True),
        HAND.code: disc((90, 60, 40)),
    }
    return collect([FRUIT, ARROW, HAND], {"one set": pictures}, seed=3, mixed=20)


def shown(collection: Collection, text: str) -> list[int]:
    number = collection.texts[text]
    return [place for place, numbers in enumerate(collection.captions) if number in numbers]


def middle(picture: np.ndarray) -> np.ndarray:
    return picture[24:40, 24:40].reshape(-1, 3).mean(axis=0)


def test_a_red_thing_is_shown_in_other_colours_but_not_in_those_held_out(collection: Collection) -> None:
    for colour in COLOURS:
        shows = any(
            f"{colour} " in text or text.endswith(f" {colour}")
            for text in collection.texts
            if "apple" in text and "background" not in text
        )
        assert shows == (not captions.is_held_out("apple", colour)) or colour == "red"


def test_the_colour_that_the_caption_names_is_the_colour_that_is_seen(collection: Collection) -> None:
    checked = 0
    for colour, channel in (("green", 1), ("blue", 2), ("red", 0)):
        places = [
            place
            for text in collection.texts
            if colour in text.split() and "apple" in text.split()
            for place in shown(collection, text)
        ]
        for place in places:
            if collection.kinds[place] == "colour":
                assert np.argmax(middle(collection.pictures[place])) == channel
                checked += 1
    assert checked


def test_what_has_a_direction_is_never_mirrored(collection: Collection) -> None:
    for place in shown(collection, "right arrow"):
        dark = collection.pictures[place].mean(axis=(0, 2)) < 200
        assert np.flatnonzero(dark).mean() < 32
    assert "left" in ORIENTED_WORDS


def test_each_kind_gets_its_share(collection: Collection) -> None:
    probabilities, kinds = collection.probabilities(), np.asarray(collection.kinds)
    assert probabilities.sum() == pytest.approx(1)
    for kind, share in SHARES.items():
        assert probabilities[kinds == kind].sum() == pytest.approx(share)


def test_symbols_are_drawn_less_often_than_food(collection: Collection) -> None:
    probabilities = collection.probabilities()
    food, symbol = (probabilities[shown(collection, name)[0]] for name in ("red apple", "right arrow"))
    assert food > 5 * symbol


def test_what_has_a_short_name_is_drawn_more_often() -> None:
    long = Emoji("1f362", "oden on a stick", (), (), "Food & Drink")
    assert chance(MATE, beside=long) > 2 * chance(long, beside=MATE)


def test_a_common_thing_is_drawn_more_often_than_others_of_its_kind() -> None:
    assert chance(FRUIT, beside=MATE) > 3 * chance(MATE, beside=FRUIT)


def chance(one: Emoji, *, beside: Emoji) -> float:
    """How likely a picture of it is drawn where there are those of two emoji."""
    pictures = {each.code: disc((128, 128, 128)) for each in (one, beside)}
    made = collect([one, beside], {"one set": pictures}, seed=3, mixed=0)
    return float(made.probabilities()[shown(made, one.name)[0]])


def in_scenes(*emoji: Emoji) -> list[str]:
    """The captions of each picture of these in a scene."""
    made = collect(list(emoji), {"one set": {one.code: disc((220, 30, 30)) for one in emoji}}, seed=3, mixed=300)
    words = tuple(phrase for phrases in scenes.SCENE_WORDS.values() for phrase in phrases)
    texts = list(made.texts)
    said = [texts[number] for numbers in made.captions for number in numbers]
    return [text for text in said if text.endswith(words)]


def test_a_thing_is_never_shown_in_the_scene_that_it_is_asked_for_in() -> None:
    said = [text for text in in_scenes(PIZZA, FRUIT) if text.startswith("a pizza ")]
    found = {scene for scene, phrases in scenes.SCENE_WORDS.items() if any(text.endswith(phrases) for text in said)}
    assert found == scenes.SCENES.keys() - {"on the grass"}


def test_a_common_thing_is_in_scenes_more_often_than_others() -> None:
    texts = in_scenes(PIZZA, MATE)
    pizzas, mates = (sum(thing in text for text in texts) for thing in ("pizza", "mate"))
    assert pizzas > 3 * mates > 0


def test_a_common_thing_also_has_the_name_that_it_is_asked_for_by() -> None:
    tree = Emoji("1f332", "evergreen tree", (), (), "Animals & Nature")
    made = collect([tree], {"one set": {tree.code: disc((30, 160, 30))}}, seed=3, mixed=20)
    assert {"evergreen tree", "fir tree"} <= made.texts.keys()
    assert any("fir tree" in text and "red" in text for text in made.texts)
    assert any(text.startswith("a fir tree ") for text in in_scenes(tree))


def test_a_white_thing_is_shown_in_colours_but_not_in_greys() -> None:
    made = collect([MATE], {"one set": {MATE.code: disc((235, 235, 235))}}, seed=3, mixed=0)
    shown_in = {colour for colour in COLOURS if any(f"{colour} " in text for text in made.texts)}
    assert shown_in == {colour for colour in (*HUES, "brown") if not captions.is_held_out("mate", colour)}


def test_a_set_with_less_weight_is_drawn_less_often_in_all_kinds() -> None:
    pictures = {FRUIT.code: disc((220, 30, 30))}
    sets = {"much": pictures, "little": pictures}
    made = collect([FRUIT], sets, seed=3, weights={"little": 0.25}, mixed=40)
    kinds = np.asarray(made.kinds)
    for kind in ("plain", "colour"):
        first, *_, last = made.probabilities()[kinds == kind]
        assert first == pytest.approx(4 * last)
    scenes_drawn = made.probabilities()[kinds == "scene"]
    assert scenes_drawn.max() == pytest.approx(4 * scenes_drawn.min())


def test_a_thing_that_is_described_knows_its_descriptions_and_plain_pictures() -> None:
    pictures = {FRUIT.code: disc((220, 30, 30)), ARROW.code: disc((10, 10, 10))}
    made = collect([ARROW, FRUIT], {"one set": pictures, "other set": pictures}, seed=3, mixed=20)
    assert list(made.described) == [made.texts[FRUIT.name]]
    thing = made.described[made.texts[FRUIT.name]]
    assert {text for text, number in made.texts.items() if number in thing.descriptions} == set(
        read_descriptions()[FRUIT.code]
    )
    assert not set(thing.descriptions) & {number for numbers in made.captions for number in numbers}
    plain = [place for place, kind in enumerate(made.kinds) if kind == "plain"]
    assert thing.pictures == [place for place in plain if place in shown(made, FRUIT.name)]


def test_the_same_seed_makes_the_same_collection(collection: Collection) -> None:
    pictures = {
        FRUIT.code: disc((220, 30, 30)),
        ARROW.code: disc((10, 10, 10), left_half=True),
        HAND.code: disc((90, 60, 40)),
    }
    again = collect([FRUIT, ARROW, HAND], {"one set": pictures}, seed=3, mixed=20)
    assert again.texts == collection.texts
    assert again.captions == collection.captions
    assert np.array_equal(np.stack(again.pictures), np.stack(collection.pictures))


@pytest.mark.parametrize("colour", ["red", "orange", "yellow", "green", "blue", "purple"])
def test_what_was_recoloured_is_recognised_as_that_colour(colour: str) -> None:
    assert colour_name(recolour(disc((220, 30, 30)), colour)) == colour


def test_a_picture_without_colour_has_no_name_for_one() -> None:
    assert colour_name(disc((128, 128, 128))) is None


def test_white_is_seen_on_white() -> None:
    white = recolour(disc((220, 30, 30)), "white")[32, 32, :3]
    assert white.min() > 180
    assert white.max() < 245


@pytest.mark.parametrize("scene", scenes.SCENES)
def test_the_thing_is_seen_in_each_scene(scene: str) -> None:
    from random import Random

    picture = scenes.place_in_scene(disc((230, 0, 230)), scene, Random(1), flip=False)
    assert (np.abs(picture.astype(int) - (230, 0, 230)).sum(axis=2) < 40).sum() > 500
