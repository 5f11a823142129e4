"""Listed words are found in every disguise (bot/safety/normalize.py), and words that only look like them are not."""

import pytest

from bot.safety.normalize import normalize
from bot.safety.words import WordMatcher

MATCHER = WordMatcher({"own": "turnip, old cabbage\nboom*, *quark"})


@pytest.mark.parametrize(
    "text",
    [
        "a turnip!",
        "TURNIP",
        "túrnïp",
        "t u r n i p",
        "tu​rn​ip",
        "tu\u00adrnip",
        "turn1p",
        "turrrrnip",
        "тurnip",
        "t*rnip",
        "t*****",
        "you old  cabbage",
        "old-cabbage",
        "boomerang",
        "antiquark",
    ],
)
def test_listed_words_are_found_in_every_disguise(text: str) -> None:
    assert MATCHER.find(normalize(text)) is not None


@pytest.mark.parametrize("text", ["turnips", "saturnip", "old, and a cabbage", "taboom", "quarks", "turning point", ""])
def test_other_words_are_not_found(text: str) -> None:
    assert MATCHER.find(normalize(text)) is None


@pytest.mark.parametrize("listed", ["", " , \n,"])
def test_an_empty_list_finds_nothing(listed: str) -> None:
    assert WordMatcher({"own": listed}).find(normalize("turnip")) is None


def test_categories_are_those_of_the_lists() -> None:
    assert WordMatcher({"a": "one", "b": "two", "c": "three"}).find_categories(normalize("two and one")) == {"a", "b"}
