"""The files of things, descriptions and unseen prompts are complete and well-formed."""

import re
from pathlib import Path

from research.pictures.data.scenes import SCENES
from research.pictures.data.things import read_descriptions, read_things, read_unseen_prompts


def test_there_are_two_hundred_things_half_of_them_with_a_paraphrase() -> None:
    things = read_things()
    assert len({thing.code for thing in things}) == len({thing.prompt for thing in things}) == 200
    assert sum(bool(thing.paraphrase) for thing in things) == 100
    assert not [thing for thing in things if thing.name in thing.paraphrase.split(" ")]


def test_a_line_of_a_thing_has_an_emoji_a_name_and_optionally_a_paraphrase(tmp_path: Path) -> None:
    (tmp_path / "things.txt").write_text("🍎 apple: the fruit that fell on Newton\n❤️ heart\n", "utf-8")
    apple, heart = read_things(tmp_path / "things.txt")
    assert (apple.code, apple.name, apple.prompt) == ("1f34e", "apple", "the fruit that fell on Newton")
    assert (heart.code, heart.prompt) == ("2764", "heart")


def test_there_are_fifty_four_unseen_prompts_forty_with_a_colour() -> None:
    unseen = read_unseen_prompts()
    assert len({one.prompt for one in unseen}) == 54
    assert sum(bool(one.colour) for one in unseen) == 40
    assert all(one.scene in SCENES for one in unseen if not one.colour)
    assert {one.code for one in unseen} <= {thing.code for thing in read_things()}
    assert all(f" {one.colour} " in one.prompt for one in unseen if one.colour)


def test_a_line_of_an_unseen_prompt_has_an_emoji_a_setting_and_the_prompt(tmp_path: Path) -> None:
    lines = "🌶️ blue: a blue chili pepper\n🐱 in the rain: a cat: asleep\n"
    (tmp_path / "unseen.txt").write_text(lines, "utf-8")
    pepper, cat = read_unseen_prompts(tmp_path / "unseen.txt")
    assert (pepper.code, pepper.colour, pepper.scene, pepper.prompt) == ("1f336", "blue", "", "a blue chili pepper")
    assert (cat.colour, cat.scene, cat.prompt) == ("", "in the rain", "a cat: asleep")


def test_each_thing_has_at_least_ten_different_descriptions() -> None:
    described = read_descriptions()
    assert list(described) == [thing.code for thing in read_things()]
    assert min(map(len, described.values())) >= 10
    assert not [code for code, ways in described.items() if len(set(ways)) < len(ways)]


def test_no_description_is_nearly_the_paraphrase_of_its_thing() -> None:
    descriptions = read_descriptions()
    assert not [
        (thing.name, description)
        for thing in read_things()
        if thing.paraphrase
        for description in descriptions[thing.code]
        if is_near(description, thing.paraphrase)
    ]


def is_near(description: str, paraphrase: str) -> bool:
    """Return whether the description has all content words of the paraphrase, or half of their words are the same."""
    words, paraphrase_words = content_words(description), content_words(paraphrase)
    both = words & paraphrase_words
    return paraphrase_words <= words or (bool(both) and 2 * len(both) >= len(words | paraphrase_words))


STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at been but by can did do does down for from had has have he her his how in into "
        "is it its my no not of on one ones or our out over people she so some somebody someone something "
        "that the their there they this to too up very was we were what when where which who with you your",
    )
)
ENDINGS = ("ings", "ing", "ers", "er", "ies", "es", "ed", "s", "y", "e")


def content_words(sentence: str) -> set[str]:
    """The words of a sentence without stop words and without endings."""
    words = re.findall(r"[a-z0-9]{2,}", sentence.lower().replace("'s", ""))
    return {stem(word) for word in words if word not in STOP_WORDS}


def stem(word: str) -> str:
    return next((word.removesuffix(end) for end in ENDINGS if word.endswith(end) and len(word) - len(end) >= 3), word)


def test_descriptions_stand_between_semicolons(tmp_path: Path) -> None:
    (tmp_path / "descriptions.txt").write_text("❤️ what beats in us; a sign of love\n", "utf-8")
    assert read_descriptions(tmp_path / "descriptions.txt") == {"2764": ["what beats in us", "a sign of love"]}
