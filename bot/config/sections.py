"""The sections of the configuration, and the types of their values."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from bot.config.shards import ShardPlan, parse_shards
from bot.core.errors import ConfigError

CONFIG_FOLDER = Path(__file__).parents[2] / "config"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MIN_JOIN_CODE_CHARS = 12
"""The least length of a join code. A right code is accepted however many wrong ones came before, so nothing but its
length keeps strangers from guessing it. At 5,000 tries a second, about twice what the web chat answers, the chance that
a random code of this length is found within a year is 1 in 5,000,000; of one of 8 characters, 1 in 5.
"""
CODE_CHARS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Characters of random codes: none looks like another one."""
WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


def _check_address(url: str, *beginnings: str) -> str:
    if not url.startswith(beginnings):
        raise ValueError(f"it must begin with {' or '.join(beginnings)}")
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete = False
    if not is_complete:
        raise ValueError(
            f"it must name a host, and behind a colon a port up to 65535, as {beginnings[0]}127.0.0.1:80 does"
        )
    return url


def _check_http_url(url: str) -> str:
    return _check_address(url, "http://", "https://").rstrip("/")


def _check_optional_http_url(url: str) -> str:
    return _check_http_url(url) if url else ""


def _none_if_blank(value: Any) -> Any:
    """Take an empty variable for none: as a path, it would be the folder in which the bot was started."""
    return None if isinstance(value, str) and not value.strip() else value


def _append_slash(url: str) -> str:
    return f"{url}/"


def _trim_secret(secret: SecretStr) -> SecretStr:
    return SecretStr(secret.get_secret_value().strip())


def _check_websocket_url(url: str) -> str:
    return _check_address(url, "ws://", "wss://") if url else ""


def http_address(host: str, port: int) -> str:
    """Return the address of what listens there; an IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def random_join_code() -> str:
    """Return a join code that nobody can guess, in groups of four characters."""
    return "-".join("".join(secrets.choice(CODE_CHARS) for _ in range(4)) for _ in range(MIN_JOIN_CODE_CHARS // 4))


MOST_DAYS = 36_500
"""A hundred years, for those who keep everything. There is no date a million days ago."""
Folder = Annotated[Path, AfterValidator(Path.expanduser)]
OptionalFolder = Annotated[Folder | None, BeforeValidator(_none_if_blank)]
Url = Annotated[str, AfterValidator(_check_http_url)]
PublicUrl = Annotated[str, AfterValidator(_check_optional_http_url)]
BaseUrl = Annotated[Url, AfterValidator(_append_slash)]
Secret = Annotated[SecretStr, AfterValidator(_trim_secret)]
SocketUrl = Annotated[str, AfterValidator(_check_websocket_url)]
Port = Annotated[int, Field(ge=0, le=65535)]
Snowflake = Annotated[int, Field(gt=0, lt=2**63)]


class ConfigSection(BaseModel):
    """A table of the configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelServerSection(ConfigSection):
    """The address of the model server, and the keys that are sent to it as bearer tokens."""

    enabled: bool = True
    """Whether there is one at all; without it, upstreams do all the work."""
    url: Url = "http://127.0.0.1:8400"
    api_key: SecretStr = SecretStr("")
    trusted_key: SecretStr = SecretStr("")
    """The key by which a server that requires none recognises this bot, and trusts the user names that it sends."""
    verify: bool = True
    """Whether a server on this machine must prove that it knows the key, as servers by others cannot."""

    @property
    def key(self) -> str:
        """The key that is sent to the server; "" if none is set."""
        return self.api_key.get_secret_value() or self.trusted_key.get_secret_value()

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port of the URL."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_local(self) -> bool:
        """True if the address is on this machine, so that the bot may start the server."""
        return self.address[0] in LOOPBACK

    def with_url(self, url: str) -> ModelServerSection:
        """Return this section, enabled, with another address. Raises ConfigError if `url` is not an address."""
        try:
            return ModelServerSection.model_validate({**self.model_dump(), "url": url, "enabled": True})
        except ValidationError:
            raise ConfigError(f"“{url}” is not an address like http://127.0.0.1:8400.") from None


