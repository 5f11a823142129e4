"""Hashed words and n-grams."""

from itertools import pairwise

import pytest

from model_server.engines.moderation.grams import COLUMNS, columns


def test_columns_are_ascending_unique_and_in_range() -> None:
    found = columns("Plants turn light into sugar, plants turn light into sugar")
    assert all(one < other for one, other in pairwise(found))
    assert 0 <= found[0] <= found[-1] < COLUMNS


@pytest.mark.parametrize(("one", "other"), [("Ärger", "arger"), ("STOP it", "stop, it!"), ("niño", "nino")])
def test_accents_capitals_and_punctuation_are_ignored(one: str, other: str) -> None:
    assert columns(one) == columns(other)


def test_words_of_one_stem_share_columns() -> None:
    def shared(one: str, other: str) -> int:
        return len(set(columns(one)) & set(columns(other)))

    assert shared("poisoning", "poisoned") > 8
    assert shared("poisoning", "garden") <= 1


def test_the_order_of_words_changes_the_columns() -> None:
    assert columns("dog bites man") != columns("man bites dog")


def test_text_without_words_has_no_columns() -> None:
    assert columns(" …! ") == []
