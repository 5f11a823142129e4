"""ReferenceBank: finds the drawings of what a prompt asks for."""

from pathlib import Path

import pytest
import torch
from fakes.engines.drawings import MEANINGS, ORIGINS, THINGS, write_drawings
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from model_server.engines.diffusion.references import SLOTS, TENSORS_FILE, ReferenceBank

DOG, HOT_DOG, CATS, CAT, CART, FACE = range(len(THINGS))


@pytest.fixture
def meanings() -> dict[str, torch.Tensor]:
    """What the texts of a test mean; nothing, unless a test says so."""
    return {}


@pytest.fixture
def bank(tmp_path: Path, meanings: dict[str, torch.Tensor]) -> ReferenceBank:
    write_drawings(tmp_path, 8)
    return ReferenceBank(tmp_path, lambda text: meanings.get(text, torch.zeros(8)))


@pytest.mark.parametrize(
    ("prompt", "things"),
    [
        ("a dog", [DOG]),
        ("three red dogs", [DOG]),
        ("Puppies in the snow", [DOG]),
        ("a hot dog", [HOT_DOG]),
        ("a cat and a dog", [CAT, DOG]),
        ("a colourful old dog", [DOG]),
        ("a dog face", [DOG]),
        ("a dog on a dog", [DOG]),
        ("cats", [CATS]),
        ("asdfghjkl", []),
        ("", []),
    ],
)
def test_things_are_found_by_their_longest_name(bank: ReferenceBank, prompt: str, things: list[int]) -> None:
    found = bank.find(prompt, SLOTS * len(things), "", 0)
    assert list(dict.fromkeys(one.thing for one in found)) == [THINGS[thing][0] for thing in things]


def test_a_description_is_found_by_its_meaning_and_not_by_a_word_in_it(
    bank: ReferenceBank, meanings: dict[str, torch.Tensor]
) -> None:
    text = "what every dog chases around the garden"
    meanings[text] = MEANINGS[CAT]
    assert bank.interpret(text) == ("cat",)
    meanings[text] = MEANINGS[-1]
    assert bank.interpret(text) == (text,)
    meanings["a dog"] = MEANINGS[CAT]
    assert bank.interpret("a dog") == ("a dog",)


def test_of_a_scene_its_things_are_read_unless_it_clearly_means_something_else(
    bank: ReferenceBank, meanings: dict[str, torch.Tensor]
) -> None:
    text = "a happy dog running across a wide meadow"
    assert bank.interpret(text) == ("happy dog",)
    meanings[text] = normalize(MEANINGS[DOG] + 0.5 * MEANINGS[CAT], dim=0)
    assert bank.interpret(text) == ("happy dog",)
    meanings[text] = normalize(MEANINGS[:4].sum(0) + 0.1 * MEANINGS[CART], dim=0)
    assert bank.interpret(text) == ("happy dog",)
    meanings[text] = MEANINGS[CAT]
    assert bank.interpret(text) == ("cat",)
    assert bank.interpret("a dog running") == ("a dog running",)
    assert bank.interpret("three dogs chasing a red cart, and a cat") == ("dog", "red cart")


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("a face that is proud", "face with steam from nose"),
        ("a red, proud emoji", "red face with steam from nose"),
        ("a let down smiley", "face with steam from nose"),
        ("a proud dog", "a proud dog"),
        ("two proud animals with fur", "two proud animals with fur"),
        ("a face", "a face"),
    ],
)
def test_a_face_is_read_by_its_name_from_what_it_shows(bank: ReferenceBank, prompt: str, read: str) -> None:
    assert bank.interpret(prompt) == (read,)


def test_what_a_face_shows_in_other_words_is_found_among_the_faces(
    bank: ReferenceBank, meanings: dict[str, torch.Tensor]
) -> None:
    text = "a face that won everything"
    meanings[text] = normalize(MEANINGS[CAT] + 0.9 * MEANINGS[FACE], dim=0)
    assert bank.interpret(text) == ("face with steam from nose",)
    for nothing in (MEANINGS[-1], MEANINGS[CAT]):
        meanings[text] = nothing
        assert bank.interpret(text) == (text,)


def test_a_thing_with_an_expression_looks_at_itself_and_at_the_face(bank: ReferenceBank) -> None:
    for prompt in ("a proud dog", "a proud red dog", "a dog that is proud"):
        assert [one.thing for one in bank.find(prompt, 2, "", 0)] == ["dog", "face with steam from nose"]
    assert {one.thing for one in bank.find("a dog among proud people", 2, "", 0)} == {"dog"}


def test_what_all_texts_have_in_common_means_nothing(tmp_path: Path) -> None:
    write_drawings(tmp_path, 8)
    tensors = load_file(tmp_path / TENSORS_FILE)
    common = 3 * MEANINGS[-1]
    tensors["texts"] = (normalize(common + MEANINGS[: len(THINGS)], dim=1) * 127).to(torch.int8)
    save_file(tensors, tmp_path / TENSORS_FILE)
    bank = ReferenceBank(tmp_path, lambda _: MEANINGS[-1])
    text = "what every dog chases around the garden"
    assert bank.interpret(text) == (text,)


def test_each_thing_gets_its_share_of_the_drawings(bank: ReferenceBank) -> None:
    assert [one.thing for one in bank.find("a cat and a dog", 3, "", 0)] == ["cat", "dog", "cat"]
    assert bank.find("a cat", 0, "", 0) == []
    assert len(bank.find("a cat", 4, "", 0)) == len(ORIGINS)


def test_no_drawing_is_of_the_set_whose_style_is_asked_for(bank: ReferenceBank) -> None:
    for seed in range(20):
        assert {one.set for one in bank.find("a dog", 4, "flat", seed)} == {"round", "clips"}


def test_one_drawing_of_each_set_comes_before_a_second(bank: ReferenceBank) -> None:
    for seed in range(20):
        assert len({one.set for one in bank.find("a cat", 3, "", seed)}) == 3


def test_the_seed_decides_which_drawings(bank: ReferenceBank) -> None:
    assert bank.find("a dog", 2, "", 5) == bank.find("a dog", 2, "", 5)
    assert len({bank.find("a dog", 1, "", seed)[0].number for seed in range(20)}) == len(ORIGINS)


def test_a_drawing_names_who_made_it(bank: ReferenceBank) -> None:
    [drawing] = bank.find("a dog", 1, "", 0)
    origin = ORIGINS[drawing.number]
    assert (drawing.set, drawing.author, drawing.licence) == (origin["set"], origin["author"], origin["licence"])


def test_free_slots_are_empty(bank: ReferenceBank) -> None:
    drawings = bank.find("a dog", 2, "", 0)
    stacked = bank.stack(drawings).reshape(SLOTS, 4, 8, 8)
    assert torch.equal(stacked[0], bank.latents(drawings[0]))
    assert not stacked[2:].any()


def test_the_nearest_drawing_is_found_although_mirrored_and_noisy(bank: ReferenceBank) -> None:
    drawing = bank.describe(7)
    noisy = bank.latents(drawing).flip(-1) + 0.1 * torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(1))
    assert bank.nearest(noisy) == drawing
