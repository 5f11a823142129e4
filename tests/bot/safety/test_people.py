"""Well-known people, however their names are written, and words that are nobody's name."""

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
def test_a_name_is_known_also_with_an_error(people: FamousPeople, text: str) -> None:
    assert people.find(normalize(text))


@pytest.mark.parametrize("text", ["annabel", "longname", "a singer in a forest", "singer by the sea", "anabel lonname"])
def test_another_word_is_no_name(people: FamousPeople, text: str) -> None:
    assert not people.find(normalize(text))


@pytest.mark.parametrize(
    "text", ["a zapatero at work", "ein Schuhmacher", "templo cristiano", "a starter kit", "trumpets"]
)
def test_ordinary_words_are_nobody(text: str) -> None:
    assert not famous_people().find(normalize(text))
