"""Responses and stream chunks in OpenAI's formats, built from the events of engines.

Everything that OpenAI's formats have no place for is in one object `tempera`: `job` and `seed` always; `dropped_turns`
once the job has started; `seconds` at the end; `queue` {place, eta_s}, or `step` and `steps`, in chunks that only tell
progress; `logprobs_after`, in the form of the choice's log-probabilities, and `entropy`, in nats, of the distribution
that each token was drawn from; `dial` if the request asked for it. Tokens that are not part of the text, such as the
one that ends it, are `special`.
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
    from model_server.scheduling.ticket import Ticket, TicketEvent

MIN_LOGPROB = -9999.0
"""The value for minus infinity, which JSON does not have."""
FINAL_STATUSES = frozenset({500, 504})
"""Statuses after which a retry would fail again, or come too late."""


class TextAnswer:
    """Collects the text of one job event by event and builds the response or the chunks of a stream."""

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

    def add(self, event: TicketEvent) -> None:
        """Collect an event. Raises ApiError if the job failed."""
        match event:
            case Started(dropped_turns=dropped):
                self.tempera["dropped_turns"] = dropped
            case Text():
                self._text.append(event.text)
                self._logprobs += event.logprobs
                self._logprobs_after += event.logprobs_after
                self._entropies += event.entropies
            case Dial():
                self.tempera["dial"] = _dial_fields(event)
            case Finished():
                self._finished = event
                self.tempera["seconds"] = round(self._ticket.run_seconds, 3)
            case Failed():
                raise to_api_error(event)

    def build_response(self) -> dict[str, Any]:
        """Return the response, once `Finished` was added."""
        reason = self._finished.reason if self._finished else None
        after = self._sampled_fields(self._logprobs_after, self._entropies)
        choice = self._whole_choice("".join(self._text), self._logprobs, reason)
        return self._envelope(self.whole_object, [choice]) | {
            "usage": self._build_usage(),
            "tempera": self.tempera | after,
        }

    def build_chunk(self, event: TicketEvent, *, progress: bool) -> dict[str, Any] | None:
        """Return the chunk of a stream for an event that was added; None if it has none."""
        after: dict[str, Any] = {}
        match event:
            case Started():
                choice = self._delta_choice("", (), None, first=True)
            case Text(text=text, logprobs=logprobs) if text or logprobs:
                after = self._sampled_fields(event.logprobs_after, event.entropies)
                choice = self._delta_choice(text, logprobs, None)
            case Finished(reason=reason):
                choice = self._delta_choice("", (), reason)
            case Queued(place, eta_s) if progress:
                return self._progress_chunk({"queue": {"place": place, "eta_s": eta_s}})
            case Progress(step=step, steps=steps) if progress:
                return self._progress_chunk({"step": step, "steps": steps})
            case _:
                return None
        return self._envelope(self.chunk_object, [choice]) | {"tempera": self.tempera | after}

    def build_usage_chunk(self) -> dict[str, Any]:
        """Return the last chunk of a stream that includes the usage."""
        return self._envelope(self.chunk_object, []) | {"usage": self._build_usage(), "tempera": self.tempera}

    def _build_usage(self) -> dict[str, Any]:
        """Return the numbers of tokens read, of these found in the cache, and written."""
        end = self._finished or Finished(self._ticket.job.id)
        return {
            "prompt_tokens": end.prompt_tokens,
            "completion_tokens": end.completion_tokens,
            "total_tokens": end.prompt_tokens + end.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": end.cached_tokens},
        }

    def _sampled_fields(self, logprobs: Sequence[TokenLogprob], entropies: Sequence[float]) -> dict[str, Any]:
        return {"logprobs_after": self._format_logprobs(logprobs), "entropy": list(entropies)} if logprobs else {}

    def _progress_chunk(self, news: dict[str, Any]) -> dict[str, Any]:
        return self._envelope(self.chunk_object, []) | {"tempera": self.tempera | news}

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.prefix + self._ticket.job.id,
            "object": kind,
            "created": self._created,
            "model": self._ticket.job.model,
            "choices": choices,
        }

    def _format_logprobs(self, logprobs: Sequence[TokenLogprob]) -> Any:
        """Return log-probabilities in the form of this route."""
        raise NotImplementedError

    def _whole_choice(self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None) -> dict[str, Any]:
        raise NotImplementedError

    def _delta_choice(
        self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None, *, first: bool = False
    ) -> dict[str, Any]:
        raise NotImplementedError


class ChatAnswer(TextAnswer):
    """Builds the responses of /v1/chat/completions."""

    prefix = "chatcmpl-"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def _whole_choice(self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": 0, "message": message, "logprobs": self._content_logprobs(logprobs), "finish_reason": reason}

    def _delta_choice(
        self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None, *, first: bool = False
    ) -> dict[str, Any]:
        delta = {"role": "assistant", "content": ""} if first else {"content": text} if reason is None else {}
        return {
            "index": 0,
            "delta": delta,
            "logprobs": self._content_logprobs(logprobs) if logprobs else None,
            "finish_reason": reason,
        }

    def _content_logprobs(self, logprobs: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        return {"content": self._format_logprobs(logprobs), "refusal": None} if self._wants_logprobs else None

    def _format_logprobs(self, logprobs: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
        return [_logprob_fields(token) | {"top_logprobs": list(map(_logprob_fields, token.top))} for token in logprobs]


class CompletionAnswer(TextAnswer):
    """Builds the responses of /v1/completions, with log-probabilities in their older form."""

    prefix = "cmpl-"
    whole_object = "text_completion"
    chunk_object = "text_completion"

    def __init__(self, ticket: Ticket, task: Chat | Completion) -> None:
        super().__init__(ticket, task)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._characters = 0
        self._offsets: list[int] = []

    def add(self, event: TicketEvent) -> None:
        """Collect an event, and the offset in the text at which each token begins."""
        super().add(event)
        if isinstance(event, Text):
            for token in event.logprobs:
                self._offsets.append(self._characters)
                self._characters += 0 if token.special else len(self._decoder.decode(token.bytes))

    def build_chunk(self, event: TicketEvent, *, progress: bool) -> dict[str, Any] | None:
        """Return the chunk for an event; unlike a chat, there is no first chunk with the role."""
        return None if isinstance(event, Started) else super().build_chunk(event, progress=progress)

    def _whole_choice(self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None) -> dict[str, Any]:
        columns = self._format_logprobs(logprobs) if self._wants_logprobs else None
        return {"index": 0, "text": text, "logprobs": columns, "finish_reason": reason}

    def _delta_choice(
        self, text: str, logprobs: Sequence[TokenLogprob], reason: str | None, *, first: bool = False
    ) -> dict[str, Any]:
        choice = self._whole_choice(text, logprobs, reason)
        return choice if logprobs else choice | {"logprobs": None}

    def _format_logprobs(self, logprobs: Sequence[TokenLogprob]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        # In a stream these are the tokens that were added last, otherwise all tokens.
        for token, offset in zip(logprobs, self._offsets[-len(logprobs) :], strict=False):
            columns["tokens"].append(_legacy_token_text(token))
            columns["token_logprobs"].append(_clamp_logprob(token.logprob))
            columns["top_logprobs"].append(
                {_legacy_token_text(other): _clamp_logprob(other.logprob) for other in (*token.top, token)}
            )
            columns["text_offset"].append(offset)
        return columns


def to_api_error(event: Failed) -> ApiError:
    """Return the error for a failed job."""
    return ApiError(
        event.status,
        event.message,
        code=event.code,
        param=event.param,
        retry_after=RETRY_AFTER_SECONDS if event.status == 503 else None,
        final=event.status in FINAL_STATUSES,
    )


def build_embeddings(ticket: Ticket, vectors: Vectors, end: Finished, *, packed: bool) -> dict[str, Any]:
    """Return the response of /v1/embeddings; `packed` vectors are base64 of little-endian float32."""

    def encode(vector: tuple[float, ...]) -> str | list[float]:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if packed else list(vector)

    return {
        "object": "list",
        "model": ticket.job.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(vectors.vectors)
        ],
        "usage": {"prompt_tokens": end.prompt_tokens, "total_tokens": end.prompt_tokens},
        "tempera": {"job": ticket.job.id, "seconds": round(ticket.run_seconds, 3)},
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
"""All of OpenAI's categories, which clients expect; categories that a model does not know have the probability 0."""
FLAG_THRESHOLD = 0.5
"""The probability of any category from which a text is flagged."""


