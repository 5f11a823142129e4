"""Requests in OpenAI's formats, validated and turned into tasks. Requests for images are in `image_requests`.

Unknown fields are ignored, so that newer clients go on working; known fields that would change the answer in a way
that this server does not support are refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from http_server.wire import new_seed
from model_server.errors import invalid_value
from model_server.jobs import Chat, ChatTurn, Completion, Embed, Moderate, Sampling

NonEmpty = Annotated[str, StringConstraints(min_length=1)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Truncation = Literal["auto", "disabled"]
LEGACY_MAX_TOKENS = 16
"""The length of an answer on OpenAI's older route if the request names no limit."""


class ApiRequest(BaseModel):
    """The fields that all requests share."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    neutral_values: ClassVar[dict[str, tuple[Any, ...]]] = {}
    """OpenAI's fields that are not supported, each with the values that change nothing (None never does)."""

    model: NonEmpty
    user: Annotated[str, StringConstraints(max_length=256)] | None = None
    deadline_s: Annotated[float, Field(gt=0, le=86400)] | None = None
    """This server's own field: the request fails if it has not been answered in full after so many seconds."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported_fields(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, neutral in cls.neutral_values.items():
                value = data.get(name)
                # Compared with its type, because True == 1.
                if value is not None and (type(value), value) not in [(type(known), known) for known in neutral]:
                    raise ValueError(f"`{name}` is not supported here; please leave it out.")
        return data


class StreamOptions(BaseModel):
    """The extra content of a stream. `include_progress` is this server's own field."""

    model_config = ConfigDict(strict=True, frozen=True)

    include_usage: bool | None = None
    include_progress: bool | None = None


class _BaseTextRequest(ApiRequest):
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """0 keeps all tokens, as None does."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Count | None = None
    stop: NonEmpty | Annotated[list[NonEmpty], Field(max_length=16)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    dial: bool | None = None
    """This server's own field: write nothing, and answer with the distribution of the next token."""

    @model_validator(mode="after")
    def _check_stream_options(self) -> _BaseTextRequest:
        if self.stream_options and not self.stream:
            raise ValueError("`stream_options` only has a meaning with `stream`: true.")
        return self

    @model_validator(mode="after")
    def _check_dial(self) -> _BaseTextRequest:
        if self.dial and self.stream:
            raise ValueError("`dial` is answered as a whole; please leave `stream` out.")
        if self.dial and self.wants_logprobs:
            raise ValueError("`dial` writes no tokens that could have `logprobs`; please leave one of the two out.")
        return self

    @property
    def wants_logprobs(self) -> bool:
        """True if the written tokens shall come with their log-probabilities."""
        raise NotImplementedError

    def to_sampling(self, *, max_tokens: int | None, logprobs: int | None) -> Sampling:
        """Return the sampling parameters of this request, with a new random seed if it names none."""
        return Sampling(
            seed=new_seed() if self.seed is None else self.seed,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=self.top_k or None,
            min_p=self.min_p or 0.0,
            max_tokens=max_tokens,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
            logprobs=logprobs,
        )


class TextPart(BaseModel):
    """A text part of a message. Images and audio are not supported."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One turn of a chat. Newer clients call the role `system` `developer`."""

    model_config = ConfigDict(strict=True, frozen=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _check_text_only(cls, content: Any) -> Any:
        if isinstance(content, list) and any(isinstance(part, dict) and part.get("type") != "text" for part in content):
            raise ValueError("`content` may only have parts of type `text`; this model reads nothing else.")
        return content

    def to_turn(self) -> ChatTurn:
        """Return the turn as engines read it."""
        parts = self.content if isinstance(self.content, list) else []
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in parts)
        return ChatTurn("system" if self.role == "developer" else self.role, text)


