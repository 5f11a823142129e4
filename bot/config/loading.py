"""Reads the configuration of the deployment, once.

Its sources, each of which overrides those before it: the defaults in sections.py, config/tempera.toml, presets, `.env`,
and environment variables `TEMPERA_<SECTION>__<KEY>` (lists as JSON). Unknown keys are refused in all of them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot.config.sections import (
    CONFIG_FOLDER,
    AccessSection,
    DatabaseSection,
    DiscordSection,
    ExplainSection,
    LimitsSection,
    LogSection,
    ModelServerSection,
    PluginsSection,
    SlackSection,
    WebSection,
)
from bot.core.errors import ConfigError
from bot.core.text import nearest

DEFAULT_FILE = CONFIG_FOLDER / "tempera.toml"
PRESETS = CONFIG_FOLDER / "presets"
VARIABLE_PREFIX = "TEMPERA_"


class Config(BaseSettings):
    """The whole configuration, by attributes: `config.web.port`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=VARIABLE_PREFIX, env_nested_delimiter="__", case_sensitive=False
    )

    model_server: ModelServerSection = ModelServerSection()
    plugins: PluginsSection = PluginsSection()
    explain: ExplainSection = ExplainSection()
    web: WebSection = WebSection()
    discord: DiscordSection = DiscordSection()
    slack: SlackSection = SlackSection()
    database: DatabaseSection = DatabaseSection()
    access: AccessSection = AccessSection()
    limits: LimitsSection = LimitsSection()
    log: LogSection = LogSection()
    settings: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    """New defaults, for every server, of the settings that the core and the plugins declare."""

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
                name: value for name, value in dotenv_settings.env_vars.items() if _is_own_variable(name)
            }
        return (env_settings, dotenv_settings, init_settings)


def load(path: Path | None = None, presets: Sequence[str] = ()) -> Config:
    """Read the configuration from `path` (default: config/tempera.toml), `presets`, and the environment.

    Raises ConfigError with one sentence that names the first wrong value.
    """
    values = _read_toml(path or DEFAULT_FILE, required=path is not None)
    if path is not None:
        _resolve_lessons(path, values)
    for name in presets:
        for key, new in _read_toml(_find_preset(name), required=True).items():
            old = values.get(key)
            values[key] = old | new if isinstance(old, dict) and isinstance(new, dict) else new
    dotenv = Path(".env") if Path(".env").is_file() else None
    _refuse_unknown_sections(os.environ)
    try:
        return Config(_env_file=dotenv, **values)  # type: ignore[call-arg]
    except ValidationError as error:
        raise ConfigError(_describe_error(error)) from None
    except ValueError as error:
        raise ConfigError(f"The environment holds a value that cannot be read: {error}.") from None


def _find_preset(name: str) -> Path:
    known = PRESETS / f"{name}.toml"
    return known if known.is_file() else Path(name)


def _resolve_lessons(file: Path, values: dict[str, Any]) -> None:
    """Replace relative paths of lessons by paths beside the configuration file, if the lessons are only there."""
    section = values.get("explain")
    if not isinstance(section, dict) or not isinstance(section.get("lessons"), list):
        return
    paths = [Path(str(lesson)) for lesson in section["lessons"]]
    resolved = [path if path.exists() or not (file.parent / path).exists() else file.parent / path for path in paths]
    values["explain"] = section | {"lessons": resolved}


def _is_own_variable(variable: str) -> bool:
    return variable.upper().startswith(VARIABLE_PREFIX) and "__" in variable


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if required:
            raise ConfigError(f"There is no configuration file {path}.") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The configuration file {path} cannot be read: {error}.") from None


def _refuse_unknown_sections(environment: Mapping[str, str]) -> None:
    for name in filter(_is_own_variable, environment):
        section = name.upper().removeprefix(VARIABLE_PREFIX).split("__")[0]
        if section.lower() not in Config.model_fields:
            close = nearest(section.lower(), Config.model_fields)
            hint = f" Did you mean {VARIABLE_PREFIX}{close.upper()}__…?" if close else ""
            raise ConfigError(f"{name} is set, but there is no section “{section.lower()}”.{hint}")


def _describe_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    variable = VARIABLE_PREFIX + "__".join(str(part).upper() for part in first["loc"])
    if first["type"] == "extra_forbidden":
        siblings: Mapping[str, Any] = Config.model_fields
        for part in first["loc"][:-1]:
            siblings = getattr(siblings[str(part)].annotation, "model_fields", {})
        close = nearest(str(first["loc"][-1]), siblings)
        hint = f" Did you mean “{close}”?" if close else ""
        return f"The configuration has no “{key}” ({variable}).{hint}"
    reason = first["msg"].removeprefix("Value error, ")
    return f"The configuration's “{key}” ({variable}) is wrong: {reason[0].lower()}{reason[1:]}."
