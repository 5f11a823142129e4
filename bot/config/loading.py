"""Reads the configuration of the deployment, once.

Its sources, each of which overrides those before it: the defaults in sections.py, config/tempera.toml, presets, `.env`,
and environment variables `TEMPERA_<SECTION>__<KEY>` (lists as JSON). Unknown keys are refused in all of them.
`Config.warnings` has sentences about what is accepted, but is most likely a mistake.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot.config import variables
from bot.config.sections import (
    CONFIG_FOLDER,
    AccessSection,
    DatabaseSection,
    DiscordSection,
    ExplainSection,
    LimitsSection,
    LogSection,
    ModelServerSection,
    MonitoringSection,
    PicturesSection,
    PluginsSection,
    SlackSection,
    WebSection,
)
from bot.config.upstreams import UpstreamSection
from bot.core.errors import ConfigError
from bot.core.text import nearest

DEFAULT_FILE = CONFIG_FOLDER / "tempera.toml"
PRESETS = CONFIG_FOLDER / "presets"
DOTENV = Path(".env")
NOTHING_TO_RUN = "There is nothing to run: no platform is enabled in the configuration."


class Config(BaseSettings):
    """The whole configuration, by attributes: `config.web.port`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=variables.PREFIX,
        env_nested_delimiter="__",
        env_file_encoding=variables.ENCODING,
        case_sensitive=False,
    )

    model_server: ModelServerSection = ModelServerSection()
    upstreams: tuple[UpstreamSection, ...] = ()
    plugins: PluginsSection = PluginsSection()
    explain: ExplainSection = ExplainSection()
    web: WebSection = WebSection()
    discord: DiscordSection = DiscordSection()
    slack: SlackSection = SlackSection()
    database: DatabaseSection = DatabaseSection()
    access: AccessSection = AccessSection()
    pictures: PicturesSection = PicturesSection()
    limits: LimitsSection = LimitsSection()
    log: LogSection = LogSection()
    monitoring: MonitoringSection = MonitoringSection()
    settings: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    """New defaults, for every server, of the settings that the core and the plugins declare."""
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @field_validator("upstreams")
    @classmethod
    def _check_names(cls, upstreams: tuple[UpstreamSection, ...]) -> tuple[UpstreamSection, ...]:
        names = [upstream.name for upstream in upstreams]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"two of them are called “{twice}”; give each a name of its own")
        return upstreams

    @property
    def starts_models(self) -> bool:
        """True if a model server of our own is started on this machine."""
        return self.model_server.enabled and self.model_server.is_local

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each variable without effect, and for each secret that stands in a file."""
        return self._warnings

    @property
    def has_platform(self) -> bool:
        """True if there is anywhere to talk to the bot, beside the terminal."""
        return bool(self.web.enabled or self.discord.token.get_secret_value() or self.slack.is_configured)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, strongest first: the environment, `.env` without other programs' variables, the files."""
        if isinstance(dotenv_settings, DotEnvSettingsSource):
            dotenv_settings.env_vars = {
                name: value
                for name, value in dotenv_settings.env_vars.items()
                if variables.is_own(name, settings_cls.model_fields)
            }
        return (env_settings, dotenv_settings, init_settings)


def load(path: Path | None = None, presets: Sequence[str] = ()) -> Config:
    """Read the configuration from `path` (default: config/tempera.toml), `presets`, and the environment.

    Raises ConfigError with one sentence that names the first wrong value.
    """
    file = path or DEFAULT_FILE
    values = _read_toml(file, required=path is not None)
    if path is not None:
        _resolve_lessons(path, values)
    warnings = _find_secrets(file, values)
    for name in presets:
        preset = _find_preset(name)
        overlay = _read_toml(preset, required=True)
        warnings += _find_secrets(preset, overlay)
        for key, new in overlay.items():
            old = values.get(key)
            values[key] = old | new if isinstance(old, dict) and isinstance(new, dict) else new
    dotenv = variables.read_dotenv(DOTENV) if DOTENV.is_file() else {}
    variables.check(dotenv | os.environ, Config)
    try:
        config = Config(_env_file=DOTENV if dotenv else None, **values)  # type: ignore[call-arg]
    except ValidationError as error:
        raise ConfigError(_describe_error(error)) from None
    except ValueError as error:
        raise ConfigError(f"The environment holds a value that cannot be read: {error}.") from None
    warnings += _set_keys(config.upstreams, dotenv)
    config._warnings = (*variables.find_unread(os.environ, dotenv, Config), *warnings)
    return config


