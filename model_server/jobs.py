"""What the gateway and the engines say to each other: a `Job` goes in, `Event`s come out.

Plain, picklable dataclasses without torch, because they cross the border between two processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

FinishReason = Literal["stop", "length"]
Layout = Literal["separate", "grid", "strip", "animation"]
"""Each picture by itself; all in one; each as a row of its steps; each as a GIF of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen. `temperature` 0 is greedy decoding; `max_tokens` None is up to the context."""

    seed: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    """None: all tokens; k: only the k most probable ones, cut before `top_p` and `min_p` look at what is left."""
    min_p: float = 0.0
    """Only tokens at least this many times as probable as the most probable one."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    """None: no log-probabilities; k: those of the drawn token and of the k most probable ones."""


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
    """The last message is an assistant's, begun by hand: go on with it. Only what is new is answered."""
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
    """Draw `count` faces. `truncation` in (0, 1] pulls them towards an ordinary one: small is alike, 1 is varied."""

    seed: int
    count: int = 1
    truncation: float = 1.0
    layout: Literal["separate", "grid"] = "separate"
    size: int | None = None
    """Edge of one face in pixels; None: as the generator makes it."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """The same picture once for each of `values` of one knob."""

    knob: Literal["guidance", "steps"]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagine:
    """Draw `count` pictures of what `prompt` says by taking noise away; picture i starts from the seed `seed + i`.

    None leaves a choice to the model.
    """

    prompt: str
    seed: int
    negative_prompt: str = ""
    steps: int | None = None
    least_steps: int | None = None
    most_steps: int | None = None
    least_guidance: float | None = None
    most_guidance: float | None = None
    """Within which the model's own choice stays; where they exclude each other, the upper one counts."""
    guidance: float | None = None
    """How far beyond what it draws without the prompt: 0 is without it, 1 is with it, more exaggerates."""
    count: int = 1
    width: int | None = None
    height: int | None = None
    """In pixels, as the model draws."""
    edge: int | None = None
    """The longer side of each picture in pixels, smoothly enlarged; None: as it was drawn."""
    layout: Layout = "separate"
    frames: tuple[int, ...] = ()
    """How many steps are behind each picture of a strip or an animation; none named: some spread ones."""
    sweep: Sweep | None = None
    """Draw the one picture several times instead, and lay them in rows with the values under them."""
    previews: int = 0
    """How many times to show what the picture is going to be, while it is drawn."""
    initial: bytes | None = None
    """An encoded picture to start from, under so much noise as `strength` in (0, 1] says, instead of noise alone."""
    strength: float = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed:
    """Turn each of `texts` into one vector."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderate:
    """Tell what is wrong with each of `texts`."""

    texts: tuple[str, ...]


Task = Chat | Completion | Faces | Imagine | Embed | Moderate


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request to one model. `user` is whoever the queue must be fair to."""

    id: str
    model: str
    task: Task
    user: str = ""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token with the natural logarithm of its probability, and the most probable ones beside it."""

    text: str
    bytes: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()
    special: bool = False
    """Whether it is none of the text's tokens, such as the one that ends it."""


@dataclass(frozen=True, slots=True)
class TokenLogit:
    """One token with its raw logit, as the model gave it."""

    text: str
    bytes: bytes
    id: int
    logit: float
    after: float = 0.0
    """Its probability to be drawn: after temperature, top_k, top_p and min_p; 0 for what they cut."""
    special: bool = False
    """Whether it is none of the text's tokens, such as the one that ends it."""


@dataclass(frozen=True, slots=True)
class PromptToken:
    """One token of what the model read."""

    bytes: bytes
    id: int
    special: bool = False
    """Whether it is none of the text's tokens, such as the one that some models begin every text with."""


@dataclass(frozen=True, slots=True)
class Started:
    """The job left the queue and fits. Sent once, before anything else."""

    job: str
    prompt_tokens: int = 0
    dropped_turns: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """New text (perhaps empty, while a multi-byte character or a possible stop string is held back)."""

    job: str
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the model itself, whatever the sampling is."""
    logprobs_after: tuple[TokenLogprob, ...] = ()
    """Of the distribution that was drawn from: after temperature, top_k, top_p and min_p. What they cut is left out."""
    entropies: tuple[float, ...] = ()
    """Of that distribution, in nats, one for each of these tokens."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Everything that is needed to show the distribution of the next token at any of `temperatures`.

    P(token at temperature T) = exp(logit / T - log_sum_exp at T). `tokens` are the most probable ones, best first;
    `log_sum_exp` (of logits / T) and `entropy` (in nats) are over the whole vocabulary, one for each temperature.
    `drawn` is what the request's seed draws, perhaps none of `tokens`; `prompt` is what was read.
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
class ResolvedSettings:
    """With what the pictures are drawn, where the request left it open, too. `strength` is None without a start."""

    job: str
    steps: int
    guidance: float
    width: int
    height: int
    sampler: str
    strength: float | None
    prompt: EncodedPrompt
    negative_prompt: EncodedPrompt | None
    starts: bool = True
    """Whether the model can start from a picture."""
    shows: bool = True
    """Whether it can be looked at between its steps."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What the picture is going to be, told after `step` of `steps`: the `index`-th such PNG, from 0."""

    job: str
    png: bytes
    index: int
    step: int
    steps: int


GuidedBy = Literal["comparison", "input", "prompt", "nothing"]
"""What led each step: two guesses, with the prompt and without, that were compared; a network's only guess, which was
told the guidance as a number; such a guess that knew the prompt alone; or one that did not know it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One finished picture, encoded; of several in one file, `guided_by` is that of the first."""

    job: str
    data: bytes
    media_type: Literal["image/png", "image/gif"] = "image/png"
    guided_by: GuidedBy | None = None


@dataclass(frozen=True, slots=True)
class Vectors:
    """One embedding per text, in order."""

    job: str
    vectors: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """For each text, in order, how probable it is that it belongs into each of `categories`."""

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
    """How many of the prompt's tokens were not computed again, because the cache held them."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job cannot be done. `message` is safe to show; `status` and `code` are what HTTP says of it."""

    job: str
    message: str
    status: int = 500
    code: str = "internal_error"
    param: str | None = field(default=None)


Event = Started | Text | Dial | Progress | ResolvedSettings | Preview | Picture | Vectors | Scores | Finished | Failed
