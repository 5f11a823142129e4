"""The collection has the right pictures, captions and weights."""

import numpy as np
import pytest

from research.pictures.data import captions, scenes
from research.pictures.data.choice import ORIENTED_WORDS
from research.pictures.data.collection import DESCRIPTIONS, OTHER_COLOURS, PLAIN_CAPTIONS, SHARES, Collection, collect
from research.pictures.data.colours import COLOURS, HUES, name_colour, recolour
from research.pictures.data.drawings import Drawing
from research.pictures.data.emoji import TONES, Emoji
from research.pictures.data.things import read_descriptions

FRUIT = Emoji("1f34e", "red apple", ("apple",), ("fruit", "ripe"), "Food & Drink")
ARROW = Emoji("27a1", "right arrow", (), ("east",), "Objects")
PIZZA = Emoji("1f355", "pizza", (), (), "Food & Drink")
MATE = Emoji("1f9c9", "mate", (), (), "Food & Drink")
HAND = Emoji("1f44b-1f3ff", "waving hand", (), (), "People & Body", TONES["1F3FF"])

STYLES = {"one": "flat", "other": "soft"}


def disc(colour: tuple[int, int, int], *, left_half: bool = False) -> np.ndarray:
    """A disc, or its left half, of one colour on a transparent background."""
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
    return collect([FRUIT, ARROW, HAND], {"one set": pictures}, seed=4, mixed=20)


def pictures_with_caption(collection: Collection, text: str) -> list[int]:
    number = collection.texts[text]
    return [place for place, numbers in enumerate(collection.captions) if number in numbers]


def middle(picture: np.ndarray) -> np.ndarray:
    return picture[24:40, 24:40].reshape(-1, 3).mean(axis=0)


def test_a_red_thing_is_recoloured_except_in_held_out_colours(collection: Collection) -> None:
    for colour in COLOURS:
        shows = any(
            f"{colour} " in text or text.endswith(f" {colour}")
            for text in collection.texts
            if "apple" in text and "background" not in text
        )
        assert not shows or not captions.is_held_out("apple", colour) or colour == "red"


def test_the_colour_of_the_picture_is_the_one_in_the_caption(collection: Collection) -> None:
    checked = 0
    for colour, channel in (("green", 1), ("blue", 2), ("red", 0)):
        places = [
            place
            for text in collection.texts
            if colour in text.split() and "apple" in text.split()
            for place in pictures_with_caption(collection, text)
        ]
        for place in places:
            if collection.kinds[place] == "colour":
                assert np.argmax(middle(collection.pictures[place])) == channel
                checked += 1
    assert checked


def test_further_drawings_are_looked_at_as_they_are_and_learnt_elsewhere() -> None:
    red = disc((220, 30, 30))
    further = [
        Drawing(red, ("apple",), name, "", "MIT", code)
        for name, code in (("one", "1f34e"), ("icons", "1f34e"), ("icons", ""))
    ]
    made = collect([FRUIT], {"one": {FRUIT.code: red}}, seed=3, mixed=0, further=further)
    looked_at, learnt = [number for number, name in enumerate(made.sets) if name == "icons"]
    assert made.things[looked_at] == made.things[learnt] == ("1f34e",)
    assert (made.kinds[looked_at], made.probabilities()[looked_at]) == ("centred", 0)
    assert made.kinds[learnt] == "plain"
    assert made.probabilities()[learnt] > 0
    texts = list(made.texts)
    assert {texts[number].removeprefix("an ") for number in made.captions[learnt]} == {"apple"}


def test_things_with_a_direction_are_never_mirrored(collection: Collection) -> None:
    for place in pictures_with_caption(collection, "right arrow"):
        dark = collection.pictures[place].mean(axis=(0, 2)) < 200
        assert np.flatnonzero(dark).mean() < 32
    assert "left" in ORIENTED_WORDS


def test_each_kind_gets_its_share(collection: Collection) -> None:
    probabilities, kinds = collection.probabilities(), np.asarray(collection.kinds)
    assert probabilities.sum() == pytest.approx(1)
    for kind, share in SHARES.items():
        assert probabilities[kinds == kind].sum() == pytest.approx(share)


def test_things_with_a_short_name_are_drawn_more_often() -> None:
    long = Emoji("1f362", "oden on a stick", (), (), "Food & Drink")
    assert draw_probability(MATE, beside=long) > 2 * draw_probability(long, beside=MATE)


def test_a_common_thing_is_drawn_more_often_than_others_of_its_kind() -> None:
    assert draw_probability(FRUIT, beside=MATE) > 1.5 * draw_probability(MATE, beside=FRUIT)


def draw_probability(emoji: Emoji, *, beside: Emoji) -> float:
    """The probability of the pictures of the emoji in a collection of two emoji."""
    pictures = {each.code: disc((128, 128, 128)) for each in (emoji, beside)}
    collection = collect([emoji, beside], {"one set": pictures}, seed=3, mixed=0)
    return float(collection.probabilities()[pictures_with_caption(collection, emoji.name)].sum())