def build_moderations(ticket: Ticket, moderated: Scores) -> dict[str, Any]:
    """Return the response of /v1/moderations. A flagged text is at least in its most probable category."""
    results = []
    for row in moderated.scores:
        scores = dict.fromkeys(CATEGORIES, 0.0) | dict(zip(moderated.categories, row, strict=True))
        flagged, worst = sum(row) >= FLAG_THRESHOLD, max(row)
        categories = {
            name: flagged and score > 0 and score >= min(FLAG_THRESHOLD, worst) for name, score in scores.items()
        }
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
        "tempera": {"job": ticket.job.id, "seconds": round(ticket.run_seconds, 3)},
    }


def _dial_fields(event: Dial) -> dict[str, Any]:
    return {
        "tokens": list(map(_logit_fields, event.tokens)),
        "temperatures": event.temperatures,
        "log_sum_exp": event.log_sum_exp,
        "entropy": event.entropy,
        "drawn": _logit_fields(event.drawn),
        "prompt": [{"id": token.id, "bytes": list(token.bytes)} | _special_field(token) for token in event.prompt],
    }


def _logit_fields(token: TokenLogit) -> dict[str, Any]:
    named = {"token": token.text, "id": token.id, "bytes": list(token.bytes), "logit": token.logit}
    return named | {"after": token.after} | _special_field(token)


def _logprob_fields(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.text, "bytes": list(token.bytes), "logprob": _clamp_logprob(token.logprob)} | _special_field(
        token
    )


def _special_field(token: TokenLogprob | TokenLogit | PromptToken) -> dict[str, bool]:
    return {"special": True} if token.special else {}


def _legacy_token_text(token: TokenLogprob) -> str:
    """Return the token's text, or, for a part of a character, its bytes as OpenAI writes them."""
    try:
        return token.bytes.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.bytes)


def _clamp_logprob(logprob: float) -> float:
    return max(logprob, MIN_LOGPROB)
