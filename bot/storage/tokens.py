"""The tokens of an answer as they are kept: compact, since there may be thousands with five others beside each."""

from __future__ import annotations

import json
import math
import zlib
from typing import TYPE_CHECKING

from bot.core.model_events import LikelyToken, Token

if TYPE_CHECKING:
    from collections.abc import Sequence

UNITS_PER_NAT = 1000
"""Probabilities are kept as whole thousandths of their natural logarithm: within 0.05 % of what they were."""
MIN_PROBABILITY = 1e-300


def pack(tokens: Sequence[Token]) -> bytes:
    """`tokens` for the database."""
    kept = [
        [token.text, _logarithm(token.probability), [[one.text, _logarithm(one.probability)] for one in token.likely]]
        for token in tokens
    ]
    return zlib.compress(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def unpack(data: bytes) -> tuple[Token, ...]:
    """The tokens again."""
    return tuple(
        Token(text, _probability(kept), tuple(LikelyToken(other, _probability(value)) for other, value in likely))
        for text, kept, likely in json.loads(zlib.decompress(data))
    )


def _logarithm(probability: float) -> int:
    return round(UNITS_PER_NAT * math.log(max(probability, MIN_PROBABILITY)))


def _probability(kept: int) -> float:
    return math.exp(kept / UNITS_PER_NAT)