def scene_captions(*emoji: Emoji) -> list[str]:
    """The captions of all pictures of these emoji in scenes."""
    pictures = {one.code: disc((220, 30, 30)) for one in emoji}
    made = collect(list(emoji), {"one set": pictures}, seed=3, mixed=600)
    words = tuple(phrase for phrases in scenes.SCENE_WORDS.values() for phrase in phrases)
    texts = list(made.texts)
    drawn = [texts[number] for numbers in made.captions for number in numbers]
    return [text for text in drawn if text.endswith(words)]


def test_a_thing_is_never_shown_in_the_scene_of_its_unseen_prompt() -> None:
    texts = [text for text in scene_captions(PIZZA, FRUIT) if text.startswith("a pizza ")]
    found = {scene for scene, phrases in scenes.SCENE_WORDS.items() if any(text.endswith(phrases) for text in texts)}
    assert found == scenes.SCENES.keys() - {"on the grass"}


def test_a_common_thing_is_in_scenes_more_often_than_others() -> None:
    texts = scene_captions(PIZZA, MATE)
    pizzas, mates = (sum(thing in text for text in texts) for thing in ("pizza", "mate"))
    assert pizzas > 1.5 * mates > 0


def test_a_common_thing_also_has_the_name_from_its_prompt() -> None:
    tree = Emoji("1f332", "evergreen tree", (), (), "Animals & Nature")
    collection = collect([tree], {"one set": {tree.code: disc((30, 160, 30))}}, seed=3, mixed=20)
    assert any(text.startswith("evergreen tree") for text in collection.texts)
    assert any("fir tree" in text and "red" in text for text in collection.texts)
    assert any(text.startswith("a fir tree ") for text in scene_captions(tree))


def test_a_white_thing_is_shown_in_colours_but_not_in_greys() -> None:
    collection = collect([MATE], {"one set": {MATE.code: disc((235, 235, 235))}}, seed=3, mixed=0)
    shown_in = {colour for colour in COLOURS if any(colour in text.split() for text in collection.texts)}
    assert shown_in < {colour for colour in (*HUES, "brown") if not captions.is_held_out("mate", colour)}
    assert len(shown_in) == OTHER_COLOURS


def test_two_in_three_captions_name_the_style_of_their_set() -> None:
    pictures = {FRUIT.code: disc((220, 30, 30))}
    collection = collect([FRUIT], {"one": pictures, "other": pictures}, 3, styles=STYLES)
    texts = list(collection.texts)
    styles = [STYLES[name] for name in collection.sets]
    assert set(styles) == {"flat", "soft"}
    shares = []
    for style, numbers in zip(styles, collection.captions, strict=True):
        named = [texts[number].endswith(f", {style}") for number in numbers]
        others = {"flat", "soft"} - {style}
        assert not any(
            text.endswith(tuple(f", {other}" for other in others)) for text in map(texts.__getitem__, numbers)
        )
        shares.append(np.mean(named))
    assert np.mean(shares) == pytest.approx(2 / 3, abs=0.03)
    assert styles.count("flat") > len(shares) / 3


def test_a_plain_picture_has_captions_and_descriptions_of_its_thing(collection: Collection) -> None:
    texts, descriptions = list(collection.texts), set(read_descriptions()[FRUIT.code])
    seen = set()
    for kind, things, numbers in zip(collection.kinds, collection.things, collection.captions, strict=True):
        if kind in {"plain", "centred"}:
            described = DESCRIPTIONS if things == (FRUIT.code,) else 0
            assert len(numbers) == PLAIN_CAPTIONS + described
            assert len({texts[number] for number in numbers} & descriptions) == described
            seen.add(things)
    assert seen == {(FRUIT.code,), (ARROW.code,)}, "other skin tones are left out"


def test_the_same_seed_makes_the_same_collection(collection: Collection) -> None:
    pictures = {
        FRUIT.code: disc((220, 30, 30)),
        ARROW.code: disc((10, 10, 10), left_half=True),
        HAND.code: disc((90, 60, 40)),
    }
    again = collect([FRUIT, ARROW, HAND], {"one set": pictures}, seed=4, mixed=20)
    assert again.texts == collection.texts
    assert again.captions == collection.captions
    assert np.array_equal(np.stack(again.pictures), np.stack(collection.pictures))


@pytest.mark.parametrize("colour", ["red", "orange", "yellow", "green", "blue", "purple"])
def test_a_recoloured_picture_has_that_colour(colour: str) -> None:
    assert name_colour(recolour(disc((220, 30, 30)), colour)) == colour


def test_a_picture_without_colour_has_no_name_for_one() -> None:
    assert name_colour(disc((128, 128, 128))) is None


def test_white_things_are_visible_on_white() -> None:
    white = recolour(disc((220, 30, 30)), "white")[32, 32, :3]
    assert white.min() > 180
    assert white.max() < 245


@pytest.mark.parametrize("scene", scenes.SCENES)
def test_the_thing_is_visible_in_each_scene(scene: str) -> None:
    from random import Random

    picture = scenes.place_in_scene(disc((230, 0, 230)), scene, Random(1), flip=False)
    assert (np.abs(picture.astype(int) - (230, 0, 230)).sum(axis=2) < 40).sum() > 500
