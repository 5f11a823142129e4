"""Listed words behind disguises, and words that only look like them; how texts are read is in bot/safety/normalize.py."""

import pytest

from bot.safety.normalize import normalize
from bot.safety.words import WordMatcher

LISTED = WordMatcher({"own": "turnip, old cabbage\nboom*, *quark"})


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
def test_a_disguise_hides_nothing(text: str) -> None:
    assert LISTED.find(normalize(text)) is not None


@pytest.mark.parametrize("text", ["turnips", "saturnip", "old, and a cabbage", "taboom", "quarks", "turning point", ""])
def test_other_words_are_none(text: str) -> None:
    assert LISTED.find(normalize(text)) is None


@pytest.mark.parametrize("listed", ["", " , \n,"])
def test_an_empty_list_finds_nothing(listed: str) -> None:
    assert WordMatcher({"own": listed}).find(normalize("turnip")) is None


def test_the_kind_of_the_list_is_told() -> None:
    assert WordMatcher({"a": "one", "b": "two", "c": "three"}).categories(normalize("two and one")) == {"a", "b"}
