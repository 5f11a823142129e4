"""The messages between the gateway and the engines: a `Job` goes in, `Event`s come out.

Plain, picklable dataclasses without torch, because they are sent between two processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from http_server.wire import EncodedPrompt as EncodedPrompt
from http_server.wire import Layout, NearestDrawing, PictureFacts, ReferenceDrawing

FinishReason = Literal["stop", "length"]
FaceLayout = Literal["separate", "grid", "strip", "animation", "duel"]
"""The same for faces, where steps are snapshots of the training; and a numbered sheet of real and generated faces."""
Knob = Literal["guidance", "steps", "references"]
"""What a drawing can be tried with several values of."""
FaceRun = Literal["good", "broken"]
"""The training whose networks stayed in balance, or the one in which they lost it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Parameters of sampling. `temperature` 0 is greedy decoding; `max_tokens` None is limited by the context."""

    seed: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    """None: all tokens; k: only the k most probable ones. Applied before `top_p` and `min_p`."""
    min_p: float = 0.0
    """Only tokens whose probability is at least this share of the highest one."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    """None: no log-probabilities; k: the log-probabilities of the drawn token and of the k most probable ones."""


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """Answer the last of `messages`.

    `truncation` "auto" may drop the oldest whole turns and answer in fewer than `max_tokens` to fit the context.
    """

    messages: tuple[ChatTurn, ...]
    sampling: Sampling
    truncation: Literal["auto", "disabled"] = "disabled"
    continue_final: bool = False
    """Continue the last message, which is the beginning of an assistant's, and answer with the new text only."""
    dial: bool = False
    """Write nothing; answer with one `Dial` about the next token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """Continue `prompt` (text, or token ids)."""

    prompt: str | tuple[int, ...]
    sampling: Sampling
    dial: bool = False
    """Write nothing; answer with one `Dial` about the next token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """Draw `count` faces. `truncation` in (0, 1] scales the latent vector: small values look alike, 1 is varied.

    What follows `size` is only for a generator that has a discriminator and snapshots of its training.
    """

    seed: int
    count: int = 1
    truncation: float = 1.0
    layout: FaceLayout = "separate"
    size: int | None = None
    """Edge of one face in pixels; None: the size of the generator."""
    best_of: int = 1
    """Of so many seeds in a row from `seed`, the one is taken whose faces look best."""
    captions: bool = False
    """Below each face of a grid or a blend, how probable it is that it is real, as the discriminator sees it."""
    snapshot: int | None = None
    """The number of the snapshot that draws; None: the last one."""
    run: FaceRun = "good"
    blend: int | None = None
    """The seed of the last face; the others are on the way to it from the first, whose seed is `seed`."""
    frames: tuple[int, ...] = ()
    """The numbers of the snapshots that a strip or an animation shows; empty: all."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """The same image once for each of `values` of one parameter."""

    knob: Knob
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagine:
    """Draw `count` images of `prompt` by diffusion; image i has the seed `seed + i`.

    None leaves the choice to the model.
    """

    prompt: str
    seed: int
    negative_prompt: str = ""
    steps: int | None = None
    guidance: float | None = None
    """Classifier-free guidance: 0 ignores the prompt, 1 follows it without guidance, more exaggerates it."""
    least_steps: int | None = None
    """These bounds are for the model's own choice; where two exclude each other, the upper counts."""
    most_steps: int | None = None
    least_guidance: float | None = None
    most_guidance: float | None = None
    references: int | None = None
    """How many drawings by people the network may look at while it draws, 0 to 4 for each thing of the prompt."""
    least_references: int | None = None
    most_references: int | None = None
    count: int = 1
    width: int | None = None
    height: int | None = None
    """Size in pixels at which the model draws."""
    edge: int | None = None
    """Longer side in pixels to which each image is enlarged; None: as it was drawn.

    Finished images by themselves or in a grid are enlarged by the model's enlarger, if it has one.
    """
    layout: Layout = "separate"
    frames: tuple[int, ...] = ()
    """The number of steps done in each frame of a strip or an animation; empty: a few, evenly spread."""
    sweep: Sweep | None = None
    """Draw one image several times instead, and lay the results out in rows with the values below them."""
    previews: int = 0
    """Number of previews while the image is drawn."""
    initial: bytes | None = None
    """An encoded image to start from, with as much noise as `strength` in (0, 1] says, instead of pure noise."""
    strength: float = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed:
    """Turn each of `texts` into one vector."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderate:
    """Score each of `texts` in the categories of harmful content."""

    texts: tuple[str, ...]


Task = Chat | Completion | Faces | Imagine | Embed | Moderate


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request to one model. The queue is fair between values of `user`."""

    id: str
    model: str
    task: Task
    user: str = ""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token with the natural logarithm of its probability, and the most probable alternatives."""

    text: str
    bytes: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()
    special: bool = False
    """True if the token is not part of the text, such as the one that ends it."""


@dataclass(frozen=True, slots=True)
class TokenLogit:
    """One token with the model's raw logit."""

    text: str
    bytes: bytes
    id: int
    logit: float
    after: float = 0.0
    """The probability of drawing it after temperature, top_k, top_p and min_p; 0 if they cut it."""
    special: bool = False
    """True if the token is not part of the text, such as the one that ends it."""


