from itertools import pairwise

import pytest

from model_server.engines.moderation.grams import COLUMNS, columns


def test_columns_are_in_order_each_once_and_in_range() -> None:
    found = columns("Plants turn light into sugar, plants turn light into sugar")
    assert all(one < other for one, other in pairwise(found))
    assert 0 <= found[0] <= found[-1] < COLUMNS


@pytest.mark.parametrize(("one", "other"), [("Ärger", "arger"), ("STOP it", "stop, it!"), ("niño", "nino")])
def test_accents_capitals_and_signs_do_not_count(one: str, other: str) -> None:
    assert columns(one) == columns(other)


def test_words_of_one_stem_share_columns_and_others_few() -> None:
    def shared(one: str, other: str) -> int:
        return len(set(columns(one)) & set(columns(other)))

    assert shared("poisoning", "poisoned") > 8
    assert shared("poisoning", "garden") <= 1


def test_the_order_of_words_counts() -> None:
    assert columns("dog bites man") != columns("man bites dog")


def test_nothing_has_none() -> None:
    assert columns(" …! ") == []
