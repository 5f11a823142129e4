"""The values that pass between the bot and the model server: turns go in, events come out."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["system", "user", "assistant"]
Layout = Literal["separate", "grid", "strip", "animation"]
"""Each picture as a file; all in one file; each as a row of its steps; each as a GIF of its steps."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as the model reads it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The request is in the queue: `place` 1 is next; it starts in about `seconds`, if the server can tell."""

    place: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """Step number `step` of `steps` is done."""

    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class LikelyToken:
    """A possible token and its probability. `text` is "" for a token that ends the text, and for a `hidden` one."""

    text: str
    probability: float
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A token that a language model wrote, and the tokens that were most probable at this point.

    `text` is the text that the token added, so the texts of all tokens together are the answer. If a character consists
    of several tokens, the last one has it, and the others have "". Special tokens add no text and are left out.
    Probabilities are the model's own, before temperature. `likely` are the most probable tokens, best first, including
    the written one if it is among them.
    """

    text: str
    probability: float
    likely: tuple[LikelyToken, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """New text of an answer, and its tokens if they were requested.

    `entropies` has the entropy of the distribution that each token was drawn from, after temperature, in bits.
    """

    text: str
    tokens: tuple[Token, ...] = ()
    entropies: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A possible next token: its probability `before` and `after` temperature and top-p.

    A token that top-p cuts off has `after` 0. `bytes` may be a part of a character. `ends` is true for a token that
    ends the text. A `hidden` token has no bytes, since no answer may contain it.
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
    """The possible next tokens of a text: up to fifty `candidates`, the most probable first, and the one `drawn`.

    At each of `temperatures`, P(token) = exp(logit / temperature - log_sum_exp), where `log_sum_exp` and `entropy`
    (bits) are over the whole vocabulary. `prompt` and `prompt_ids` are the tokens that were read; a special token,
    which is not part of the text, has no bytes.
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
    """Finished pictures as PNG bytes, as the model server made them, with labels (`bot/provenance/metadata.py`)."""

    model: str
    seed: int
    seconds: float
    png: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """The unfinished pictures after `step` of `steps`, as one PNG."""

    png: bytes
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt as its encoder read it: `tokens` as the tokenizer writes them, `dropped` those after its `limit`.

    `unknown` are the words that the tokenizer has no tokens for; the token for unknown words replaces each of them.
    """

    tokens: tuple[str, ...]
    dropped: tuple[str, ...]
    limit: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Finished pictures as the model server made them, with labels, and the values that they were drawn with.

    `width` and `height` are those of one picture as the model drew it, in pixels. `seconds` is the time from the first
    step to the last. `strength` is None if the pictures began with noise alone. `guided_by` says how the prompt guided
    each step: a "comparison" of two predictions, with the prompt and without it; one prediction by a network that got
    the guidance as an "input"; one that got only the "prompt"; or one that got "nothing". `starts` is true if the model
    can start from a picture, and `shows` if it can show pictures between its steps.
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
    """The state of the model server. `states` maps each model that is not ready to its state.

    `coming` does the same for models in whose place others answer, and `notes` are sentences for the operator.
    """

    ready: bool
    models: tuple[str, ...]
    states: Mapping[str, str]
    coming: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model called `name` was chosen among those `offered`.

    `gone` is the one that was wanted and is no longer served; "" if there is none. While `name` is not loaded,
    `stand_in` may answer in its place; `state` then says how far it has come.
    """

    name: str
    offered: tuple[str, ...]
    gone: str = ""
    stand_in: str = ""
    state: str = ""


def new_seed() -> int:
    """Return a random seed that is small enough for every JSON reader."""
    return secrets.randbelow(2**31)
