"""Builds Slack's modals from forms, and reads the fields of a submitted modal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.commands.option import KINDS, Option
from bot.core.i18n import translate
from bot.core.messages import Attachment
from bot.core.text import cut, format_number
from bot.platforms.slack.api.blocks import plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.core.messages import Field, Form

    Json = dict[str, Any]

MAX_TITLE = 24
MAX_LABEL = 2000
MAX_CHOICES, MAX_CHOICE, MAX_VALUE = 100, 75, 150
MAX_TEXT = 3000
MULTILINE_FROM = 200
"""A field that allows longer texts gets several lines."""
INPUT_ACTION = "value"
"""The action_id of every input; the block_id is the name of the field."""

OPTION_TYPES = {kind: type_ for type_, kind in KINDS.items()}


def build(form: Form, *, private_metadata: str, locale: str, note: str = "") -> Json:
    """Return the modal of a form, with `note` in small print below the fields.

    The callback_id is the form's id; `private_metadata` comes back when the modal is submitted.
    """
    notes = [{"type": "context", "elements": [plain_text(cut(note, MAX_LABEL))]}] if note else []
    return {
        "type": "modal",
        "callback_id": form.id,
        "private_metadata": private_metadata,
        "title": plain_text(cut(form.title, MAX_TITLE)),
        "submit": plain_text(cut(translate("Send", locale), MAX_TITLE)),
        "close": plain_text(cut(translate("Cancel", locale), MAX_TITLE)),
        "blocks": [*(_block(field, locale) for field in form.fields), *notes],
    }


def read_fields(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a submitted modal by field name: text, or Slack's description of a file; "" if empty."""
    return {name: _value(inputs[INPUT_ACTION]) for name, inputs in view["state"]["values"].items()}


def field_errors(view: Mapping[str, Any], option: str, sentence: str) -> dict[str, str]:
    """Return `sentence` as the error at the field of `option`, or at the first field if there is no such field."""
    names = [block["block_id"] for block in view["blocks"] if block["type"] == "input"]
    return {option if option in names else names[0]: cut(sentence, MAX_LABEL)}


def _value(given: Mapping[str, Any]) -> Any:
    match given["type"]:
        case "static_select" | "radio_buttons":
            return (given.get("selected_option") or {}).get("value", "")
        case "users_select":
            return given.get("selected_user") or ""
        case "conversations_select":
            return given.get("selected_conversation") or ""
        case "file_input":
            return next(iter(given.get("files") or ()), "")
    return given.get("value") or ""


def _block(field: Field, locale: str) -> Json:
    block = {
        "type": "input",
        "block_id": field.name,
        "label": plain_text(cut(translate(field.label, locale), MAX_LABEL)),
        "element": {"action_id": INPUT_ACTION} | _element(field, locale),
        "optional": not field.required,
    }
    if hint := _hint(field, locale):
        block["hint"] = plain_text(cut(hint, MAX_LABEL))
    return block


def _hint(field: Field, locale: str) -> str:
    """Return the name of the option as it is typed behind a command, and the values that it takes."""
    if len(field.value) > MAX_TEXT:
        sentence = "Here is room for {most} characters; of the {count} there were, these are the first."
        return translate(sentence, locale, most=MAX_TEXT, count=len(field.value))
    kind = OPTION_TYPES.get(field.kind)
    if kind is None or kind is Attachment:
        return field.name
    maximum = MAX_TEXT if kind is str and (field.maximum or 0) > MAX_TEXT else field.maximum
    option = Option(name=field.name, type=kind, minimum=field.minimum, maximum=maximum)
    return f"{field.name}: {option.expects().in_language(locale)}"


def _element(field: Field, locale: str) -> Json:
    match field.kind:
        case "choice" if len(field.choices) <= MAX_CHOICES and all(
            1 <= len(choice) <= MAX_VALUE for choice in field.choices
        ):
            return _choice_element(
                "static_select", {choice: translate(choice, locale) for choice in field.choices}, field.value
            )
        case "boolean":
            labels = {"true": translate("yes", locale), "false": translate("no", locale)}
            return _choice_element("radio_buttons", labels, field.value.casefold())
        case "integer" | "number":
            return _number_element(field)
        case "attachment":
            return {"type": "file_input", "max_files": 1}
        case "user":
            return {"type": "users_select"}
        case "channel":
            return {"type": "conversations_select", "filter": {"include": ["public", "private"]}}
    return _text_element(field)


def _text_element(field: Field) -> Json:
    max_length = MAX_TEXT if field.maximum is None else max(1, min(int(field.maximum), MAX_TEXT))
    is_long = field.kind == "text" and (field.maximum is None or field.maximum > MULTILINE_FROM)
    element: Json = {"type": "plain_text_input", "multiline": is_long, "max_length": max_length}
    if field.value:
        element["initial_value"] = field.value[:max_length]
    return element


def _number_element(field: Field) -> Json:
    element: Json = {"type": "number_input", "is_decimal_allowed": field.kind == "number"}
    if field.minimum is not None:
        element["min_value"] = format_number(field.minimum)
    if field.maximum is not None:
        element["max_value"] = format_number(field.maximum)
    if field.value:
        element["initial_value"] = field.value
    return element


def _choice_element(kind: str, labels: Mapping[str, str], chosen: str) -> Json:
    options = {value: {"text": plain_text(cut(label, MAX_CHOICE)), "value": value} for value, label in labels.items()}
    element: Json = {"type": kind, "options": list(options.values())}
    if chosen in options:
        element["initial_option"] = options[chosen]
    return element