class PluginsSection(ConfigSection):
    """The plugins to load: the built-in ones by name and in this order, then those of `folder`."""

    enabled: tuple[str, ...] = (
        "ask",
        "explain",
        "imagine",
        "face",
        "duel",
        "lab",
        "inspect",
        "defaults",
        "help",
        "why",
        "status",
        "config",
        "audit",
        "stats",
        "moderation",
        "privacy",
        "plugins",
    )
    folder: OptionalFolder = None
    entry_points: bool = True


class ExplainSection(ConfigSection):
    """The lessons of /explain."""

    lessons: tuple[Folder, ...] = (Path("lessons/what-is-generative-ai.md"),)
    """Files. A relative path is looked up in the working directory, beside the file that names it, and in config/."""
    embeddings: str = ""
    """The embedding model; empty for the first one that the model server offers."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The paths of the lessons, which may be missing."""
        return tuple(path if path.exists() else CONFIG_FOLDER / path for path in self.lessons)


class WebSection(ConfigSection):
    """The built-in web chat."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 8080
    url: PublicUrl = ""
    """The address for links to it from other platforms; empty for that of `host` and `port`."""
    join_code: Secret = SecretStr("")
    names: tuple[str, ...] = ()
    """Further host names of the page, such as that of a proxy before it."""
    proxies: tuple[IPvAnyNetwork, ...] = ()
    """Addresses and networks of proxies, whose headers tell where a request really comes from; others' are ignored."""

    @field_validator("join_code")
    @classmethod
    def _check_length(cls, code: SecretStr) -> SecretStr:
        if code and len(code.get_secret_value()) < MIN_JOIN_CODE_CHARS:
            reason = "so that nobody can guess it; here is a random one"
            raise ValueError(
                f"it must have at least {MIN_JOIN_CODE_CHARS} characters, {reason}: “{random_join_code()}”"
            )
        return code

    @property
    def address(self) -> str:
        """The address for links to it; "" if there is no web chat."""
        return (self.url or self.address_at(self.port)) if self.enabled else ""

    def address_at(self, port: int) -> str:
        """Return the address at `port`, with 127.0.0.1 as host if the chat listens on all addresses of this machine."""
        return http_address("127.0.0.1" if self.host in WILDCARDS else self.host, port)


