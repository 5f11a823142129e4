"""Checks the variables `TEMPERA_…` of the environment and of `.env` before they are read, and explains wrong ones."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

from dotenv.parser import parse_stream

from bot.core.errors import ConfigError
from bot.core.text import nearest

if TYPE_CHECKING:
    from pydantic import BaseModel

PREFIX = "TEMPERA_"
ENCODING = "utf-8-sig"
"""UTF-8, also with the mark that some editors write at the beginning of a file."""
ENVIRONMENT_ONLY = frozenset({"TEMPERA_CACHE"})
"""Variables of the model server that stand for themselves, without a section."""


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables in the file, as they stand there. Raises ConfigError that names a line that is unreadable.

    No line is quoted in the error, since it may hold a secret. A name without a value is skipped, as other programs
    that share the file write it, unless it is one of ours.
    """
    try:
        data = path.read_bytes()
        text = data.decode(ENCODING)
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"Line {line} of {path} cannot be read: it is not UTF-8 text.") from None
    variables = {}
    for binding in parse_stream(io.StringIO(text)):
        name = (binding.key or "").upper()
        if binding.error or (binding.value is None and name.startswith(PREFIX)):
            statement = binding.original.string
            line = binding.original.line + statement[: len(statement) - len(statement.lstrip())].count("\n")
            raise ConfigError(
                f"Line {line} of {path} cannot be read. A line is NAME=value, and a value that begins "
                "with a quotation mark ends with the same one."
            )
        if name and binding.value is not None:
            variables[name] = binding.value
    return variables


def is_own(variable: str, sections: Iterable[str]) -> bool:
    """Return whether a variable is read: it has the prefix, and a section and a key or a whole section behind it."""
    name = variable.upper()
    return name.startswith(PREFIX) and ("__" in name or name.removeprefix(PREFIX).lower() in sections)


def check(variables: Mapping[str, str], config: type[BaseModel]) -> None:
    """Raise ConfigError for a variable whose section does not exist, or whose list or object is not JSON."""
    for name, value in variables.items():
        if not is_own(name, config.model_fields):
            continue
        section, *keys = name.upper().removeprefix(PREFIX).lower().split("__")
        if section not in config.model_fields:
            close = nearest(section, config.model_fields)
            hint = f" Did you mean {PREFIX}{close.upper()}__…?" if close else ""
            raise ConfigError(f"{name} is set, but there is no section “{section}”.{hint}")
        kind = _kind(config, [section, *keys])
        if kind is tuple and not isinstance(_from_json(value), list):
            raise ConfigError(f"{name} is a list, which is written as JSON: {name}='{_as_json_list(value)}'.")
        if kind is dict and not isinstance(_from_json(value), dict):
            raise ConfigError(f"""{name} is written as a JSON object: {name}='{{"key": "value"}}'.""")


def find_unread(environment: Iterable[str], dotenv: Iterable[str], config: type[BaseModel]) -> list[str]:
    """Return a sentence for each variable that looks like one of ours and has no effect."""
    known = [
        f"{PREFIX}{section}__{key}".upper()
        for section, field in config.model_fields.items()
        for key in getattr(field.annotation, "model_fields", ())
    ]
    sentences = []
    for name in dict.fromkeys(name.upper() for name in (*environment, *dotenv)):
        if not name.startswith(PREFIX) or is_own(name, config.model_fields):
            continue
        if name not in ENVIRONMENT_ONLY:
            sentences.append(f"{name} has no effect.{_guess(name, known)}")
        elif name in dotenv and name not in environment:
            sentences.append(f"{name} has no effect in .env; set it in the environment.")
    return sentences


def _guess(name: str, known: Iterable[str]) -> str:
    """Return a question that names the variables that are meant by one with too few underscores or no section."""
    rest = name.removeprefix(PREFIX)
    meant = [one for one in known if one.replace("__", "_") == name or one.partition("__")[2] == rest]
    if not meant and (close := nearest(name.lower(), (one.lower() for one in known))):
        meant = [close.upper()]
    return f" Did you mean {' or '.join(meant)}?" if meant else ""


def _kind(config: type[BaseModel], path: list[str]) -> type | None:
    """Return tuple for the path of a list, dict for that of a section or a table, and None for any other."""
    annotation: Any = config
    for part in path:
        fields = getattr(annotation, "model_fields", {})
        if part not in fields:
            return None
        annotation = fields[part].annotation
    origin = get_origin(annotation)
    if origin is tuple:
        return tuple
    return dict if origin is Mapping or hasattr(annotation, "model_fields") else None


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _as_json_list(text: str) -> str:
    """Return what was most likely meant by a list with commas, with or without brackets and quotation marks."""
    words = (word.strip(" '\"") for word in text.strip("[]() ").split(","))
    return json.dumps([word for word in words if word], ensure_ascii=False)
