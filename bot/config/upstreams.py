"""The sections `[[upstreams]]`: servers by others that speak OpenAI's format, beside the model server."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, field_validator

from bot.config.sections import LOOPBACK, ConfigSection, Url

TASKS = ("chat", "images", "embeddings", "moderations", "vision")
"""What models of an upstream can be named for; those for “vision” are models for chat that read pictures."""


Kind = Literal["", "ollama", "llama.cpp", "vllm", "lmstudio", "litellm"]
OptionalField = Literal[
    "add_generation_prompt",
    "continue_final_message",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "min_p",
    "response_format",
    "seed",
    "stream_options",
    "temperature",
    "top_logprobs",
    "top_p",
]
"""Fields that a request can do without."""


def _check_variable(name: str) -> str:
    if name and not (name.isidentifier() and name.isascii()):
        raise ValueError("it must be the name of an environment variable that holds the key, not the key itself")
    return name


class UpstreamSection(ConfigSection):
    """A server by others, and which of its models are used for what."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")
    url: Url
    """The address before “/chat/completions”; “/v1” is added to a host alone."""
    key_variable: Annotated[str, AfterValidator(_check_variable)] = ""
    """The environment variable that holds the key; it may stand in `.env`."""
    models: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """The names of its models by task; empty to ask it which there are, and to tell the tasks by their names."""
    local: bool | None = None
    """Whether it runs on machines of whoever runs the bot; unless said, that is so for this machine alone."""
    at_once: int = Field(default=4, ge=1, le=1000)
    """How many requests it gets at once; others wait in a queue that is fair between people."""
    tokens_a_minute: int = Field(default=0, ge=0)
    """How many tokens it gets and gives in a minute; 0 for no limit."""
    kind: Kind = ""
    """What kind of server it is; empty to tell it by its list of models."""
    leave_out: tuple[OptionalField, ...] = ()
    """Fields of requests that it is not sent, since it refuses them."""
    system_turn: bool = True
    """Whether its models take a turn of the system; without, its words stand before the first question."""
    _key: SecretStr = PrivateAttr(default=SecretStr(""))

    @field_validator("models")
    @classmethod
    def _check_tasks(cls, models: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for task in models:
            if task not in TASKS:
                raise ValueError(f"there is no task “{task}”; there are {', '.join(TASKS)}")
        return models

    @property
    def key(self) -> str:
        """The key; "" if none is set."""
        return self._key.get_secret_value()

    def set_key(self, key: str) -> None:
        """Set the key that the environment holds."""
        self._key = SecretStr(key.strip())

    @property
    def base(self) -> str:
        """The address before “/chat/completions”."""
        return self.url if urlsplit(self.url).path.strip("/") else f"{self.url}/v1"

    @property
    def is_local(self) -> bool:
        """True if it runs on machines of whoever runs the bot."""
        return (urlsplit(self.url).hostname in LOOPBACK) if self.local is None else self.local
