"""Listed words are found in every disguise (bot/safety/normalize.py), and words that only look like them are not."""

import gc
import sys
import tracemalloc

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


def test_words_of_the_same_letters_are_told_apart_by_how_often_they_have_them() -> None:
    matcher = WordMatcher({"a": "god", "b": "good", "c": "*goood"}, stretch=3)
    assert matcher.find_categories(normalize("good")) == {"b"}
    assert matcher.find_categories(normalize("god")) == {"a"}
    assert matcher.find_categories(normalize("a goood")) == {"a", "b", "c"}


def test_a_phrase_is_found_without_its_spaces_only_where_they_are_hidden() -> None:
    assert MATCHER.find(normalize("oldcabbage")) is None
    assert MATCHER.find(normalize("0ldc4bbage")) is not None
    assert MATCHER.find(normalize("o l d c a b b a g e")) is not None
    assert MATCHER.find(normalize("old_c*bbage")) is not None


def words_with(letters: str, count: int) -> str:
    """Return a list of so many words of seven letters."""
    places = [letters[number // len(letters) ** place % len(letters)] for number in range(count) for place in range(6)]
    return ",".join("".join(places[first : first + 6]) + "s" for first in range(0, 6 * count, 6))


def calls_to_find(matcher: WordMatcher, text: str) -> int:
    """Return how many functions are called in the search."""
    count, normalized = 0, normalize(text)

    def note(*_event: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        assert matcher.find(normalized) is None
    finally:
        sys.setprofile(None)
    return count


def test_masked_words_are_not_compared_with_every_word_of_the_list() -> None:
    text = " ".join(f"x*{first}{second}y*s" for first in "abcdefghij" for second in "abcdefghij")
    few, many = (WordMatcher({"own": words_with("abcdefghij", count)}) for count in (500, 10_000))
    assert calls_to_find(many, text) < 2 * calls_to_find(few, text)


def test_a_long_list_takes_little_memory() -> None:
    listed = words_with("etaoinshrdlu", 10_000)
    gc.collect()
    tracemalloc.start()
    try:
        matcher = WordMatcher({"own": listed})
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert matcher.find(normalize(listed.split(",")[9])) is not None
    assert used < 60 * len(listed)
