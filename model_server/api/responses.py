"""The wire, outwards: what engines say, in the shapes of OpenAI's responses and chunks.

What OpenAI's formats have no place for is in one object `tempera`: `job` and `seed` always; `dropped_turns` once the
work began; `seconds` at the end; `queue` {place, eta_s}, or `step` and `steps`, in the chunks that only tell progress;
`logprobs_after`, in the same form as the choice's log-probabilities and beside them, and `entropy`, in nats, of what
each of these tokens was drawn from; `dial` where it was asked for. Tokens that are none of the text's, such as the one
that ends it, are `special`.
"""

from __future__ import annotations

import base64
import codecs
import struct
import time
from typing import TYPE_CHECKING, Any

from model_server.errors import RETRY_AFTER_SECONDS, ApiError
from model_server.jobs import Chat, Completion, Dial, Failed, Finished, Progress, Scores, Started, Text, Vectors
from model_server.scheduling.ticket import Queued

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.jobs import PromptToken, TokenLogit, TokenLogprob
    from model_server.scheduling.ticket import Heard, Ticket

LEAST_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON does not know."""
FINAL = frozenset({500, 504})
"""Failures after which the same request would fail again, or come too late."""


class TextAnswer:
    """One answer in text, gathered event by event; `chunk` gives each event's part of a stream, `whole` all of it."""

    prefix = ""
    whole_object = ""
    chunk_object = ""

    def __init__(self, ticket: Ticket, task: Chat | Completion) -> None:
        self._ticket = ticket
        self._created = int(time.time())
        self._text: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._logprobs_after: list[TokenLogprob] = []
        self._entropies: list[float] = []
        self._wants_logprobs = task.sampling.logprobs is not None
        self._finished: Finished | None = None
        self.tempera: dict[str, Any] = {"job": ticket.job.id, "seed": task.sampling.seed}

    def take(self, event: Heard) -> None:
        """Note what happened. Raises ApiError when the job failed."""
        match event:
            case Started(dropped_turns=dropped):
                self.tempera["dropped_turns"] = dropped
            case Text():
                self._text.append(event.text)
                self._logprobs += event.logprobs
                self._logprobs_after += event.logprobs_after
                self._entropies += event.entropies
            case Dial():
                self.tempera["dial"] = _dial(event)
            case Finished():
                self._finished = event
                self.tempera["seconds"] = round(self._ticket.seconds, 3)
            case Failed():
                raise failure(event)

    def whole(self) -> dict[str, Any]:
        """The response, once `Finished` was taken."""
        reason = self._finished.reason if self._finished else None
        after = self._after(self._logprobs_after, self._entropies)
        choice = self._choice("".join(self._text), self._logprobs, reason)
        return self._envelope(self.whole_object, [choice]) | {"usage": self.usage(), "tempera": self.tempera | after}

    def chunk(self, event: Heard, *, progress: bool) -> dict[str, Any] | None:
        """What a stream tells of an event that was taken; None when that is nothing."""
        after: dict[str, Any] = {}
        match event:
            case Started():
                choice = self._part("", (), None, first=True)
            case Text(text=text, logprobs=logprobs) if text or logprobs:
                after = self._after(event.logprobs_after, event.entropies)
                choice = self._part(text, logprobs, None)
            case Finished(reason=reason):
                choice = self._part("", (), reason)
            case Queued(place, eta_s) if progress:
                return self._aside({"queue": {"place": place, "eta_s": eta_s}})
            case Progress(step=step, steps=steps) if progress:
                return self._aside({"step": step, "steps": steps})
            case _:
                return None
        return self._envelope(self.chunk_object, [choice]) | {"tempera": self.tempera | after}

    def usage_chunk(self) -> dict[str, Any]:
        """The last chunk of a stream that was asked to include the usage."""
        return self._envelope(self.chunk_object, []) | {"usage": self.usage(), "tempera": self.tempera}

    def usage(self) -> dict[str, Any]:
        """How many tokens were read, and of these taken from the cache, and written."""
        end = self._finished or Finished(self._ticket.job.id)
        return {
            "prompt_tokens": end.prompt_tokens,
            "completion_tokens": end.completion_tokens,
            "total_tokens": end.prompt_tokens + end.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": end.cached_tokens},
        }

    def _after(self, logprobs: Sequence[TokenLogprob], entropies: Sequence[float]) -> dict[str, Any]:
        return {"logprobs_after": self._listed(logprobs), "entropy": list(entropies)} if logprobs else {}

    def _aside(self, news: dict[str, Any]) -> dict[str, Any]:
        return self._envelope(self.chunk_object, []) | {"tempera": self.tempera | news}

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.prefix + self._ticket.job.id,
            "object": kind,
            "created": self._created,
            "model": self._ticket.job.model,
            "choices": choices,
        }

    def _listed(self, logprobs: Sequence[TokenLogprob]) -> Any:
        """Log-probabilities in the form of this route."""
        raise NotImplementedError

    def _choice(self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None) -> dict[str, Any]:
        raise NotImplementedError

    def _part(
        self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None, *, first: bool = False
    ) -> dict[str, Any]:
        raise NotImplementedError


