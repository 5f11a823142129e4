"""Composites show what their captions say."""

import re
from random import Random

import numpy as np
import pytest

from research.pictures.data import captions
from research.pictures.data.composites import CompositeMaker
from research.pictures.data.emoji import Emoji
from research.pictures.data.things import read_descriptions

CAT = Emoji("1f431", "cat face", ("cat",), (), "Animals & Nature")
CAR = Emoji("1f697", "automobile", ("car",), (), "Travel & Places")
HAT = Emoji("1f3a9", "top hat", (), (), "Objects")
ANGRY = Emoji("1f620", "angry face", (), (), "Smileys & Emotion")
A_CAT, A_CAR = "a (cat|cat face)", "an? (car|automobile)"
Made = list[tuple[np.ndarray, list[str], tuple[str, ...], str]]
SKIN = (255, 204, 77)


def square(colour: tuple[int, int, int]) -> np.ndarray:
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[4:60, 4:60] = (*colour, 255)
    return picture


@pytest.fixture(scope="module")
def made() -> Made:
    face = square(SKIN)
    face[20:28, 20:44, :3] = (200, 0, 200)
    pictures = {
        CAT.code: square((220, 30, 30)),
        CAR.code: square((30, 30, 220)),
        HAT.code: square((10, 10, 10)),
        ANGRY.code: face,
    }
    maker = CompositeMaker([CAT, CAR, HAT, ANGRY], {"one": pictures}, read_descriptions(), Random(3))
    return list(maker.make(600))


def find(made: Made, words: str) -> list[np.ndarray]:
    """The pictures that have a caption of this form."""
    return [picture for picture, texts, *_ in made if any(re.fullmatch(words, text) for text in texts)]


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(picture.astype(int) - colour).sum(axis=2) < 60).sum() > 20)


@pytest.mark.parametrize(
    "words", [f"{A_CAT} and .*", "two .*", "three .*", f"{A_CAT} on .*", f"{A_CAT} with .*", f"{A_CAT} behind .*"]
)
def test_there_are_composites_of_each_kind(made: Made, words: str) -> None:
    assert find(made, words)


def test_composites_show_the_things_in_their_captions(made: Made) -> None:
    both = find(made, f"{A_CAT} (on|behind|and|with|next to) {A_CAR}|{A_CAR} (on|behind|and|with|next to) {A_CAT}")
    assert both
    assert all(has(picture, (220, 30, 30)) and has(picture, (30, 30, 220)) for picture in both)


def test_the_codes_are_those_of_all_that_is_shown(made: Made) -> None:
    pairs = [codes for _, texts, codes, _ in made if any(re.fullmatch(f"{A_CAT} and {A_CAR}", text) for text in texts)]
    assert set(pairs) == {(CAT.code, CAR.code)}
    dressed = {codes for _, texts, codes, _ in made if any("wearing a hat" in text for text in texts)}
    assert dressed == {(CAT.code, HAT.code)}


def test_things_in_a_colour_have_it_and_no_held_out_one_is_shown(
    made: Made,
) -> None:
    texts = [text for _, all_texts, *_ in made for text in all_texts]
    shown = {word for word in ("green", "yellow", "purple", "pink") if any(f"{word} cat" in text for text in texts)}
    assert shown
    assert not [word for word in shown if captions.is_held_out("cat", word)]


def test_an_expression_brings_the_features_of_its_face(made: Made) -> None:
    angry = find(made, "an angry (cat|cat face|car|automobile)")
    assert angry
    assert {ANGRY.code in codes for _, texts, codes, _ in made if any("an angry " in text for text in texts)} == {True}
    assert all(has(picture, (200, 0, 200)) for picture in angry)
    assert not find(made, ".*angry.* angry face")


def test_a_set_without_faces_and_hats_has_the_other_composites() -> None:
    maker = CompositeMaker([CAT, CAR], {"one": {CAT.code: square((220, 30, 30))}}, read_descriptions(), Random(3))
    texts = [text for _, all_texts, *_ in maker.make(60) for text in all_texts]
    assert texts
    assert not [text for text in texts if "wearing" in text or "angry" in text]
