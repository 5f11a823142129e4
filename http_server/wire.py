"""What the bot and the model server say to each other, in the words of both."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Literal

Layout = Literal["separate", "grid", "strip", "animation"]
"""Each picture as a file; all in one file; each as a row of its steps; each as a GIF of its steps."""
TASKS = ("chat", "images", "faces", "embeddings", "moderations")
"""What models are for, as a list of models names it."""
TEMPERATURES = tuple(step / 20 for step in range(1, 41))
"""The temperatures at which a dial tells the distribution of the next token."""
PROOF = "/health/proof"
"""Where the server proves that it knows the key, before anything else is sent to it."""


def sign(key: bytes, side: Literal["client", "server"], nonce: str) -> str:
    """Return what proves that this side knows the key: the HMAC of a word for the side and a random number."""
    return hmac.digest(key, f"tempera {side} {nonce}".encode(), "sha256").hex()


def new_seed() -> int:
    """Return a random seed that is small enough for every JSON reader."""
    return secrets.randbelow(2**31)


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
class PictureFacts:
    """The values that pictures are drawn with, also where the request left them open.

    `width` and `height` are those of one picture as the model draws it, in pixels. `strength` is None if the pictures
    begin with noise alone. `starts` is true if the model can start from a picture, and `shows` if it can show pictures
    between its steps. `fingerprint` names its weights: the same seed gives another picture once they have changed.
    `references` is how many drawings the model may look at for each thing. `parts` are the things, and the place, that
    are drawn one by one and then put together; none if all is drawn at once. `meant` is the thing that the prompt
    describes or shows, if the network reads that instead, and `enlarged_by` names the network that makes the finished
    pictures larger, if one does.
    """

    steps: int
    guidance: float
    width: int
    height: int
    sampler: str
    strength: float | None = None
    prompt: EncodedPrompt
    negative_prompt: EncodedPrompt | None = None
    starts: bool = True
    shows: bool = True
    fingerprint: str = ""
    references: int = 0
    parts: tuple[str, ...] = ()
    meant: str = ""
    enlarged_by: str = ""


@dataclass(frozen=True, slots=True)
class ReferenceDrawing:
    """A drawing of `thing` by somebody that a model looked at, from a published `set`. `picture` is a small PNG."""

    thing: str
    set: str
    author: str
    licence: str
    picture: bytes


@dataclass(frozen=True, slots=True)
class NearestDrawing:
    """Of all drawings that a model knows, the one most like its picture.

    `distance` is the root mean square of the differences between the two: 0 if they are the same, 1 at most.
    """

    drawing: ReferenceDrawing
    distance: float