class ChatAnswer(TextAnswer):
    """The answer of /v1/chat/completions."""

    prefix = "chatcmpl-"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def _choice(self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": 0, "message": message, "logprobs": self._shown(logprobs), "finish_reason": reason}

    def _part(
        self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None, *, first: bool = False
    ) -> dict[str, Any]:
        delta = {"role": "assistant", "content": ""} if first else {"content": text} if reason is None else {}
        return {
            "index": 0,
            "delta": delta,
            "logprobs": self._shown(logprobs) if logprobs else None,
            "finish_reason": reason,
        }

    def _shown(self, logprobs: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        return {"content": self._listed(logprobs), "refusal": None} if self._wants_logprobs else None

    def _listed(self, logprobs: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
        return [_detail(token) | {"top_logprobs": list(map(_detail, token.top))} for token in logprobs]


class CompletionAnswer(TextAnswer):
    """The answer of /v1/completions, with log-probabilities in their older form."""

    prefix = "cmpl-"
    whole_object = "text_completion"
    chunk_object = "text_completion"

    def __init__(self, ticket: Ticket, task: Chat | Completion) -> None:
        super().__init__(ticket, task)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._characters = 0
        self._offsets: list[int] = []

    def take(self, event: Heard) -> None:
        """As for any text; notes where in it each token begins, too."""
        super().take(event)
        if isinstance(event, Text):
            for token in event.logprobs:
                self._offsets.append(self._characters)
                self._characters += 0 if token.special else len(self._decoder.decode(token.bytes))

    def chunk(self, event: Heard, *, progress: bool) -> dict[str, Any] | None:
        """As for any text, but without the opening chunk that a chat's role needs."""
        return None if isinstance(event, Started) else super().chunk(event, progress=progress)

    def _choice(self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None) -> dict[str, Any]:
        columns = self._listed(logprobs) if self._wants_logprobs else None
        return {"index": 0, "text": text, "logprobs": columns, "finish_reason": reason}

    def _part(
        self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None, *, first: bool = False
    ) -> dict[str, Any]:
        return self._choice(text, logprobs, reason) if logprobs else self._choice(text, (), reason) | {"logprobs": None}

    def _listed(self, logprobs: Sequence[TokenLogprob]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        # Of a stream these are the tokens that were taken last, and else all of them.
        for token, offset in zip(logprobs, self._offsets[-len(logprobs) :], strict=False):
            columns["tokens"].append(_legacy_name(token))
            columns["token_logprobs"].append(_finite(token.logprob))
            columns["top_logprobs"].append(
                {_legacy_name(other): _finite(other.logprob) for other in (*token.top, token)}
            )
            columns["text_offset"].append(offset)
        return columns


def failure(event: Failed) -> ApiError:
    """The error that a failed job is answered with."""
    return ApiError(
        event.status,
        event.message,
        code=event.code,
        param=event.param,
        retry_after=RETRY_AFTER_SECONDS if event.status == 503 else None,
        final=event.status in FINAL,
    )


def embeddings(ticket: Ticket, found: Vectors, end: Finished, *, packed: bool) -> dict[str, Any]:
    """The response of /v1/embeddings; `packed` vectors are base64 of little-endian float32."""

    def shown(vector: tuple[float, ...]) -> str | list[float]:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if packed else list(vector)

    return {
        "object": "list",
        "model": ticket.job.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": shown(vector)}
            for index, vector in enumerate(found.vectors)
        ],
        "usage": {"prompt_tokens": end.prompt_tokens, "total_tokens": end.prompt_tokens},
        "tempera": {"job": ticket.job.id, "seconds": round(ticket.seconds, 3)},
    }


CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""All of OpenAI's, which clients expect; those that a model does not tell apart have the probability 0."""
FLAGGED = 0.5
"""How probable it has to be that something is wrong with a text."""


def moderations(ticket: Ticket, found: Scores) -> dict[str, Any]:
    """The response of /v1/moderations. A flagged text is in its most probable category, if in no other one."""
    results = []
    for row in found.scores:
        scores = dict.fromkeys(CATEGORIES, 0.0) | dict(zip(found.categories, row, strict=True))
        flagged, worst = sum(row) >= FLAGGED, max(row)
        categories = {name: flagged and score > 0 and score >= min(FLAGGED, worst) for name, score in scores.items()}
        applied = {name: ["text"] for name in scores}
        results.append(
            {
                "flagged": flagged,
                "categories": categories,
                "category_scores": scores,
                "category_applied_input_types": applied,
            }
        )
    return {
        "id": f"modr-{ticket.job.id.removeprefix('job_')}",
        "model": ticket.job.model,
        "results": results,
        "tempera": {"job": ticket.job.id, "seconds": round(ticket.seconds, 3)},
    }


def _dial(event: Dial) -> dict[str, Any]:
    return {
        "tokens": list(map(_logit, event.tokens)),
        "temperatures": event.temperatures,
        "log_sum_exp": event.log_sum_exp,
        "entropy": event.entropy,
        "drawn": _logit(event.drawn),
        "prompt": [{"id": token.id, "bytes": list(token.bytes)} | _marked(token) for token in event.prompt],
    }


def _logit(token: TokenLogit) -> dict[str, Any]:
    named = {"token": token.text, "id": token.id, "bytes": list(token.bytes), "logit": token.logit}
    return named | {"after": token.after} | _marked(token)


def _detail(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.text, "bytes": list(token.bytes), "logprob": _finite(token.logprob)} | _marked(token)


def _marked(token: TokenLogprob | TokenLogit | PromptToken) -> dict[str, bool]:
    return {"special": True} if token.special else {}


def _legacy_name(token: TokenLogprob) -> str:
    """The token's text, or, for a part of a character, its bytes as OpenAI writes them."""
    try:
        return token.bytes.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.bytes)


def _finite(logprob: float) -> float:
    return max(logprob, LEAST_LOGPROB)