@dataclass(frozen=True, slots=True)
class PromptToken:
    """One token of the prompt."""

    bytes: bytes
    id: int
    special: bool = False
    """True if the token is not part of the text, such as the one that some models begin every text with."""


@dataclass(frozen=True, slots=True)
class Started:
    """The engine accepted the job. Sent once, before all other events. Faces tell the `seed` of the first."""

    job: str
    prompt_tokens: int = 0
    dropped_turns: int = 0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """New text, which may be empty while a multi-byte character or a possible stop string is held back."""

    job: str
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    """In the model's own distribution, before sampling parameters apply."""
    logprobs_after: tuple[TokenLogprob, ...] = ()
    """In the distribution after temperature, top_k, top_p and min_p, without the tokens that they cut."""
    entropies: tuple[float, ...] = ()
    """The entropy of that distribution in nats, for each of these tokens."""


@dataclass(frozen=True, slots=True)
class Dial:
    """The distribution of the next token at each of `temperatures`.

    P(token at temperature T) = exp(logit / T - log_sum_exp at T). `tokens` are the most probable ones, best first;
    `log_sum_exp` (of logits / T) and `entropy` (in nats) are over the whole vocabulary, one for each temperature.
    `drawn` is the token that the request's seed draws, perhaps none of `tokens`; `prompt` holds the prompt's tokens.
    """

    job: str
    tokens: tuple[TokenLogit, ...]
    temperatures: tuple[float, ...]
    log_sum_exp: tuple[float, ...]
    entropy: tuple[float, ...]
    drawn: TokenLogit
    prompt: tuple[PromptToken, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """Step `step` of `steps` is done."""

    job: str
    step: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedSettings(PictureFacts):
    """The parameters of the images, also where the request left them open."""

    job: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A prediction of the finished image after `step` of `steps`; previews are numbered by `index` from 0."""

    job: str
    png: bytes
    index: int
    step: int
    steps: int


MAX_REFERENCES = 8
"""The most drawings that are told of one file."""
GuidedBy = Literal["comparison", "input", "prompt", "nothing"]
"""The guidance of each step: by comparing two predictions, with and without the prompt; by one prediction of a network
that takes the guidance as an input; by one prediction with the prompt; or by one without it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One finished image, encoded. If the file has several images, `guided_by` is that of the first.

    `references` are the drawings that the network looked at, each once and MAX_REFERENCES at most, in a file of several
    images those of all; `nearest` is then that of the first.
    """

    job: str
    data: bytes
    media_type: Literal["image/png", "image/gif"] = "image/png"
    guided_by: GuidedBy | None = None
    references: tuple[ReferenceDrawing, ...] = ()
    nearest: NearestDrawing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How probable it is that each of the faces is real, as the discriminator sees it, in the order of the faces.

    A strip or an animation of snapshots has all faces of a snapshot in a row. `real` tells the truth about a sheet of
    real and generated faces. `pictures` is the number of real pictures shown to the networks until each snapshot, and
    `losses` has rows of such a number, the loss of the generator, and that of the discriminator.
    """

    job: str
    verdicts: tuple[float, ...]
    real: tuple[bool, ...] | None = None
    pictures: tuple[int, ...] | None = None
    losses: tuple[tuple[int, float, float], ...] | None = None


@dataclass(frozen=True, slots=True)
class Vectors:
    """One embedding per text, in order."""

    job: str
    vectors: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """For each text, in order, the probability of each of `categories`."""

    job: str
    categories: tuple[str, ...]
    scores: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The job is done and its slot is free."""

    job: str
    reason: FinishReason = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Number of prompt tokens that came from the cache and were not computed again."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job failed. `message` is safe to show; `status` and `code` are those of the HTTP response."""

    job: str
    message: str
    status: int = 500
    code: str = "internal_error"
    param: str | None = field(default=None)


Event = (
    Started
    | Text
    | Dial
    | Progress
    | ResolvedSettings
    | Preview
    | Picture
    | Judged
    | Vectors
    | Scores
    | Finished
    | Failed
)
