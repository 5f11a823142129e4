"""The dialects of OpenAI's format: what each kind of server takes, as its makers document it, and how it is recognised.

What else a server does not take, the operator says in the configuration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.config.upstreams import Kind
    from bot.core.errors import ModelError
    from bot.core.model_events import Turn

CONTINUE = "continue_final_message"
NOT_OPENAI = frozenset({"min_p", CONTINUE, "add_generation_prompt"})
"""Fields that we send and OpenAI's own format does not have."""
UNCHOSEN = frozenset({"logprobs", "response_format", "seed", "stream_options", "top_logprobs"})
"""Fields that an answer can do without, and whose values seldom matter to who asks."""
REFUSAL_STATUSES = frozenset({400, 422})
MOST_LIKELY, FEW_LIKELY = 20, 5
"""How many of the most probable tokens OpenAI's format allows, and how many servers allow that take fewer."""
TOO_LONG = re.compile(
    r"context.?(length|size|window)|maximum.context|exceed\w* the (available|maximum)|too many tokens|too long",
    re.IGNORECASE,
)
"""How servers say that a conversation is too long, for which most have no code of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a server takes. A model server of Tempera (`is_ours`) knows every field that we send.

    `owner` is what its list of models has as `owned_by`, and `created`, if it is not 0, what each model there has. It
    `completes` if /completions may tell the most probable tokens. `blind_status` is how it refuses pictures, if not by
    REFUSAL_STATUSES. `leave_out` are the fields that it is not sent; without a `system_turn`, the words of the system
    stand before the first question.
    """

    owner: str = ""
    created: int = 0
    is_ours: bool = False
    completes: bool = False
    blind_status: int = 0
    leave_out: frozenset[str] = frozenset()
    system_turn: bool = True

    @property
    def goes_on(self) -> bool:
        """True if it goes on with an answer that has begun."""
        return CONTINUE not in self.leave_out

    def simpler(self, error: ModelError, sent: Mapping[str, Any]) -> Self | None:
        """Return what to try after a refusal of what was `sent`: the same without UNCHOSEN fields; None if it had none.

        The status alone decides, since the words of refusals are each server's own. Nothing of it is remembered: a
        refusal may have had other reasons.
        """
        if self.is_ours or error.status not in REFUSAL_STATUSES or not sent.keys() & UNCHOSEN:
            return None
        return replace(self, leave_out=self.leave_out | UNCHOSEN)

    def place_system(self, turns: Sequence[Turn]) -> Sequence[Turn]:
        """Return turns as the server takes them: if none of the system, its words stand before the first question."""
        if self.is_ours:
            return turns
        system = "\n\n".join(turn.content for turn in turns if turn.role == "system" and turn.content)
        others = [turn for turn in turns if turn.role != "system"]
        if not system or not others:
            return others or turns
        if self.system_turn:
            return turns
        return [replace(others[0], content=f"{system}\n\n{others[0].content}"), *others[1:]]

    def adapt(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request as the server takes it."""
        adapted = {name: value for name, value in body.items() if name not in self.leave_out}
        if "logprobs" not in adapted:
            adapted.pop("top_logprobs", None)
        if "max_tokens" in body and "max_tokens" not in adapted and "max_completion_tokens" not in self.leave_out:
            # OpenAI's newer name of the same limit.
            adapted["max_completion_tokens"] = body["max_tokens"]
        return adapted


TEMPERA = Dialect(is_ours=True, completes=True)
KINDS: Mapping[Kind, Dialect] = {
    # docs.ollama.com, OpenAI compatibility: the fields it lists; it goes on with a last turn of the assistant.
    "ollama": Dialect(owner="library", leave_out=frozenset({"min_p"})),
    # README of tools/server in llama.cpp's repository.
    "llama.cpp": Dialect(owner="llamacpp", completes=True, blind_status=500),
    # docs.vllm.ai, OpenAI-Compatible Server: sampling and extra parameters.
    "vllm": Dialect(owner="vllm", completes=True),
    # lmstudio.ai, OpenAI compatibility endpoints: the payload parameters it lists.
    "lmstudio": Dialect(owner="organization_owner", leave_out=frozenset({"min_p"})),
    # docs.litellm.ai: what OpenAI's format does not have is passed on to servers that may refuse it. Its list says of
    # each model that it is OpenAI's and was made at one moment (DEFAULT_MODEL_CREATED_AT_TIME), as no other list does.
    "litellm": Dialect(owner="openai", created=1677610602, leave_out=frozenset({"min_p"})),
    "": Dialect(completes=True, leave_out=NOT_OPENAI),
}
"""The kinds of servers; "" is any other one, which gets OpenAI's own format alone."""


def recognise(listed: Mapping[str, Any]) -> Kind:
    """Return the kind of a server by its list of models."""
    owners = {str(model.get("owned_by")) for model in listed["data"]}
    for kind, dialect in KINDS.items():
        if dialect.owner in owners and (
            not dialect.created or all(model.get("created") == dialect.created for model in listed["data"])
        ):
            return kind
    return ""


def is_too_long(error: ModelError) -> bool:
    """Return whether a request was refused because the model cannot read so much."""
    # Some servers say so in a stream that has begun well.
    return error.status in (0, 400, 413, 422) and bool(TOO_LONG.search(error.detail))
