"""Forms as Discord's modals, and the values of a submitted modal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import ui

from bot.core.i18n import shown_name, translate
from bot.core.text import cut, format_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bot.core.messages import Field, Form

MAX_TITLE = MAX_LABEL = 45
MAX_DESCRIPTION = MAX_CHOICE = 100
"""Lengths in characters."""
MAX_CHOICES = 25
MAX_TEXT = 4000
MAX_LINE = 200
"""Length up to which a text is typed in one line."""

PICKERS: Mapping[str, type[ui.UserSelect[Any] | ui.ChannelSelect[Any] | ui.RoleSelect[Any]]] = {
    "user": ui.UserSelect,
    "channel": ui.ChannelSelect,
    "role": ui.RoleSelect,
}


def build(form: Form, locale: str) -> ui.Modal:
    """Return the modal of a form. Its custom_id is the form's id; those of its inputs are the names of the fields.

    It is stopped, so that discord.py does not store it: it is submitted as an interaction, also after a restart.
    """
    modal = ui.Modal(title=cut(form.title, MAX_TITLE), custom_id=form.id)
    for field in form.fields:
        modal.add_item(_labelled_input(field, locale))
    modal.stop()
    return modal


def read_fields(interaction: discord.Interaction) -> dict[str, Any]:
    """Return the values of a submitted modal by field: text or a discord.Attachment, and "" for an empty field."""
    data: Any = interaction.data
    files = data.get("resolved", {}).get("attachments", {})
    fields: dict[str, Any] = {}
    for component in _inputs(data["components"]):
        values = component["values"] if "values" in component else [component.get("value")]
        value = "" if not values or values[0] is None else values[0]
        if value and component["type"] == discord.ComponentType.file_upload.value:
            value = (
                discord.Attachment(data=files[value], state=interaction.client._connection) if value in files else ""
            )
        fields[component["custom_id"]] = value
    return fields


def _inputs(components: list[Any]) -> Iterator[Any]:
    for component in components:
        if "custom_id" in component:
            yield component
        yield from _inputs(component.get("components", []))
        if "component" in component:
            yield from _inputs([component["component"]])


def _labelled_input(field: Field, locale: str) -> ui.Label[Any]:
    label, below = translate(field.label, locale), _truncation_note(field, locale)
    if len(label) > MAX_LABEL:
        # The description has room for the whole sentence.
        label, below = shown_name(field.name, locale), below or label
    return ui.Label(
        text=cut(label, MAX_LABEL), description=cut(below, MAX_DESCRIPTION) or None, component=_input(field, locale)
    )


def _truncation_note(field: Field, locale: str) -> str:
    """Return a note about a text that is cut to fit into its field; "" if it fits."""
    if field.kind != "text" or len(field.value) <= (max_length := _max_length(field)):
        return ""
    sentence = "Here is room for {most} characters; of the {count} there were, these are the first."
    return translate(sentence, locale, most=max_length, count=len(field.value))


def _input(field: Field, locale: str) -> ui.Item[Any]:
    match field.kind:
        case "choice" if len(field.choices) <= MAX_CHOICES and all(
            1 <= len(choice) <= MAX_CHOICE for choice in field.choices
        ):
            return _select(
                field, {choice: cut(translate(choice, locale), MAX_CHOICE) for choice in field.choices}, field.value
            )
        case "boolean":
            labels = {"true": translate("yes", locale), "false": translate("no", locale)}
            return _select(field, labels, field.value.casefold())
        case "attachment":
            return ui.FileUpload(
                custom_id=field.name, required=field.required, min_values=int(field.required), max_values=1
            )
        case "user" | "channel" | "role":
            return PICKERS[field.kind](custom_id=field.name, required=field.required, min_values=int(field.required))
        case "integer" | "number":
            return ui.TextInput(
                custom_id=field.name,
                placeholder=_range(field) or None,
                default=field.value or None,
                required=field.required,
            )
    return _text(field)


def _max_length(field: Field) -> int:
    return MAX_TEXT if field.maximum is None else max(1, min(int(field.maximum), MAX_TEXT))


def _text(field: Field) -> ui.TextInput[Any]:
    max_length = _max_length(field)
    is_long = field.kind == "text" and (field.maximum is None or field.maximum > MAX_LINE)
    return ui.TextInput(
        custom_id=field.name,
        style=discord.TextStyle.paragraph if is_long else discord.TextStyle.short,
        default=field.value[:max_length] or None,
        required=field.required,
        max_length=max_length,
    )


def _select(field: Field, labels: dict[str, str], chosen: str) -> ui.Select[Any]:
    options = [
        discord.SelectOption(label=label, value=value, default=value == chosen) for value, label in labels.items()
    ]
    return ui.Select(custom_id=field.name, options=options, required=field.required, min_values=int(field.required))


def _range(field: Field) -> str:
    """Return the range of a number in signs that need no translation: "0 – 2", "≥ 1" or "≤ 5"."""
    low, high = field.minimum, field.maximum
    if low is not None and high is not None:
        return f"{format_number(low)} – {format_number(high)}"
    return f"≥ {format_number(low)}" if low is not None else "" if high is None else f"≤ {format_number(high)}"
