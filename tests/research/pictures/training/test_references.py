"""References show the same things as a picture, in other sets."""

from random import Random

import pytest

from research.pictures.data.collection import Collection
from research.pictures.training.references import COUNT_WEIGHTS, WRONG_SHARE, References

SETS, THINGS = ("one", "two", "three", "four", "five"), ("apple", "cat", "dog")
KINDS = ("centred", "plain", "colour")
SINGLE = [(kind, (thing,), name) for name in SETS for thing in THINGS for kind in KINDS]
PICTURES = [*SINGLE, *(("composite", ("cat", "apple"), name) for name in SETS)]


@pytest.fixture(scope="module")
def chosen() -> list[tuple[int, list[int | None]]]:
    """The numbers of pictures, each with the references in its slots."""
    kinds, things, sets = map(list, zip(*PICTURES, strict=True))
    references, random = References(Collection(kinds=kinds, things=things, sets=sets)), Random(1)
    return [(number, references.choose(number, random)) for number in range(len(PICTURES)) for _ in range(200)]


def test_the_own_set_of_a_picture_is_never_looked_at(chosen: list[tuple[int, list[int | None]]]) -> None:
    pairs = [(number, one) for number, slots in chosen for one in slots if one is not None]
    assert len(pairs) > 10_000
    assert not [pair for pair in pairs if PICTURES[pair[0]][2] == PICTURES[pair[1]][2]]


def test_references_show_the_things_of_the_picture_but_for_a_few(chosen: list[tuple[int, list[int | None]]]) -> None:
    looked = [(PICTURES[number][1], [PICTURES[one] for one in slots if one is not None]) for number, slots in chosen]
    wrong = [things for things, slots in looked if any(one[1][0] not in things for one in slots)]
    assert 0.3 * WRONG_SHARE < len(wrong) / len(looked) < WRONG_SHARE
    assert {kind for _, slots in looked for kind, *_ in slots} == set(KINDS)
    both = [{one[1][0] for one in slots} for things, slots in looked if len(things) == 2 and len(slots) == 4]
    assert sum(one >= {"cat", "apple"} for one in both) > 0.9 * len(both)


def test_references_are_in_any_slots_and_some_pictures_have_none(chosen: list[tuple[int, list[int | None]]]) -> None:
    counts = [sum(one is not None for one in slots) for _, slots in chosen]
    for count, weight in enumerate(COUNT_WEIGHTS):
        assert counts.count(count) / len(counts) == pytest.approx(weight / 100, abs=0.02)
    single = [slots for _, slots in chosen if sum(one is not None for one in slots) == 1]
    assert {next(place for place, one in enumerate(slots) if one is not None) for slots in single} == {0, 1, 2, 3}
