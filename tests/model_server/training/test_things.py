"""The two hundred common things."""

import re
from pathlib import Path

from model_server.training.things import read_descriptions, read_things


def test_two_hundred_things_half_of_them_in_other_words() -> None:
    things = read_things()
    assert len({thing.code for thing in things}) == len({thing.prompt for thing in things}) == 200
    assert sum(bool(thing.paraphrase) for thing in things) == 100
    assert not [thing for thing in things if thing.name in thing.paraphrase.split(" ")]


def test_a_thing_is_an_emoji_a_name_and_perhaps_other_words(tmp_path: Path) -> None:
    (tmp_path / "things.txt").write_text("🍎 apple: the fruit that fell on Newton\n❤️ heart\n", "utf-8")
    apple, heart = read_things(tmp_path / "things.txt")
    assert (apple.code, apple.name, apple.prompt) == ("1f34e", "apple", "the fruit that fell on Newton")
    assert (heart.code, heart.prompt) == ("2764", "heart")


def test_each_of_them_is_described_in_many_ways() -> None:
    described = read_descriptions()
    assert list(described) == [thing.code for thing in read_things()]
    assert min(map(len, described.values())) >= 10
    assert not [code for code, ways in described.items() if len(set(ways)) < len(ways)]


def test_no_description_says_nearly_what_a_thing_is_asked_for_by() -> None:
    for thing in read_things():
        asked = meant(thing.paraphrase)
        for description in read_descriptions()[thing.code]:
            both = asked & meant(description)
            assert len(both) < 2 or len(both) < 0.6 * len(asked | meant(description)), (thing.name, description)


def meant(sentence: str) -> set[str]:
    """Its words that are not little ones."""
    return set(re.findall(r"\w{4,}", sentence.lower()))


def test_descriptions_stand_between_semicolons(tmp_path: Path) -> None:
    (tmp_path / "descriptions.txt").write_text("❤️ what beats in us; a sign of love\n", "utf-8")
    assert read_descriptions(tmp_path / "descriptions.txt") == {"2764": ["what beats in us", "a sign of love"]}
