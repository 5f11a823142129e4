"""What a model of an upstream can do, as far as it is known: from what its server lists, and from what it refuses.

Servers agree on the core of OpenAI's formats and differ in everything else. Some ignore a field that they do not know,
others refuse the whole request and name it. Such a field is left out from then on.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bot.core.errors import ModelError

CONTINUE, IMAGES, SYSTEM = "continue_final_message", "images", "system"
REFUSAL_STATUSES = frozenset({400, 422})
COMPANIONS = {
    "top_logprobs": ("logprobs", "top_logprobs"),
    "logprobs": ("logprobs", "top_logprobs"),
    CONTINUE: (CONTINUE, "add_generation_prompt"),
    "add_generation_prompt": (CONTINUE, "add_generation_prompt"),
}
"""Fields that are of no use without each other."""
OPTIONAL = (
    "response_format",
    "stream_options",
    "top_logprobs",
    "logprobs",
    CONTINUE,
    "add_generation_prompt",
    "min_p",
    "top_p",
    "seed",
    "temperature",
    "max_tokens",
)
"""Fields that a request can do without; longer names stand before those that are a part of them."""
KEPT_SECONDS = 7 * 86400.0
"""How long a refusal counts. After that the field is sent again, since the server may be a newer one by then."""
MOST_LIKELY, FEW_LIKELY = 20, 5
"""How many of the most probable tokens OpenAI's format allows, and how many servers allow that take fewer."""
TOO_LONG = re.compile(
    r"context.?(length|size|window)|maximum.context|exceed\w* the (available|maximum)|too many tokens|too long",
    re.IGNORECASE,
)
OUT_OF_RANGE = re.compile(
    r"(less|greater|larger|smaller) than|at (most|least)|too (large|small|high|low|big)|maximum|minimum|between"
    r"|\brange\b|must be (in|[<>≤≥])|exceed",
    re.IGNORECASE,
)
"""How a server says that it knows a field, and not this value of it."""
MOST = re.compile(r"(?:at most|maximum(?: \w+)?(?: of| is|:)?|less than or equal to|<=|≤)[ `]*(\d+)", re.IGNORECASE)
SHORT_CHARACTERS = 20
ECHOES = frozenset({"input", "body", "request", "url"})
"""What an error may have beside its words: the request, and addresses of explanations."""
CHOSEN = ("temperature", "max_tokens", "max_completion_tokens")
"""Fields whose value somebody has chosen: a server that refuses one value may take another one."""
NO_IMAGES = re.compile(
    r"(image|vision|multimodal)( input)?s? (is|are) not supported|not support (image|vision|multimodal)"
    r"|not a multimodal|mmproj|at most 0 image|supported by certain models|unknown variant `image_url`"
    r"|required for image input|that support image",
    re.IGNORECASE,
)
"""How llama.cpp, vLLM, Ollama, LM Studio and hosted APIs say that a model reads no pictures."""


NO_SYSTEM = re.compile(
    r"system (role|messages?|prompts?) (is |are )?not (supported|allowed)|not support ['\"]?(a |the )?system"
    r"|developer instruction is not enabled|(?<!system message, conversation )roles must alternate",
    re.IGNORECASE,
)
"""How the chat templates of Gemma 2 and of the first Mistral models refuse a turn of the system."""


