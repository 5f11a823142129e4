"""Reads the embeddings that a server made."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_vectors(answer: Mapping[str, Any], count: int, *, is_ours: bool) -> list[list[float]]:
    """Return the vectors of `count` texts in their order. Those that are not of our own server get the length 1.

    Raises ValueError if there is not one for each text, all of one width; AttributeError, KeyError or TypeError for an
    unknown format.
    """
    items = sorted(answer["data"], key=lambda item: int(item["index"]))
    vectors = [_read_vector(item["embedding"]) for item in items]
    if [int(item["index"]) for item in items] != list(range(count)) or len({len(one) for one in vectors}) > 1:
        raise ValueError("not one vector for each text")
    return vectors if is_ours else [_scale(vector) for vector in vectors]


def _read_vector(values: Any) -> list[float]:
    if not isinstance(values, list) or not values or not all(isinstance(value, int | float) for value in values):
        raise TypeError("a vector was expected")
    return values


def _scale(vector: list[float]) -> list[float]:
    """Return a vector of length 1: what is compared later are the directions alone."""
    length = math.hypot(*vector)
    if not 0 < length < math.inf:
        raise ValueError("a vector has no direction")
    return [value / length for value in vector]
