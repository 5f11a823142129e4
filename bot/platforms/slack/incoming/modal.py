"""Forms as Slack's modals, and what a submitted modal holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.commands.option import KINDS, Option, format_number
from bot.core.i18n import translate
from bot.core.messages import Attachment
from bot.core.text import cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.core.messages import Field, Form

    Json = dict[str, Any]

TITLE = 24
LABEL = 2000
CHOICES, CHOICE, VALUE = 100, 75, 150
TEXT = 3000
SHORT = 200
"""A text that may be longer gets several lines to be typed in."""
INPUT = "value"
"""The action_id of every input; its block_id is the name of the field."""

TYPES = {kind: type_ for type_, kind in KINDS.items()}


def build(form: Form, *, private_metadata: str, locale: str) -> Json:
    """The modal of a form: its callback_id is the form's id. `private_metadata` comes back when it is sent."""
    return {
        "type": "modal",
        "callback_id": form.id,
        "private_metadata": private_metadata,
        "title": plain(cut(form.title, TITLE)),
        "submit": plain(cut(translate("Send", locale), TITLE)),
        "close": plain(cut(translate("Cancel", locale), TITLE)),
        "blocks": [_block(field, locale) for field in form.fields],
    }


def fields(view: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, picked and uploaded in a submitted modal: text, or Slack's file, by name; "" for nothing."""
    return {name: _value(inputs[INPUT]) for name, inputs in view["state"]["values"].items()}


def errors(view: Mapping[str, Any], option: str, sentence: str) -> dict[str, str]:
    """`sentence` at the field of `option`, or at the first one where no field is called so."""
    names = [block["block_id"] for block in view["blocks"] if block["type"] == "input"]
    return {option if option in names else names[0]: cut(sentence, LABEL)}


def plain(text: str) -> Json:
    """A text that Slack shows as it is."""
    return {"type": "plain_text", "text": text, "emoji": False}


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
        "label": plain(cut(translate(field.label, locale), LABEL)),
        "element": {"action_id": INPUT} | _element(field, locale),
        "optional": not field.required,
    }
    if hint := _hint(field, locale):
        block["hint"] = plain(cut(hint, LABEL))
    return block


def _hint(field: Field, locale: str) -> str:
    """What the option is called where it is typed, and what it may be."""
    if len(field.value) > TEXT:
        sentence = "Here is room for {most} characters; of the {count} there were, these are the first."
        return translate(sentence, locale, most=TEXT, count=len(field.value))
    kind = TYPES.get(field.kind)
    if kind is None or kind is Attachment:
        return field.name
    most = TEXT if kind is str and (field.maximum or 0) > TEXT else field.maximum
    option = Option(name=field.name, type=kind, minimum=field.minimum, maximum=most)
    return f"{field.name}: {option.expects().in_language(locale)}"


def _element(field: Field, locale: str) -> Json:
    match field.kind:
        case "choice" if len(field.choices) <= CHOICES and all(1 <= len(choice) <= VALUE for choice in field.choices):
            return _picked("static_select", {choice: choice for choice in field.choices}, field.value)
        case "boolean":
            labels = {"true": translate("yes", locale), "false": translate("no", locale)}
            return _picked("radio_buttons", labels, field.value.casefold())
        case "integer" | "number":
            return _number(field)
        case "attachment":
            return {"type": "file_input", "max_files": 1}
        case "user":
            return {"type": "users_select"}
        case "channel":
            return {"type": "conversations_select", "filter": {"include": ["public", "private"]}}
    return _text(field)


def _text(field: Field) -> Json:
    longest = TEXT if field.maximum is None else max(1, min(int(field.maximum), TEXT))
    is_long = field.kind == "text" and (field.maximum is None or field.maximum > SHORT)
    element: Json = {"type": "plain_text_input", "multiline": is_long, "max_length": longest}
    if field.value:
        element["initial_value"] = field.value[:longest]
    return element


def _number(field: Field) -> Json:
    element: Json = {"type": "number_input", "is_decimal_allowed": field.kind == "number"}
    if field.minimum is not None:
        element["min_value"] = format_number(field.minimum)
    if field.maximum is not None:
        element["max_value"] = format_number(field.maximum)
    if field.value:
        element["initial_value"] = field.value
    return element


def _picked(kind: str, labels: Mapping[str, str], chosen: str) -> Json:
    options = {value: {"text": plain(cut(label, CHOICE)), "value": value} for value, label in labels.items()}
    element: Json = {"type": kind, "options": list(options.values())}
    if chosen in options:
        element["initial_option"] = options[chosen]
    return element
