"""What the model server is told and says, as plain values: turns in, events out."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["system", "user", "assistant"]
Layout = Literal["separate", "grid", "strip", "animation"]
"""Each picture by itself; all in one; each as a row of its steps; each as a GIF of them."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as the model reads it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Still in the queue: `place` 1 is next; `seconds` until it starts, if the server can tell."""

    place: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """Step `step` of `steps` is done."""

    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class LikelyToken:
    """A token that could come, and its probability. `text` is "" for one that ends the text, and for a `hidden` one."""

    text: str
    probability: float
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A token that a language model wrote, and what it might have written.

    `text` is what it added, so that the texts of all tokens are the answer; "" while a character has more than one
    token, until its last one. A special token adds nothing and is none of them. Probabilities are the model's own,
    whatever the temperature was. `likely` are the most probable tokens at this point, best first, the written one among
    them if it is one of these.
    """

    text: str
    probability: float
    likely: tuple[LikelyToken, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """New text of an answer, and its tokens where they were asked for.

    `entropies`, one for each token: how uncertain the draw was, after temperature, in bits.
    """

    text: str
    tokens: tuple[Token, ...] = ()
    entropies: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A token that could come next: `before` is the model's own probability, `after` the one to be drawn.

    What temperature and top-p do lies between the two; what they cut has `after` 0. `bytes` may be a part of a
    character. `ends` is true of a token that ends the text. A `hidden` one has no bytes: no answer may hold it.
    """

    id: int
    bytes: bytes
    logit: float
    before: float
    after: float
    ends: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """What may come after a text: up to fifty `candidates`, the most probable first, and the one that is `drawn`.

    At any of `temperatures`, P(token) = exp(logit / temperature - log_sum_exp), where `log_sum_exp` and `entropy`
    (bits) are over all tokens there are. `prompt` and `prompt_ids` are the tokens that were read; a special one, which
    is no part of the text, has no bytes.
    """

    model: str
    prompt: tuple[bytes, ...]
    prompt_ids: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    drawn: Candidate
    temperatures: tuple[float, ...]
    log_sum_exp: tuple[float, ...]
    entropy: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer is complete. `seconds` is the time from the first step to the last."""

    model: str
    seed: int
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    dropped_turns: int


@dataclass(frozen=True, slots=True)
class Pictures:
    """Finished pictures as PNG bytes, untouched from where they were made."""

    model: str
    seed: int
    seconds: float
    png: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What the pictures are going to be, as far as can be told after `step` of `steps`: one PNG."""

    png: bytes
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt as its encoder saw it: `tokens` as the tokenizer writes them, `dropped` those behind its `limit`.

    `unknown` are the words of the prompt that it has no tokens for, so that one stands for each of them.
    """

    tokens: tuple[str, ...]
    dropped: tuple[str, ...]
    limit: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Finished pictures, untouched from where they were made, and with what they were drawn.

    `width` and `height` are those of one picture as the model drew it, in pixels; `seconds` is the time from the
    first step to the last. `strength` is None where they began with noise alone. `guided_by` is what led each step:
    a "comparison" of two guesses, with the prompt and without; one guess by a network that was told the guidance as an
    "input"; one that knew the "prompt" alone; or one that knew "nothing" of it. `starts` tells whether the model can
    start from a picture, `shows` whether it can be looked at between its steps.
    """

    model: str
    files: tuple[bytes, ...]
    media_type: str
    seed: int
    seconds: float
    steps: int
    guidance: float
    width: int
    height: int
    sampler: str
    strength: float | None
    guided_by: str
    prompt: EncodedPrompt
    negative_prompt: EncodedPrompt | None
    starts: bool = True
    shows: bool = True


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the model server says of itself. `states` maps each missing model to what it is doing."""

    ready: bool
    models: tuple[str, ...]
    states: Mapping[str, str]


def new_seed() -> int:
    """A seed drawn at random, small enough for every JSON reader."""
    return secrets.randbelow(2**31)
