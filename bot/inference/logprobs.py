"""What the model server says of single tokens: those of an answer, with what else was likely, and those of a dial."""

from __future__ import annotations

import codecs
import math
from typing import TYPE_CHECKING, Any

from bot.core.model_events import Candidate, Dial, LikelyToken, Token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BITS_PER_NAT = 1 / math.log(2)


class TokenReader:
    """Reads the tokens of one answer as they come."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_first = True

    def tokens(self, choice: Mapping[str, Any]) -> tuple[Token, ...]:
        """Those of one chunk's choice that the text has, none where it has no log-probabilities."""
        shown = choice["delta"].get("content") or ""
        return tuple(self._token(one, shown) for one in _token_entries(choice) if not one.get("special"))

    def _token(self, one: Mapping[str, Any], shown: str) -> Token:
        text = self._decoder.decode(bytes(one["bytes"]))
        if self._is_first and text.startswith(" ") and not shown.startswith(" "):
            # Some models begin every text with a space, which is no part of it.
            text = text[1:]
        self._is_first = self._is_first and not text
        return Token(text, math.exp(one["logprob"]), tuple(map(_read_likely_token, one["top_logprobs"])))


def read_entropies(choice: Mapping[str, Any], news: Mapping[str, Any]) -> tuple[float, ...]:
    """Those of the same tokens of one chunk, in bits, if it has any; `news` is what the chunk tells besides."""
    told = news.get("entropy") or ()
    pairs = zip(_token_entries(choice), told, strict=bool(told))
    return tuple(nats * BITS_PER_NAT for one, nats in pairs if not one.get("special"))


def read_dial(model: str, told: Mapping[str, Any]) -> Dial:
    """The dial in a response."""
    normal = dict(zip(told["temperatures"], told["log_sum_exp"], strict=True))
    return Dial(
        model=model,
        prompt=tuple(b"" if one.get("special") else bytes(one["bytes"]) for one in told["prompt"]),
        prompt_ids=tuple(one["id"] for one in told["prompt"]),
        candidates=tuple(_read_candidate(one, normal[1.0]) for one in told["tokens"]),
        drawn=_read_candidate(told["drawn"], normal[1.0]),
        temperatures=tuple(told["temperatures"]),
        log_sum_exp=tuple(told["log_sum_exp"]),
        entropy=tuple(nats * BITS_PER_NAT for nats in told["entropy"]),
    )


def _token_entries(choice: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (choice.get("logprobs") or {}).get("content") or ()


def _read_candidate(one: Mapping[str, Any], normal: float) -> Candidate:
    return Candidate(
        id=one["id"],
        bytes=bytes(one["bytes"]),
        logit=one["logit"],
        before=math.exp(one["logit"] - normal),
        after=one["after"],
        ends=bool(one.get("special")),
    )


def _read_likely_token(one: Mapping[str, Any]) -> LikelyToken:
    text = "" if one.get("special") else bytes(one["bytes"]).decode(errors="replace")
    return LikelyToken(text, math.exp(one["logprob"]))