class ChatRequest(_BaseTextRequest):
    """POST /v1/chat/completions."""

    neutral_values = {
        "n": (1,),
        "tools": ([],),
        "functions": ([],),
        "tool_choice": ("none", "auto"),
        "function_call": ("none", "auto"),
        "response_format": ({"type": "text"},),
        "frequency_penalty": (0, 0.0),
        "presence_penalty": (0, 0.0),
        "logit_bias": ({},),
        "modalities": (["text"],),
        "audio": (),
        "prediction": (),
        "web_search_options": (),
    }

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    truncation: Truncation | None = None
    continue_final_message: bool | None = None
    """As in other servers: continue the last message, which is an assistant's, instead of answering it."""

    @model_validator(mode="after")
    def _check_continued_message(self) -> ChatRequest:
        if self.continue_final_message and self.messages[-1].role != "assistant":
            raise ValueError(
                "`continue_final_message` goes on with a last message of the role assistant, "
                f"but the last one is a {self.messages[-1].role}'s."
            )
        return self

    @model_validator(mode="after")
    def _check_top_logprobs(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("`top_logprobs` only has a meaning with `logprobs`: true.")
        return self

    @property
    def wants_logprobs(self) -> bool:
        return bool(self.logprobs)

    def to_task(self) -> Chat:
        """Return the task for the engine."""
        return Chat(
            messages=tuple(message.to_turn() for message in self.messages),
            sampling=self.to_sampling(
                max_tokens=self.max_completion_tokens or self.max_tokens,
                logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            ),
            truncation=self.truncation or "disabled",
            continue_final=bool(self.continue_final_message),
            dial=bool(self.dial),
        )


class CompletionRequest(_BaseTextRequest):
    """POST /v1/completions."""

    neutral_values = {
        "n": (1,),
        "best_of": (1,),
        "echo": (False,),
        "suffix": ("",),
        "frequency_penalty": (0, 0.0),
        "presence_penalty": (0, 0.0),
        "logit_bias": ({},),
    }

    prompt: (
        str
        | Annotated[list[int], Field(min_length=1)]
        | Annotated[list[str], Field(min_length=1, max_length=1)]
        | Annotated[list[list[int]], Field(min_length=1, max_length=1)]
    )
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @field_validator("prompt", mode="before")
    @classmethod
    def _check_one_prompt(cls, prompt: Any) -> Any:
        several = isinstance(prompt, list) and len(prompt) > 1 and not all(type(part) is int for part in prompt)
        if several or not prompt:
            raise ValueError("`prompt` must be one text, or the token ids of one.")
        return prompt

    @property
    def wants_logprobs(self) -> bool:
        return self.logprobs is not None

    def to_task(self) -> Completion:
        """Return the task for the engine."""
        prompt = self.prompt
        if isinstance(prompt, list) and isinstance(prompt[0], str | list):
            prompt = prompt[0]
        # A dial writes nothing, so it needs no room behind its prompt.
        limit = None if self.dial else self.max_tokens or LEGACY_MAX_TOKENS
        return Completion(
            prompt=prompt if isinstance(prompt, str) else tuple(token for token in prompt if isinstance(token, int)),
            sampling=self.to_sampling(max_tokens=limit, logprobs=self.logprobs),
            dial=bool(self.dial),
        )


class EmbeddingRequest(ApiRequest):
    """POST /v1/embeddings."""

    neutral_values = {"dimensions": ()}

    input: str | Annotated[list[str], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] | None = None

    def to_task(self) -> Embed:
        """Return the task for the engine."""
        return Embed(texts=(self.input,) if isinstance(self.input, str) else tuple(self.input))


class ModerationRequest(ApiRequest):
    """POST /v1/moderations. Without a model, the server's first moderation model answers, as at OpenAI."""

    model: str = ""
    input: str | Annotated[list[str], Field(min_length=1, max_length=256)]

    def to_task(self) -> Moderate:
        """Return the task for the engine."""
        return Moderate(texts=(self.input,) if isinstance(self.input, str) else tuple(self.input))


RequestT = TypeVar("RequestT", bound=ApiRequest)


def parse(kind: type[RequestT], body: bytes) -> RequestT:
    """Return the request in `body`. Raises ApiError (400) with a sentence that names the field and its valid values."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        message, param = _explain(error, kind)
        raise invalid_value(message, param) from None


EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "model_type": "an object",
    "dict_type": "an object",
    "finite_number": "a finite number",
}
BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def _explain(error: ValidationError, kind: type[ApiRequest]) -> tuple[str, str | None]:
    """Return one sentence about the first problem, and the field that it is about."""
    problems = error.errors(include_url=False)
    # Of the branches of a union, the one that got furthest is most likely meant, and a limit says more than a type.
    field = [other for other in problems if other["loc"][:1] == problems[0]["loc"][:1]]
    problem = max(field, key=lambda other: (other["type"] not in EXPECTED, len(other["loc"])))
    what, given, context = problem["type"], problem["input"], problem.get("ctx", {})
    names = [str(part) for part in problem["loc"] if not _is_branch(part, kind)]
    param = ".".join(names) or None
    if what == "json_invalid":
        return f"The body is not valid JSON: {context['error']}.", None
    if what == "value_error":
        sentence = str(context["error"])
        quoted = re.match(r"`(\w+)`", sentence)
        return sentence, param or (quoted[1] if quoted else None)
    if param is None:
        return "The body must be a JSON object.", None
    if what == "missing":
        return f"`{param}` is missing.", param
    if what in BOUNDS:
        key, words = BOUNDS[what]
        rule = f"must be {words} {context[key]:.10g}" if abs(context[key]) < 2**53 else "must fit into 64 bits"
    elif what == "literal_error":
        rule = f"must be {context['expected'].replace(chr(39), '')}"
    elif what == "string_too_short":
        return f"`{param}` must not be empty.", param
    elif what == "string_too_long":
        return f"`{param}` must have at most {context['max_length']} characters.", param
    elif what in {"too_short", "too_long"}:
        limit = f"at least {context['min_length']}" if what == "too_short" else f"at most {context['max_length']}"
        return f"`{param}` must be a list of {limit}, but {context['actual_length']} were given.", param
    else:
        rule = f"must be {EXPECTED[what]}" if what in EXPECTED else f"is wrong ({problem['msg']})"
    return f"`{param}` {rule}, but {quote_value(given)} was given.", param


def _is_branch(part: int | str, kind: type[ApiRequest]) -> bool:
    """Return whether this part of a path only names a branch of a union, which clients do not know."""
    return part in {"str", "int"} or (
        isinstance(part, str) and part not in kind.model_fields and not part.isidentifier()
    )


def quote_value(value: Any) -> str:
    """Return a value, shortened, as an error sentence quotes it."""
    text = repr(value) if isinstance(value, str) else type(value).__name__ if isinstance(value, dict) else str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
