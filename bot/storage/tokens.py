"""The stored form of the tokens of an answer: compact, as there may be thousands with five alternatives each."""

from __future__ import annotations

import json
import math
import zlib
from typing import TYPE_CHECKING

from bot.core.model_events import LikelyToken, Token

if TYPE_CHECKING:
    from collections.abc import Sequence

UNITS_PER_NAT = 1000
"""Probabilities are stored as whole thousandths of their natural logarithm, which is exact to 0.05 %."""
MIN_PROBABILITY = 1e-300


def pack(tokens: Sequence[Token]) -> bytes:
    """Return `tokens` as bytes for the database."""
    rows = [
        [
            token.text,
            _logarithm(token.probability),
            [[other.text, _logarithm(other.probability)] for other in token.likely],
        ]
        for token in tokens
    ]
    return zlib.compress(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def unpack(data: bytes) -> tuple[Token, ...]:
    """Return the tokens in `data`."""
    return tuple(
        Token(text, _probability(logarithm), tuple(LikelyToken(other, _probability(value)) for other, value in likely))
        for text, logarithm, likely in json.loads(zlib.decompress(data))
    )


def _logarithm(probability: float) -> int:
    return round(UNITS_PER_NAT * math.log(max(probability, MIN_PROBABILITY)))


def _probability(logarithm: int) -> float:
    return math.exp(logarithm / UNITS_PER_NAT)
