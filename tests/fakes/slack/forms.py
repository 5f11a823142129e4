"""Fills in a modal: the values as Slack sends them, and the errors that its own client finds."""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING, Any

from fakes.slack.workspace import FakeFile, FakeView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Json = dict[str, Any]


def make_file(name: str, user: str, filename: str, data: bytes) -> FakeFile:
    """Return a completely uploaded file of a user."""
    kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    return FakeFile(name, filename, data, kind, filename, user=user, length=len(data), complete=True)


def fill_in(view: FakeView, fields: Mapping[str, Any], as_json: Callable[[FakeFile], Json]) -> Json:
    """Return `view.state.values`: the initial values of the form, replaced by `fields`."""
    unused = dict(fields)
    found: Json = {}
    for block_id, block in view.inputs.items():
        element = block["element"]
        names = (block_id, element["action_id"], block["label"]["text"])
        given = next((unused.pop(name) for name in names if name in unused), _initial(element))
        found[block_id] = {element["action_id"]: {"type": element["type"]} | _value(element, given, as_json)}
    if unused:
        raise AssertionError(f"the form has no field {list(unused)}, only {list(view.inputs)}")
    return found


def _initial(element: Json) -> Any:
    if "initial_option" in element:
        return element["initial_option"]["value"]
    if "initial_options" in element:
        return [option["value"] for option in element["initial_options"]]
    return element.get("initial_value")


def _value(element: Json, given: Any, as_json: Callable[[FakeFile], Json]) -> Json:
    match element["type"]:
        case "static_select" | "radio_buttons":
            return {"selected_option": _option(element, given)}
        case "checkboxes" | "multi_static_select":
            return {"selected_options": [_option(element, one) for one in given or ()]}
        case "file_input":
            files = [given] if isinstance(given, FakeFile) else given or ()
            return {"files": [as_json(file) for file in files]}
        case _:
            return {"value": None if given in (None, "") else str(given)}


def _option(element: Json, given: Any) -> Json | None:
    if given is None:
        return None
    for option in element["options"]:
        if given in (option["value"], option["text"]["text"]):
            return option
    raise AssertionError(f"“{given}” is none of the options {[option['value'] for option in element['options']]}")


def find_client_errors(view: FakeView, given: Json) -> dict[str, str]:
    """Return the errors that Slack's client finds, by field."""
    errors = {}
    for block_id, block in view.inputs.items():
        element = block["element"]
        value = given[block_id][element["action_id"]]
        empty = not any(part for key, part in value.items() if key != "type")
        if empty and not block.get("optional"):
            errors[block_id] = "Please complete this required field."
        elif not empty and (problem := next(_problems(element, value), "")):
            errors[block_id] = problem
    return errors


def _problems(element: Json, value: Json) -> Iterator[str]:
    if element["type"] == "plain_text_input":
        length = len(value["value"])
        if length > element.get("max_length", 3_000):
            yield f"Must be no more than {element.get('max_length', 3_000)} characters."
        if length < element.get("min_length", 0):
            yield f"Must be at least {element['min_length']} characters."
        if "\n" in value["value"] and not element.get("multiline"):
            yield "Must be one line."
    if element["type"] == "number_input":
        yield from _number_problems(element, value["value"])


def _number_problems(element: Json, typed: str) -> Iterator[str]:
    try:
        number = float(typed)
    except ValueError:
        yield "Must be a number."
        return
    if not element["is_decimal_allowed"] and not number.is_integer():
        yield "Must be a whole number."
    if "min_value" in element and number < float(element["min_value"]):
        yield f"Must be at least {element['min_value']}."
    if "max_value" in element and number > float(element["max_value"]):
        yield f"Must be at most {element['max_value']}."