def _set_keys(upstreams: Sequence[UpstreamSection], dotenv: Mapping[str, str]) -> list[str]:
    """Give each upstream its key. Return a sentence for each key that is not there."""
    missing = []
    for upstream in upstreams:
        if not (name := upstream.key_variable):
            continue
        upstream.set_key(os.environ.get(name) or dotenv.get(name.upper()) or "")
        if not upstream.key:
            missing.append(f"The variable {name}, which holds the key of the upstream “{upstream.name}”, is not set.")
    return missing


def list_presets() -> list[str]:
    """Return the names of the presets for the bot; the folder also has some for the model server."""
    return sorted(path.stem for path in PRESETS.glob("*.toml") if _is_for_the_bot(path))


def read_presets() -> dict[str, dict[str, Any]]:
    """Return the values of the presets that hold nothing but settings, which moderators may apply, too, by name."""
    files = {path.stem: _read_toml(path, required=True) for path in PRESETS.glob("*.toml")}
    return {name: dict(values["settings"]) for name, values in files.items() if values.keys() == {"settings"}}


def _is_for_the_bot(preset: Path) -> bool:
    return _read_toml(preset, required=True).keys() <= Config.model_fields.keys()


def _find_preset(name: str) -> Path:
    """Return the file of a preset, or the file that is called `name`. Raises ConfigError if there is neither."""
    known = PRESETS / f"{name}.toml"
    offered = f"The presets are: {', '.join(list_presets())}."
    if known.is_file():
        if not _is_for_the_bot(known):
            how = f"tempera-models serve --catalogue {name}"
            raise ConfigError(f"“{name}” is a preset for the model server: {how}. {offered}")
        return known
    if not Path(name).is_file():
        raise ConfigError(f"There is no preset “{name}”, and no file of this name. {offered}")
    return Path(name)


def _find_secrets(file: Path, values: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each secret in a file, which others may read or publish."""
    return [
        f"The file {file} holds a secret, “{section}.{key}”. Move it into the environment or into .env, as "
        f"{variables.PREFIX}{section.upper()}__{key.upper()}."
        for section, table in values.items()
        if section in Config.model_fields and isinstance(table, dict)
        for key, field in getattr(Config.model_fields[section].annotation, "model_fields", {}).items()
        if isinstance(table.get(key), str) and _is_secret(table[key], field.annotation, field.default)
    ]


def _is_secret(value: str, kind: Any, default: Any) -> bool:
    """Return whether a value is the secret of a field that has one, or an address with a password."""
    if "://" not in value:
        return kind is SecretStr and default != SecretStr(value)
    try:
        parts = urlsplit(value)
        return bool(parts.password or parse_qs(parts.query).get("password"))
    except ValueError:
        return False


def _resolve_lessons(file: Path, values: dict[str, Any]) -> None:
    """Replace relative paths of lessons by paths beside the configuration file, if the lessons are only there."""
    section = values.get("explain")
    if not isinstance(section, dict) or not isinstance(section.get("lessons"), list):
        return
    paths = [Path(str(lesson)) for lesson in section["lessons"]]
    resolved = [path if path.exists() or not (file.parent / path).exists() else file.parent / path for path in paths]
    values["explain"] = section | {"lessons": resolved}


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(variables.ENCODING))
    except FileNotFoundError:
        if required:
            raise ConfigError(f"There is no configuration file {path}.") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The configuration file {path} cannot be read: {error}.") from None


def _describe_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    variable = variables.PREFIX + "__".join(str(part).upper() for part in first["loc"])
    if first["type"] == "extra_forbidden":
        siblings: Mapping[str, Any] = Config.model_fields
        if first["loc"][0] == "upstreams":
            siblings = UpstreamSection.model_fields
        else:
            for part in first["loc"][:-1]:
                siblings = getattr(siblings[str(part)].annotation, "model_fields", {})
        close = nearest(str(first["loc"][-1]), siblings)
        hint = f" Did you mean “{close}”?" if close else ""
        return f"The configuration has no “{key}” ({variable}).{hint}"
    reason = first["msg"].removeprefix("Value error, ")
    return f"The configuration's “{key}” ({variable}) is wrong: {reason[0].lower()}{reason[1:]}."
