"""The values that pass between the bot and the model server: turns go in, events come out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bot.core.i18n import Sentence
from http_server.wire import PictureFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from http_server.wire import NearestDrawing, ReferenceDrawing

Role = Literal["system", "user", "assistant"]
FaceLayout = Literal["grid", "strip", "animation"]
"""How faces are laid out: in one file; and as rows or as one GIF, of the snapshots of a training or of a blend."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as the model reads it. `images` are pictures that belong to it, as JPEG."""

    role: Role
    content: str
    images: tuple[bytes, ...] = ()


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

    If it `is_partial`, the server told only the candidates: all odds but those `before` are among these alone. There
    are no ids of the prompt then, and those of the candidates mean nothing: the text is what is gone on with.
    `sent_to` is as in `Answered`.
    """

    model: str
    prompt: tuple[bytes, ...]
    prompt_ids: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    drawn: Candidate
    temperatures: tuple[float, ...]
    log_sum_exp: tuple[float, ...]
    entropy: tuple[float, ...]
    is_partial: bool = False
    sent_to: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer is complete. `seconds` is the time from the first step to the last.

    `repeats` is true if the same seed gives the same text again. `left_out` are the names of options that the model
    does not know, such as "temperature". `sent_to` is the remote upstream that answered; "" if it was a local one.
    `is_counted` is false if the server did not tell its number of tokens, and its pieces were counted instead.
    """

    model: str
    seed: int
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    dropped_turns: int
    repeats: bool = True
    left_out: tuple[str, ...] = ()
    sent_to: str = ""
    is_counted: bool = True


@dataclass(frozen=True, slots=True)
class Pictures:
    """Finished pictures as PNG bytes, as the model server made them, with labels (`bot/provenance/metadata.py`).

    An animation is a GIF. Where the model has a detective beside its forger, `verdicts` are the probabilities that each
    face is real, as the detective judges. `training` is there if snapshots of it were asked for; a snapshot's verdicts
    come in a row then.
    """

    model: str
    seed: int
    seconds: float
    png: tuple[bytes, ...]
    verdicts: tuple[float, ...] = ()
    training: FaceTraining | None = None


@dataclass(frozen=True, slots=True)
class LossPoint:
    """The losses of forger and detective after `pictures` real pictures were shown to them."""

    pictures: int
    forger: float
    detective: float


@dataclass(frozen=True, slots=True)
class FaceTraining:
    """How forger and detective learnt: how many real pictures had been shown at each snapshot, and their losses."""

    pictures: tuple[int, ...]
    losses: tuple[LossPoint, ...]


@dataclass(frozen=True, slots=True)
class DuelSheet:
    """One numbered sheet of faces as a PNG: for each face, whether it is real, and how sure the detective is of that.

    `verdicts` are probabilities that a face is real, as the detective judges from the picture alone.
    """

    png: bytes
    real: tuple[bool, ...]
    verdicts: tuple[float, ...]
    model: str
    seed: int


@dataclass(frozen=True, slots=True)
class Preview:
    """The unfinished pictures after `step` of `steps`, as one PNG."""

    png: bytes
    step: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn(PictureFacts):
    """Finished pictures as the model server made them, with labels, and the values that they were drawn with.

    `seconds` is the time from the first step to the last. `guided_by` says how the prompt guided each step: a
    "comparison" of two predictions, with the prompt and without it; one prediction by a network that got the guidance
    as an "input"; one that got only the "prompt"; or one that got "nothing". `looked_at` are the drawings that the
    model looked at for all files together, and `nearest` the known drawing that is most like the first picture, where
    the model tells one.

    A model of a server by others takes the words alone: it draws one picture, and tells nothing of how it did. Then
    `left_out` names the options that it does not know. `repeats` and `sent_to` are as in `Answered`.
    """

    model: str
    files: tuple[bytes, ...]
    media_type: str
    seed: int
    seconds: float
    guided_by: str
    repeats: bool = True
    left_out: tuple[str, ...] = ()
    sent_to: str = ""
    looked_at: tuple[ReferenceDrawing, ...] = ()
    nearest: NearestDrawing | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """The state of the model server. `states` maps each model that is not ready to its state.

    `coming` does the same for models in whose place others answer, and `notes` are sentences for the operator.
    `alternatives` are the models of which the operator chooses one.
    """

    ready: bool
    models: tuple[str, ...]
    states: Mapping[str, str]
    coming: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of several models for the same, of which the model server serves the one that is `chosen`.

    It needs `needed_gb` of what the server's machine `lacks`, which has `present_gb` of it: its "memory", or that of a
    graphics "card"; `lacks` is "" if the model fits.
    """

    model: str
    chosen: bool
    lacks: str = ""
    needed_gb: int = 0
    present_gb: int = 0

    def describe(self) -> Sentence:
        """Return a sentence that says whether the model fits the machine."""
        sentence = "{model} fits the machine of the model server."
        if self.lacks == "memory":
            sentence = "{model} needs {needed} GB of memory, and the model server has {present} GB."
        elif self.lacks and self.present_gb:
            sentence = "{model} needs a graphics card with {needed} GB, and that of the model server has {present} GB."
        elif self.lacks:
            sentence = "{model} needs a graphics card with {needed} GB, and the model server has none."
        elif self.chosen:
            sentence = "{model} is chosen, and fits the machine of the model server."
        return Sentence(sentence, {"model": self.model, "needed": self.needed_gb, "present": self.present_gb})


@dataclass(frozen=True, slots=True)
class QueueState:
    """How many requests a model has, and how many tokens it writes in a second for all together, if that is known."""

    model: str
    running: int
    waiting: int
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model called `name` was chosen among those `offered`, of which `picture_readers` read pictures.

    `context` is the number of tokens that the chosen one reads and writes together, 0 if the server does not tell.
    `gone` is the one that was wanted and is no longer served; "" if there is none. While `name` is not loaded,
    `stand_in` may answer in its place; `state` then says how far it has come. `languages` are the codes of those that
    it knows well, None if it does not tell.
    """

    name: str
    offered: tuple[str, ...]
    gone: str = ""
    stand_in: str = ""
    state: str = ""
    picture_readers: tuple[str, ...] = ()
    context: int = 0
    languages: frozenset[str] | None = None

    @property
    def reads_images(self) -> bool:
        """True if the model that answers reads pictures."""
        return (self.stand_in or self.name) in self.picture_readers
