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
class Delta:
    """New text of an answer."""

    text: str


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
class Reading:
    """A prompt as its encoder saw it: `tokens` as the tokenizer writes them, `dropped` those behind its `limit`."""

    tokens: tuple[str, ...]
    dropped: tuple[str, ...]
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Finished pictures, untouched from where they were made, and with what they were drawn.

    `width` and `height` are those of one picture as the model drew it, in pixels; `seconds` is the time from the
    first step to the last. `strength` is None where they began with noise alone.
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
    prompt: Reading
    negative_prompt: Reading | None


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the model server says of itself. `states` maps each missing model to what it is doing."""

    ready: bool
    models: tuple[str, ...]
    states: Mapping[str, str]


def new_seed() -> int:
    """A seed drawn at random, small enough for every JSON reader."""
    return secrets.randbelow(2**31)
