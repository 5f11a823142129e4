"""The grammar of pairs: how a line is read, and how it is written."""

from collections.abc import Callable

import pytest
from fakes.core.growth import growth
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.grammar import Pair, first_pair, join_pairs, last_pair, leading_pairs_end, quote, unquote


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("seed:7 hi", Pair("seed", "7", 0, 6)),
        ("  seed:7", Pair("seed", "7", 0, 8)),
        ('style:"two words" hi', Pair("style", '"two words"', 0, 17)),
        ("style:“two words” hi", Pair("style", "“two words”", 0, 17)),
        ("style:'two words' hi", Pair("style", "'two words'", 0, 17)),
        ('style:"a "b" c"', Pair("style", '"a "b" c"', 0, 15)),
        ("seed: 7", Pair("seed", "", 0, 5)),
        ("hi seed:7", None),
        ("7:seed", None),
        ("", None),
    ],
)
def test_the_first_pair_is_read_with_its_position(text: str, pair: Pair | None) -> None:
    assert first_pair(text) == pair


def test_the_next_pair_is_read_from_where_the_first_one_ends() -> None:
    text = 'seed:7 style:"two words" hi'
    assert first_pair(text, 6) == Pair("style", '"two words"', 6, 24)
    assert first_pair(text, 24) is None


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("hi seed:7", Pair("seed", "7", 2, 9)),
        ("hi seed:7 ", Pair("seed", "7", 2, 10)),
        ('hi style:"two words"', Pair("style", '"two words"', 2, 20)),
        ("hi style:“two words”", Pair("style", "“two words”", 2, 20)),
        ("hi style:“one style:“two”", Pair("style", "“two”", 13, 25)),
        ("hi style:„two words“", Pair("style", "„two words“", 2, 20)),
        ("hi style:« two words »", Pair("style", "« two words »", 2, 22)),
        ("python：how", None),
        ("hi seed:", None),
        ("hi seed:7 there", None),
        ("", None),
    ],
)
def test_the_last_pair_is_read_with_its_position(text: str, pair: Pair | None) -> None:
    assert last_pair(text) == pair


def test_the_name_of_an_option_is_read_in_any_spelling() -> None:
    assert Pair("Top-K", "1", 0, 7).option == "top_k"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Why", "Why"),
        ("seed:7 Why", "Why"),
        ("seed:7  style:“two words”  Why not", "Why not"),
        ('seed:7 style:"two words" Why', "Why"),
        ("seed:7 style:„two words“ Why", "Why"),
        ("seed:7 style:„two wor", "style:„two wor"),
        ("seed:7", "seed:7"),
        ("seed:7 ", ""),
        ('style:"two wor', 'style:"two wor'),
        ('seed:7 style:"two wor', 'style:"two wor'),
        ("seed: 7", "seed: 7"),
        ("style:'tis Why", "Why"),
        ("", ""),
    ],
)
def test_the_free_text_begins_after_the_pairs_that_are_complete(text: str, rest: str) -> None:
    assert text[leading_pairs_end(text) :] == rest


@pytest.mark.parametrize(
    ("value", "inside"),
    [
        ('"two words"', "two words"),
        ("“two words”", "two words"),
        ("'two words'", "two words"),
        ("„two words“", "two words"),
        ("„two words”", "two words"),
        ("« two words »", "two words"),
        ('"To be" or "not to be"', '"To be" or "not to be"'),
        ("“To be” or “not to be”", "“To be” or “not to be”"),
        ('"open', '"open'),
        ('"', '"'),
        ('""', ""),
        ("plain", "plain"),
    ],
)
def test_quotation_marks_around_a_value_are_removed(value: str, inside: str) -> None:
    assert unquote(value) == inside


def test_joined_pairs_have_quotation_marks_where_needed() -> None:
    assert join_pairs({"seed": "7", "style": "two words"}) == 'seed:7 style:"two words"'
    assert join_pairs({"prompt": "«To»be", "seed": "7"}) == 'prompt:"«To»be" seed:7'
    assert join_pairs({}) == ""


NAMES = st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\"“”'", exclude_categories=("Z", "C")), min_size=1)
WORDS = st.lists(VALUES, min_size=1).map(" ".join)


@given(st.dictionaries(NAMES, WORDS, min_size=1))
def test_joined_pairs_are_read_back_unchanged(values: dict[str, str]) -> None:
    text, position, found = join_pairs(values), 0, {}
    while pair := first_pair(text, position):
        found[pair.option] = unquote(pair.value)
        position = pair.end
    assert (found, position) == (values, len(text))


@given(WORDS)
def test_unquoting_a_quoted_value_returns_it_unchanged(value: str) -> None:
    assert unquote(quote(value)) == value


@given(st.text())
def test_no_text_breaks_the_grammar(text: str) -> None:
    assert 0 <= leading_pairs_end(text) <= len(text)
    last_pair(text)


@pytest.mark.parametrize("piece", [' a:"', " a:“", " a:'", ' a:"b"c', "a:b ", " ", '" ', "a:", ' a:"b" '])
@pytest.mark.parametrize("read", [first_pair, last_pair, leading_pairs_end])
def test_a_line_is_read_in_linear_time(read: Callable[[str], object], piece: str) -> None:
    assert growth(read, piece, 16_000) < 8
