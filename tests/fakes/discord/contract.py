"""Checks every request against Discord's own OpenAPI description, if that file is available."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DESCRIPTION = Path(__file__).parents[4] / "shared" / "contracts" / "discord_openapi.json"
BASE = "urn:discord"
CONTENT_LIMIT = 2000


@functools.cache
def contract() -> Contract | None:
    """Return the contract; None if its file is missing."""
    return Contract(json.loads(DESCRIPTION.read_text())) if DESCRIPTION.exists() else None


class Contract:
    """Finds what Discord's description does not allow in a request. Validators are built when first needed."""

    def __init__(self, document: dict[str, Any]) -> None:
        schemas = document["components"]["schemas"]
        # The description does not forbid other properties, but a misspelt one is the likeliest mistake.
        for schema in schemas.values():
            if "properties" in schema:
                schema.setdefault("additionalProperties", False)
        # discord.py writes ids as numbers, of new files and of messages that are replied to, and Discord takes both.
        schemas["SnowflakeType"]["type"] = ["string", "integer"]
        document = _simplified(document, schemas)
        self.document = document
        self._registry = Registry().with_resource(BASE, Resource(document, DRAFT202012))
        self._validators: dict[str, Draft202012Validator] = {}
        self._routes = [(_pattern(template), template) for template in sorted(document["paths"], key=_specific)]
        self._known_good: set[tuple[str, str]] = set()

    def violation(self, method: str, path: str, query: dict[str, str], body: Any) -> str:
        """Return a sentence about what is not allowed in a request; "" if all is."""
        found = self._operation(method, path)
        if found is None:
            return f"{method} {path}: there is no such route"
        template, operation, values = found
        where = f"{method} {template}"
        parameters = [*self.document["paths"][template].get("parameters", []), *operation.get("parameters", [])]
        for parameter in parameters:
            name = parameter["name"]
            given = values if parameter["in"] == "path" else query
            if name in given:
                problem = self._check_text(parameter["schema"], given[name])
            else:
                problem = "is required" if parameter.get("required") else ""
            if problem:
                return f"{where}: {name} {problem}"
        unknown = set(query) - {one["name"] for one in parameters if one["in"] == "query"}
        if unknown:
            return f"{where}: the query's {', '.join(sorted(unknown))} is unknown"
        return self._check_body(where, template, method.lower(), operation, body)

    def _operation(self, method: str, path: str) -> tuple[str, dict[str, Any], dict[str, str]] | None:
        for pattern, template in self._routes:
            match = pattern.fullmatch(path)
            operation = self.document["paths"][template].get(method.lower()) if match else None
            if match and operation:
                return template, operation, match.groupdict()
        return None

    def _check_body(self, where: str, template: str, method: str, operation: dict[str, Any], body: Any) -> str:
        described = operation.get("requestBody")
        if described is None:
            return f"{where}: no body is expected" if body is not None else ""
        if body is None:
            return f"{where}: a body is required" if described.get("required") else ""
        body = _without_accepted_extras(method, body)
        # Edits differ in a growing text alone, which is right as long as it is within the limit.
        short = (
            isinstance(body, dict) and isinstance(body.get("content"), str) and len(body["content"]) <= CONTENT_LIMIT
        )
        text = json.dumps({**body, "content": ""} if short else body, sort_keys=True)
        if (where, text) in self._known_good:
            return ""
        pointer = f"/paths/{_escaped(template)}/{method}/requestBody/content/application~1json/schema"
        error = best_match(self._validator(f"{BASE}#{pointer}").iter_errors(body))
        if error is None:
            self._known_good.add((where, text))
            return ""
        return f"{where}: {error.json_path}: {error.message[:500]}"

    def _check_text(self, schema: dict[str, Any], text: str) -> str:
        candidates: list[Any] = [text]
        if re.fullmatch(r"-?\d+", text):
            candidates.append(int(text))
        if text.lower() in ("true", "false", "1", "0"):
            candidates.append(text.lower() in ("true", "1"))
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            absolute = json.loads(key.replace('"#/', f'"{BASE}#/'))
            self._validators[key] = Draft202012Validator(absolute, registry=self._registry)
        if any(self._validators[key].is_valid(one) for one in candidates):
            return ""
        return f"is {text!r}, which does not fit {key}"

    def _validator(self, reference: str) -> Draft202012Validator:
        if reference not in self._validators:
            self._validators[reference] = Draft202012Validator({"$ref": reference}, registry=self._registry)
        return self._validators[reference]


def _simplified(part: Any, schemas: dict[str, Any]) -> Any:
    """Return an equivalent schema that is checked faster and has clearer errors."""
    if isinstance(part, list):
        return [_simplified(one, schemas) for one in part]
    if not isinstance(part, dict):
        return part
    part = {name: _simplified(value, schemas) for name, value in part.items()}
    alternatives = "oneOf" if "oneOf" in part else "anyOf"
    branches = part.get(alternatives) or []
    if branches and all("const" in one for one in branches):
        del part[alternatives]
        part["enum"] = [one["const"] for one in branches]
    elif kinds := _kinds(branches, schemas):
        del part[alternatives]
        part["properties"] = {"type": {"enum": [kind for own in kinds for kind in own]}}
        part["required"] = ["type"]
        part["allOf"] = [
            {"if": {"properties": {"type": {"enum": own}}}, "then": branch}
            for own, branch in zip(kinds, branches, strict=True)
        ]
    return part


def _kinds(branches: list[dict[str, Any]], schemas: dict[str, Any]) -> list[list[int]]:
    """Return the `type` values that distinguish alternatives; empty if there are none."""
    kinds = []
    for branch in branches:
        schema = schemas.get(branch.get("$ref", "").rpartition("/")[2], {})
        kinds.append(schema.get("properties", {}).get("type", {}).get("enum"))
    return kinds if kinds and all(kinds) else []


def _without_accepted_extras(method: str, body: Any) -> Any:
    """Return the body without what Discord accepts from discord.py although its description does not."""
    if isinstance(body, list):
        return [_without_accepted_extras(method, one) for one in body]
    if not isinstance(body, dict):
        return body
    kept = {
        name: value if name == "components" else _without_accepted_extras(method, value) for name, value in body.items()
    }
    # discord.py sends tts with edits, too.
    if method == "patch" and kept.get("tts") is False:
        del kept["tts"]
    # discord.py sends nsfw with every command, a property that only the documentation has.
    if kept.get("nsfw") is False:
        del kept["nsfw"]
    return kept


def _specific(template: str) -> tuple[int, str]:
    return template.count("{"), template


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template)))


def _escaped(template: str) -> str:
    return template.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
