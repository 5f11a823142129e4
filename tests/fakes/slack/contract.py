"""Checks Web API requests against what Slack publishes: its TypeScript types and the documentation of its methods.

The files lie beside the repository, in ../shared/contracts. Without them nothing is checked.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[3].parent / "shared" / "contracts"

Json = dict[str, Any]

ONLY_IN_DOCUMENTS = {
    ("files.getUploadURLExternal", "alt_txt"): "the types call it alt_text; the documents and the SDKs say alt_txt",
}
"""Arguments that Slack accepts although the types do not list them, with the reason."""
EVERYWHERE = {"team_id": "Bolt's client of one request adds the workspace to every call"}
"""Arguments that Slack accepts with every method although nothing lists them, with the reason."""
NOT_REQUIRED = {
    ("chat.appendStream", "markdown_text"): "Slack's SDK sends chunks instead",
}
"""Arguments that only the documents require, with the reason."""
NULL_ALLOWED = {
    ("files.completeUploadExternal", "highlight_type"): "files_upload_v2 of Slack's SDK sends null",
}
"""Keys in a method's `files` that may be null although the types do not say so, with the reason."""


def is_available() -> bool:
    """Return whether the published descriptions are available."""
    return FOLDER.is_dir()


def problems(method: str, arguments: Json) -> list[str]:
    """Return what the descriptions do not allow in a call, one line each."""
    if not is_available():
        return []
    arguments = {name: value for name, value in arguments.items() if name not in EVERYWHERE}
    return [
        f"{method}: {problem}" for problem in [*_check_documents(method, arguments), *_check_types(method, arguments)]
    ]


def block_problems(blocks: Any) -> list[str]:
    """Return what the types do not allow in blocks that did not come with a method."""
    return _schema_errors("$blocks", blocks) if is_available() else []


def _check_documents(method: str, arguments: Json) -> list[str]:
    described = _method(method)
    if described is None:
        return []
    properties, required = described["properties"], described.get("required", ())
    found = [f"the documents know no argument “{name}”" for name in arguments if name not in properties]
    found += [
        f"the documents require “{name}”"
        for name in required
        if name not in arguments and name != "token" and (method, name) not in NOT_REQUIRED
    ]
    for name, value in arguments.items():
        allowed = properties.get(name, {}).get("enum")
        if allowed and value not in allowed:
            found.append(f"“{name}” must be one of {allowed}, not {value!r}")
    return found


def _check_types(method: str, arguments: Json) -> list[str]:
    typed = {name: value for name, value in arguments.items() if (method, name) not in ONLY_IN_DOCUMENTS}
    if "files" in typed and isinstance(typed["files"], list):
        typed["files"] = [
            {key: part for key, part in one.items() if part is not None or (method, key) not in NULL_ALLOWED}
            for one in typed["files"]
        ]
    found = _schema_errors(method, typed)
    # The arguments' own type lets any block pass that has a type.
    if isinstance(typed.get("blocks"), list):
        found += _schema_errors("$blocks", typed["blocks"])
    if isinstance(typed.get("view"), dict):
        found += _schema_errors("$view", typed["view"])
    return found


def _schema_errors(name: str, instance: Any) -> list[str]:
    return list(_validate(name, json.dumps(instance, sort_keys=True)))


@functools.lru_cache(maxsize=4096)
def _validate(name: str, instance: str) -> tuple[str, ...]:
    validator = _validator(name)
    if validator is None:
        return ()
    errors = [_best_error(error) for error in validator.iter_errors(json.loads(instance))]
    return tuple(f"{error.json_path.replace('$', name, 1)}: {error.message[:300]}" for error in errors)


def _best_error(error: ValidationError) -> ValidationError:
    """Return the error in the best-fitting alternative: the one of the right `type` with the fewest errors."""
    while error.context:
        alternatives: dict[Any, list[ValidationError]] = {}
        for one in error.context:
            alternatives.setdefault(one.schema_path[0], []).append(one)
        error = min(alternatives.values(), key=lambda found: (any(map(_is_of_another_type, found)), len(found)))[0]
    return error


def _is_of_another_type(error: ValidationError) -> bool:
    return error.validator in ("const", "enum") and list(error.relative_path) == ["type"]


@functools.cache
def _validator(name: str) -> Draft7Validator | None:
    schema = _types().get(name)
    if schema is None:
        return None
    _add_kinds(schema, schema["definitions"])
    return extend(Draft7Validator, {"anyOf": _any_of})(schema)


def _add_kinds(part: Any, definitions: Json) -> None:
    """Store beside each `anyOf` the values of `type` that its alternatives accept; None for any value."""
    if isinstance(part, list):
        for one in part:
            _add_kinds(one, definitions)
    elif isinstance(part, dict):
        for one in part.values():
            _add_kinds(one, definitions)
        if isinstance(part.get("anyOf"), list):
            part["kinds"] = [_kinds(one, definitions) for one in part["anyOf"]]


def _kinds(branch: Json, definitions: Json) -> set[str] | None:
    described = definitions.get(branch.get("$ref", "").rpartition("/")[2], branch)
    kind = described.get("properties", {}).get("type", {})
    return {kind["const"]} if "const" in kind else set(kind["enum"]) if "enum" in kind else None


def _any_of(validator: Any, branches: list[Json], instance: Any, schema: Json) -> Iterator[ValidationError]:
    """Validate `anyOf` as JSON Schema does, but skip alternatives for another `type`, which cannot fit."""
    kind = instance.get("type") if isinstance(instance, dict) else None
    places = list(range(len(branches)))
    if isinstance(kind, str):
        places = [place for place in places if (own := schema["kinds"][place]) is None or kind in own] or places
    context: list[ValidationError] = []
    for place in places:
        errors = list(validator.descend(instance, branches[place], schema_path=place))
        if not errors:
            return
        context += errors
    yield ValidationError(f"{instance!r} is not valid under any of the given schemas", context=context)


@functools.cache
def _types() -> Json:
    return json.loads((FOLDER / "slack_ts.schema.json").read_text("utf-8"))


@functools.cache
def _method(method: str) -> Json | None:
    try:
        return json.loads((FOLDER / "slack_methods" / f"{method}.json").read_text("utf-8"))["args"]
    except FileNotFoundError:
        return None
