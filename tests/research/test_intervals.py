"""Intervals and tests, beside values that others published."""

import pytest

from research.intervals import share, sign_test, wilson_interval


@pytest.mark.parametrize(
    ("hits", "attempts", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_of_the_literature(hits: int, attempts: int, low: float, high: float) -> None:
    """Newcombe, “Two-sided confidence intervals for the single proportion”, 1998, table I, method 3."""
    assert wilson_interval(hits, attempts) == pytest.approx((low, high), abs=0.00005)


@pytest.mark.parametrize(
    ("better", "worse", "probability"), [(1, 9, 0.011), (3, 12, 0.018), (5, 15, 0.021), (5, 5, 0.623), (0, 5, 0.031)]
)
def test_the_sign_test_is_that_of_the_literature(better: int, worse: int, probability: float) -> None:
    """Siegel, “Nonparametric statistics”, 1956, table D."""
    assert sign_test(better, worse) == pytest.approx(probability, abs=0.0005)


def test_sides_that_never_differ_are_equal() -> None:
    assert sign_test(0, 0) == 1


def test_a_share_is_shown_with_its_interval() -> None:
    assert share(81, 263) == "81 of 263 (30.8%, 25.5 to 36.6)"
    assert share(0, 0) == "0 of 0"
