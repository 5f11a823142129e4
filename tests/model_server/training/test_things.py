"""The two hundred common things."""

from pathlib import Path

from model_server.training.things import read_things


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