@dataclass(slots=True)
class Abilities:
    """What one model can do. A model server of Tempera (`is_ours`) knows every field that we send."""

    is_ours: bool
    refused: set[str] = field(default_factory=set)
    """The names of fields that were refused, IMAGES if pictures were, and SYSTEM if turns of the system were."""
    most_likely: int = MOST_LIKELY
    """How many of the most probable tokens may be asked for."""
    max_tokens_field: str = "max_tokens"
    most_tokens: int = 0
    """The longest answer that may be asked for, in tokens; 0 if there is no limit, as far as it is known."""
    learnt_at: float = 0.0
    """When the first of this was learnt, in seconds since 1970; 0 if nothing was."""

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Return what `to_json` described."""
        return cls(
            is_ours=False,
            refused=set(kept["refused"]),
            most_likely=int(kept["most_likely"]),
            max_tokens_field=str(kept["max_tokens_field"]),
            # Earlier versions did not keep it.
            most_tokens=int(kept.get("most_tokens", 0)),
            learnt_at=float(kept["learnt_at"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what was learnt of a model of a server by others as a JSON object."""
        return {
            "refused": sorted(self.refused),
            "most_likely": self.most_likely,
            "max_tokens_field": self.max_tokens_field,
            "most_tokens": self.most_tokens,
            "learnt_at": self.learnt_at,
        }

    @property
    def is_outdated(self) -> bool:
        """True if this was learnt too long ago to be true for certain."""
        return bool(self.learnt_at) and time.time() - self.learnt_at > KEPT_SECONDS

    def refuse(self, *names: str) -> None:
        """Remember that the model does not know these fields, or does not answer at this path."""
        self.refused.update(names)
        self._note()

    def _note(self) -> None:
        self.learnt_at = self.learnt_at or time.time()

    def adapt(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a request without what was refused before."""
        adapted = {name: value for name, value in body.items() if name not in self.refused}
        if "top_logprobs" in adapted:
            adapted["top_logprobs"] = min(adapted["top_logprobs"], self.most_likely)
        if "max_tokens" in adapted:
            if self.most_tokens:
                adapted["max_tokens"] = min(adapted["max_tokens"], self.most_tokens)
            adapted[self.max_tokens_field] = adapted.pop("max_tokens")
        return adapted

    def learn(self, error: ModelError, sent: dict[str, Any]) -> bool:
        """Remember what the refusal of a request says that the model cannot do; return whether there was anything."""
        if self.is_ours or error.status not in REFUSAL_STATUSES:
            return False
        words = _read_words(error.detail, sent)
        has_system = any(message["role"] == "system" for message in sent.get("messages", ()))
        if has_system and SYSTEM not in self.refused and NO_SYSTEM.search(words):
            self.refuse(SYSTEM)
            return True
        if OUT_OF_RANGE.search(words) and any(name in sent and name in words for name in CHOSEN):
            return self._learn_limit(words, sent)
        if "max_tokens" in sent and "max_completion_tokens" in words:
            self.max_tokens_field = "max_completion_tokens"
            self._note()
            return True
        name = next((name for name in OPTIONAL if name in sent and re.search(rf"\b{name}\b", words)), None)
        if name is None:
            return False
        if name in COMPANIONS["logprobs"] and sent.get("top_logprobs", 0) > FEW_LIKELY:
            self.most_likely = FEW_LIKELY
            self._note()
        else:
            self.refuse(*COMPANIONS.get(name, ()), name)
        return True

    def _learn_limit(self, words: str, sent: Mapping[str, Any]) -> bool:
        """Remember how long an answer may be, if a refusal says so of one that may not be as long as was asked for."""
        asked = sent.get(self.max_tokens_field, 0)
        limits = [int(limit) for limit in MOST.findall(words) if 0 < int(limit) < asked]
        if "temperature" in words or not limits:
            return False
        self.most_tokens = max(limits)
        self._note()
        return True


def _read_words(detail: str, sent: Mapping[str, Any]) -> str:
    """Return the words of a refusal without what they repeat of the request, in which somebody may name any field."""
    try:
        words = " ".join(_find_texts(json.loads(detail)))
    except ValueError:
        words = detail
    asked = [message.get("content") for message in sent.get("messages", ())] + [sent.get("prompt")]
    for text in asked:
        # A short one may be a part of the server's own words.
        if isinstance(text, str) and len(text) > SHORT_CHARACTERS:
            words = words.replace(text, " ")
    return words


def _find_texts(told: Any) -> Iterator[str]:
    if isinstance(told, str):
        yield told
    elif isinstance(told, dict):
        for name, value in told.items():
            if name not in ECHOES:
                yield name
                yield from _find_texts(value)
    elif isinstance(told, list):
        for value in told:
            yield from _find_texts(value)


def is_too_long(error: ModelError) -> bool:
    """Return whether a request was refused because the model cannot read so much."""
    # Some servers say so in a stream that has begun well.
    return error.status in (0, 400, 413, 422) and bool(TOO_LONG.search(error.detail))
