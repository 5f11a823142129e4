"""Forms as Discord's modals, and what a submitted modal holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import ui

from bot.commands.option import format_number
from bot.core.i18n import translate
from bot.core.text import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bot.core.messages import Field, Form

TITLE = LABEL = 45
DESCRIPTION = CHOICE = 100
CHOICES = 25
TEXT = 4000
SHORT = 200
"""A text that may be longer gets several lines to be typed in."""

PICKERS: Mapping[str, type[ui.UserSelect[Any] | ui.ChannelSelect[Any] | ui.RoleSelect[Any]]] = {
    "user": ui.UserSelect,
    "channel": ui.ChannelSelect,
    "role": ui.RoleSelect,
}


def build(form: Form, locale: str) -> ui.Modal:
    """The modal of a form: its custom_id is the form's id, those of its inputs are the names of the fields.

    It is stopped, so that discord.py does not keep it: what is sent comes back as an interaction, after a restart too.
    """
    modal = ui.Modal(title=cut(form.title, TITLE), custom_id=form.id)
    for field in form.fields:
        modal.add_item(_labelled(field, locale))
    modal.stop()
    return modal


def fields(interaction: discord.Interaction) -> dict[str, Any]:
    """What was typed, picked and uploaded in a submitted modal: text or discord.Attachment by name, "" for nothing."""
    data: Any = interaction.data
    files = data.get("resolved", {}).get("attachments", {})
    found: dict[str, Any] = {}
    for component in _inputs(data["components"]):
        values = component["values"] if "values" in component else [component.get("value")]
        value = "" if not values or values[0] is None else values[0]
        if value and component["type"] == discord.ComponentType.file_upload.value:
            value = discord.Attachment(data=files[value], state=interaction.client._connection)
        found[component["custom_id"]] = value
    return found


def _inputs(components: list[Any]) -> Iterator[Any]:
    for component in components:
        if "custom_id" in component:
            yield component
        yield from _inputs(component.get("components", []))
        if "component" in component:
            yield from _inputs([component["component"]])


def _labelled(field: Field, locale: str) -> ui.Label[Any]:
    text, below = translate(field.label, locale), _cut_off(field, locale)
    if len(text) > LABEL:
        # The whole sentence fits below, where it can be read to its end.
        text, below = field.name, below or text
    return ui.Label(text=cut(text, LABEL), description=cut(below, DESCRIPTION) or None, component=_input(field, locale))


def _cut_off(field: Field, locale: str) -> str:
    """What is said of a text that does not fit into its field."""
    if field.kind != "text" or len(field.value) <= (most := _longest(field)):
        return ""
    sentence = "Here is room for {most} characters; of the {count} there were, these are the first."
    return translate(sentence, locale, most=most, count=len(field.value))


def _input(field: Field, locale: str) -> ui.Item[Any]:
    match field.kind:
        case "choice" if len(field.choices) <= CHOICES and all(1 <= len(choice) <= CHOICE for choice in field.choices):
            return _select(field, {choice: choice for choice in field.choices}, field.value)
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


def _longest(field: Field) -> int:
    return TEXT if field.maximum is None else max(1, min(int(field.maximum), TEXT))


def _text(field: Field) -> ui.TextInput[Any]:
    longest = _longest(field)
    is_long = field.kind == "text" and (field.maximum is None or field.maximum > SHORT)
    return ui.TextInput(
        custom_id=field.name,
        style=discord.TextStyle.paragraph if is_long else discord.TextStyle.short,
        default=field.value[:longest] or None,
        required=field.required,
        max_length=longest,
    )


def _select(field: Field, labels: dict[str, str], chosen: str) -> ui.Select[Any]:
    options = [
        discord.SelectOption(label=label, value=value, default=value == chosen) for value, label in labels.items()
    ]
    return ui.Select(custom_id=field.name, options=options, required=field.required, min_values=int(field.required))


def _range(field: Field) -> str:
    """What a number may be, in signs that need no translation: "0 – 2", "≥ 1" or "≤ 5"."""
    low, high = field.minimum, field.maximum
    if low is not None and high is not None:
        return f"{format_number(low)} – {format_number(high)}"
    return f"≥ {format_number(low)}" if low is not None else "" if high is None else f"≤ {format_number(high)}"
