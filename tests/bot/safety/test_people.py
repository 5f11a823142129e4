"""Names of well-known people are found in any spelling, and other words are not taken for names."""

import tracemalloc
from pathlib import Path

import pytest

from bot.safety.normalize import normalize
from bot.safety.people import FamousPeople, famous_people


@pytest.fixture
def people(tmp_path: Path) -> FamousPeople:
    path = tmp_path / "people.txt"
    path.write_text("# Nobody real\nAnnabel Longname; belzebuba\nSinger Bo\n")
    return FamousPeople(path)


@pytest.mark.parametrize(
    "text",
    [
        "annabel longname",
        "Annabel Lonname",
        "anabel longname",
        "AnnabelLongname",
        "belzebubas hat",
        "belzebubba",
        "singer bo",
    ],
)
def test_names_are_found_even_with_one_error(people: FamousPeople, text: str) -> None:
    assert people.is_named_in(normalize(text))


@pytest.mark.parametrize("text", ["annabel", "longname", "a singer in a forest", "singer by the sea", "anabel lonname"])
def test_other_words_are_not_names(people: FamousPeople, text: str) -> None:
    assert not people.is_named_in(normalize(text))


@pytest.mark.parametrize(
    "text", ["a zapatero at work", "ein Schuhmacher", "templo cristiano", "a starter kit", "trumpets"]
)
def test_ordinary_words_are_not_famous_people(text: str) -> None:
    assert not famous_people().is_named_in(normalize(text))


def test_the_memory_for_a_word_longer_than_every_name_does_not_grow_with_the_square_of_its_length(
    people: FamousPeople,
) -> None:
    text = normalize("abcdefghij" * 500)
    tracemalloc.start()
    try:
        assert not people.is_named_in(text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000 * 5_000
