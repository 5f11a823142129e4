"""Reads the tokens in responses of the model server: those of an answer, with their alternatives, and of a dial."""

from __future__ import annotations

import codecs
import math
from typing import TYPE_CHECKING, Any

from bot.core.model_events import Candidate, Dial, LikelyToken, Token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BITS_PER_NAT = 1 / math.log(2)


class TokenReader:
    """Reads the tokens of one answer, chunk by chunk."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_first = True

    def read_tokens(self, choice: Mapping[str, Any]) -> tuple[Token, ...]:
        """Return the tokens in the choice of a chunk without special ones; none if it has no log-probabilities."""
        text = (choice.get("delta") or choice.get("message") or {}).get("content") or ""
        return tuple(self._read_token(entry, text) for entry in _token_entries(choice) if not entry.get("special"))

    def _read_token(self, entry: Mapping[str, Any], answer: str) -> Token:
        text = self._decoder.decode(bytes_of(entry))
        if self._is_first and text.startswith(" ") and not answer.startswith(" "):
            # Some models begin every text with a space, which is not part of the answer.
            text = text[1:]
        self._is_first = self._is_first and not text
        likely = sorted(map(_read_likely_token, entry.get("top_logprobs") or ()), key=lambda one: -one.probability)
        return Token(text, math.exp(entry["logprob"]), tuple(likely))


def read_entropies(choice: Mapping[str, Any], news: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the entropies of the same tokens, in bits; none if the chunk has none. `news` is its field “tempera”."""
    entropies = news.get("entropy") or ()
    pairs = zip(_token_entries(choice), entropies, strict=bool(entropies))
    return tuple(nats * BITS_PER_NAT for entry, nats in pairs if not entry.get("special"))


def read_dial(model: str, response: Mapping[str, Any]) -> Dial:
    """Return the dial in a response."""
    normal = dict(zip(response["temperatures"], response["log_sum_exp"], strict=True))
    return Dial(
        model=model,
        prompt=tuple(b"" if entry.get("special") else bytes(entry["bytes"]) for entry in response["prompt"]),
        prompt_ids=tuple(entry["id"] for entry in response["prompt"]),
        candidates=tuple(_read_candidate(entry, normal[1.0]) for entry in response["tokens"]),
        drawn=_read_candidate(response["drawn"], normal[1.0]),
        temperatures=tuple(response["temperatures"]),
        log_sum_exp=tuple(response["log_sum_exp"]),
        entropy=tuple(nats * BITS_PER_NAT for nats in response["entropy"]),
    )


def _token_entries(choice: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (choice.get("logprobs") or {}).get("content") or ()


def bytes_of(entry: Mapping[str, Any]) -> bytes:
    """Return the bytes of a token; some servers tell only its text."""
    told = entry.get("bytes")
    return str(entry["token"]).encode() if told is None else bytes(told)


def _read_candidate(entry: Mapping[str, Any], normal: float) -> Candidate:
    return Candidate(
        id=entry["id"],
        bytes=bytes(entry["bytes"]),
        logit=entry["logit"],
        before=math.exp(entry["logit"] - normal),
        after=entry["after"],
        ends=bool(entry.get("special")),
    )


def _read_likely_token(entry: Mapping[str, Any]) -> LikelyToken:
    text = "" if entry.get("special") else bytes_of(entry).decode(errors="replace")
    return LikelyToken(text, math.exp(entry["logprob"]))