class DiscordSection(ConfigSection):
    """The bot on Discord; an empty token switches it off."""

    token: SecretStr = SecretStr("")
    api_base: Url = "https://discord.com/api/v10"
    gateway_url: SocketUrl = ""
    """The address that events come from; empty for the one that the API names."""
    message_content: bool = False
    """True to request the privileged intent Message Content, which the developer portal must allow."""
    sync: Literal["global", "guilds", "off"] = "global"
    """Where commands are registered: everywhere, only in `guilds`, or not by this process."""
    guilds: tuple[Snowflake, ...] = Field(default=(), validate_default=True)
    shards: str = ""
    """The shards of this process, as “0-3/8”, or “auto/8” to divide 8 with other processes; empty for all there are."""

    @property
    def shard_plan(self) -> ShardPlan | None:
        """The shards of this process; None if it serves all that Discord recommends."""
        return parse_shards(self.shards) if self.shards else None

    @field_validator("shards")
    @classmethod
    def _check_shards(cls, shards: str) -> str:
        if shards:
            parse_shards(shards)
        return shards

    @field_validator("guilds")
    @classmethod
    def _require_guilds(cls, guilds: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if info.data.get("sync") == "guilds" and not guilds:
            raise ValueError("with sync = “guilds” it must list the ids of servers, such as [123456789012345678]")
        return guilds


class SlackSection(ConfigSection):
    """The bot on Slack; without a bot token or a client id it is off. With an app token it uses Socket Mode, else HTTP.

    The bot token is that of one workspace. With a client id and its secret, others can add the bot to theirs.
    """

    bot_token: Secret = SecretStr("")
    client_id: str = ""
    client_secret: Secret = Field(default=SecretStr(""), validate_default=True)
    app_token: Secret = Field(default=SecretStr(""), validate_default=True)
    signing_secret: Secret = Field(default=SecretStr(""), validate_default=True)
    host: str = "127.0.0.1"
    port: Port = 3000
    """The port for Slack's requests without Socket Mode, and for the pages that add the bot to a workspace."""
    api_base: BaseUrl = "https://slack.com/api/"

    @property
    def is_configured(self) -> bool:
        """True if there is a bot token, or if workspaces can add the bot."""
        return bool(self.bot_token.get_secret_value() or self.client_id)

    @property
    def uses_sockets(self) -> bool:
        """True if events come through a connection that the bot opens (Socket Mode), not as HTTP requests."""
        return bool(self.app_token.get_secret_value())

    @property
    def listens(self) -> bool:
        """True if the bot listens on the port: for Slack's requests, or for those who add it to a workspace."""
        return bool(self.client_id) or not self.uses_sockets

    @field_validator("bot_token", "app_token")
    @classmethod
    def _check_prefix(cls, token: SecretStr, info: ValidationInfo) -> SecretStr:
        own, other = ("xoxb-", "xapp-") if info.field_name == "bot_token" else ("xapp-", "xoxb-")
        if token and not token.get_secret_value().startswith(own):
            is_swapped = token.get_secret_value().startswith(other)
            hint = f"; the one that begins with {other} belongs in the other variable" if is_swapped else ""
            raise ValueError(f"it must begin with {own}{hint}")
        return token

    @field_validator("client_secret")
    @classmethod
    def _check_client(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        if bool(secret) != bool(info.data.get("client_id")):
            raise ValueError("it and TEMPERA_SLACK__CLIENT_ID need each other, and one of them is empty")
        return secret

    @field_validator("app_token", "signing_secret")
    @classmethod
    def _check_companions(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        if secret and info.data.get("bot_token") == SecretStr("") and not info.data.get("client_id"):
            raise ValueError("it needs TEMPERA_SLACK__BOT_TOKEN, which is empty, beside it")
        if info.field_name == "signing_secret" and not secret:
            cls._require_transport(info.data)
        return secret

    @staticmethod
    def _require_transport(known: Mapping[str, Any]) -> None:
        if (known.get("bot_token") or known.get("client_id")) and known.get("app_token") == SecretStr(""):
            given = "bot token" if known.get("bot_token") else "client id"
            raise ValueError(f"with a {given} there must be this one for HTTP, or TEMPERA_SLACK__APP_TOKEN for sockets")


class DatabaseSection(ConfigSection):
    """The database, and for how many days messages and the audit are kept.

    With 0 days, each message is deleted once it is answered.
    """

    url: str = "sqlite:///~/.local/share/tempera/tempera.db"
    retention_days: float = Field(default=30, ge=0, le=MOST_DAYS)
    audit_days: float = Field(default=400, ge=1, le=MOST_DAYS)


class AccessSection(ConfigSection):
    """Where the bot may be used at all."""

    direct_messages: bool = True
    """Whether it answers direct messages, in which nothing holds that the moderators of a server set."""


class PicturesSection(ConfigSection):
    """The certificate that signs pictures which models made; without one the bot makes its own.

    `certificate` is a PEM file with the certificate and those above it up to a root, `key` one with its private key.
    """

    certificate: OptionalFolder = None
    key: OptionalFolder = Field(default=None, validate_default=True)

    @field_validator("key")
    @classmethod
    def _require_both(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if (key is None) != (info.data.get("certificate") is None):
            raise ValueError("a certificate and its key are needed together; name the file of each, or of neither")
        return key


class LimitsSection(ConfigSection):
    """The storage of the rate limits."""

    storage: SecretStr = SecretStr("memory")
    """"memory", or the address of a Redis server that several processes share; it may hold a password."""


class LogSection(ConfigSection):
    """The log on standard error."""

    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    format: Literal["text", "json"] = "text"


class MonitoringSection(ConfigSection):
    """The listener for programs that watch the bot; 0 as its port switches it off."""

    host: str = "127.0.0.1"
    port: Port = 0
    key: Secret = Field(default=SecretStr(""), validate_default=True)
    """What a program that reads the figures has to send."""

    @field_validator("key")
    @classmethod
    def _require_key(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        host = info.data.get("host", "")
        if host not in LOOPBACK and info.data.get("port") and not key.get_secret_value():
            raise ValueError(f"figures for everybody who reaches {host or 'every address'} need a key")
        return key
