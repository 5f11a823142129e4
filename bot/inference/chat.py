"""The wire format of chats: the body of a request, as a model can take it, and the stream that answers it."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.core.errors import ModelError
from bot.core.model_events import Answered, Delta, Step, Waiting
from bot.inference.logprobs import TokenReader, read_entropies
from bot.inference.messages import build_message
from bot.inference.responses import broken, checked_format
from bot.inference.upstreams.dialects import CONTINUE, REFUSAL_STATUSES, is_too_long
from bot.inference.upstreams.upstream import DONE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from bot.core.model_events import Turn
    from bot.inference.upstreams.dialects import Dialect
    from bot.inference.upstreams.routing import Target

    Event = Waiting | Step | Delta | Answered

log = logging.getLogger(__name__)

NOTED_FIELDS = frozenset({"temperature", "min_p", "seed"})
"""Fields without which an answer is not what was asked for."""
MAX_ANSWER_CHARACTERS = 500_000
"""No answer is that long, unless a server takes no notice of the limit that it was given."""
REFUSED = (
    "“%s” refused a request with status %d. If there is a field that it does not take, such as temperature or "
    "max_tokens, name that in leave_out of its [[upstreams]] (docs/operate/upstreams.md)."
)


def _cannot_see(model: str) -> ModelError:
    """Return the error for a model whose server failed when it was sent a picture."""
    return ModelError(
        "“{model}” failed with this picture. If it reads none, whoever runs this bot can name the models that do in "
        "its [[upstreams]], with `models`.",
        model=model,
    )


def _cannot_go_on(model: str) -> ModelError:
    """Return the error for a model that takes no beginning of an answer."""
    return ModelError("“{model}” cannot go on from the middle of an answer; ask anew instead.", model=model)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What `ModelClient.chat` is asked for, whichever server gets it. `dropped_turns` were left out of `turns`."""

    turns: Sequence[Turn]
    temperature: float
    seed: int
    max_tokens: int | None
    min_p: float
    likely: int | None
    goes_on: bool
    user: str
    dropped_turns: int = 0

    @property
    def has_images(self) -> bool:
        """True if there are pictures to read."""
        return any(turn.images for turn in self.turns)

    def build_body(self, model: str, dialect: Dialect) -> dict[str, Any]:
        """Return the body of the request for a model, without the fields that it does not know."""
        body: dict[str, Any] = {
            "model": model,
            "messages": [build_message(turn) for turn in dialect.place_system(self.turns)],
            "temperature": self.temperature,
            "seed": self.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        if self.likely is not None:
            body |= {"logprobs": True, "top_logprobs": self.likely}
        if self.goes_on:
            body[CONTINUE] = True
        if dialect.is_ours:
            body["stream_options"] = {"include_usage": True, "include_progress": True}
            body |= {"truncation": "auto", "user": self.user}
            return body | ({"min_p": self.min_p} if self.min_p > 0 else {})
        # Where a request is silent, other servers choose for themselves. Who asks is nothing to them.
        body |= {"min_p": self.min_p, "top_p": 1}
        if self.likely == 0:
            # Some servers take 0 for no log-probabilities at all.
            body["top_logprobs"] = 1
        if self.goes_on:
            body["add_generation_prompt"] = False
        return dialect.adapt(body)

    def shorten(self) -> ChatRequest | None:
        """Return the request without the older half of the earlier turns; None if there are none to leave out."""
        first = 1 if self.turns and self.turns[0].role == "system" else 0
        last = 2 if self.goes_on else 1
        earlier = self.turns[first : len(self.turns) - last]
        # A question and its answer are left out together.
        if not (count := (len(earlier) // 2 + 1) // 2):
            return None
        kept = (*self.turns[:first], *earlier[2 * count :], *self.turns[len(self.turns) - last :])
        return replace(self, turns=kept, dropped_turns=self.dropped_turns + count)


def _read_text(content: Any) -> str:
    """Return the text of a piece, which may be one of several parts, such as of what a model thinks before it answers.

    Raises TypeError if it is none.
    """
    if isinstance(content, list):
        return "".join(_read_text(part.get("text")) for part in content if part.get("type") == "text")
    if not isinstance(content, str | None):
        raise TypeError("the text of an answer is not a text")
    return content or ""


class ChatReader:
    """Converts the chunks of one stream to events. Raises ModelUnavailable for what it cannot read."""

    def __init__(self, request: ChatRequest, target: Target, dialect: Dialect) -> None:
        self._request = request
        self._target = target
        self._upstream = target.upstream.shown_name
        self._dialect = dialect
        self._tokens = TokenReader()
        self._model = target.name
        self._finish = ""
        self._is_done = False
        self._extra: dict[str, Any] = {}
        self._usage: Mapping[str, Any] = {}
        self._pieces = self._characters = 0
        self._began: float | None = None

    @property
    def is_empty(self) -> bool:
        """True as long as the answer has not begun."""
        return not self._pieces

    def read(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the events in a chunk."""
        if chunk is DONE:
            self._is_done = True
            return
        with checked_format(self._upstream):
            yield from self._read_checked(chunk)

    def _read_checked(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        news = chunk.get("tempera") or {}
        self._extra |= news
        self._usage = chunk.get("usage") or self._usage
        if self._dialect.is_ours and (told := chunk.get("model")):
            self._model = self._target.named(str(told))
        if queue := news.get("queue"):
            yield Waiting(queue["place"], queue.get("eta_s"))
        if "step" in news:
            yield Step(news["step"], news["steps"])
        for choice in chunk.get("choices") or ():
            self._finish = str(choice.get("finish_reason") or self._finish)
            if (delta := choice.get("delta")) is None:
                # The last chunk of some servers has none; an answer that is not streamed has a message.
                delta = choice.get("message") or {}
            text = _read_text(delta.get("content"))
            self._characters += len(text)
            if self._characters > MAX_ANSWER_CHARACTERS and not self._dialect.is_ours:
                raise ValueError("an answer is too long")
            tokens = self._tokens.read_tokens(choice)
            if text or tokens:
                self._began = self._began or time.monotonic()
                self._pieces += 1
                yield Delta(text, tokens, read_entropies(choice, news))

    def finish(self) -> Answered:
        """Return the last event, once the stream has ended. Raises ModelUnavailable if it broke off before."""
        if not (self._is_done or self._finish) or (not self._pieces and not self._finish and not self._usage):
            raise broken(self._upstream)
        request, extra, usage = self._request, self._extra, self._usage
        measured = 0.0 if self._began is None else time.monotonic() - self._began
        with checked_format(self._upstream):
            return Answered(
                model=self._model,
                seed=extra.get("seed", request.seed),
                finish_reason=self._finish or "stop",
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                completion_tokens=int(usage.get("completion_tokens") or self._pieces),
                is_counted=bool(usage.get("completion_tokens")),
                seconds=extra.get("seconds", 0.0 if self._dialect.is_ours else measured),
                dropped_turns=extra.get("dropped_turns", request.dropped_turns),
                repeats=self._dialect.is_ours,
                left_out=tuple(sorted(self._dialect.leave_out & NOTED_FIELDS)),
                sent_to=self._target.sent_to,
            )


async def stream_chat(target: Target, request: ChatRequest) -> AsyncGenerator[Event, None]:
    """Stream the answer of one model. What it refuses before anything is shown is sent again, shorter or simpler."""
    upstream = target.upstream
    dialect = await upstream.dialect()
    if request.goes_on and not dialect.goes_on:
        raise _cannot_go_on(target.name)
    while True:
        body = request.build_body(target.model, dialect)
        reader = ChatReader(request, target, dialect)
        try:
            async with contextlib.aclosing(upstream.stream("/chat/completions", json=body)) as chunks:
                async for chunk in chunks:
                    for event in reader.read(chunk):
                        yield event
        except ModelError as error:
            if dialect.is_ours or not reader.is_empty:
                raise
            if request.has_images and error.status and error.status == dialect.blind_status:
                raise _cannot_see(target.name) from error
            if is_too_long(error) and (shorter := request.shorten()) is not None:
                request = shorter
            elif (simpler := dialect.simpler(error, body)) is not None:
                dialect = simpler
            else:
                if error.status in REFUSAL_STATUSES and not is_too_long(error):
                    log.info(REFUSED, target.name, error.status)
                raise
        else:
            yield reader.finish()
            return
