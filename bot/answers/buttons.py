"""The buttons under an answer: which ones there are, who may press them, and what they do to the options."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.core.button_ids import ANYBODY, READERS, ButtonId, Kind
from bot.core.errors import Expired, OptionError, PermissionDenied, UserError
from bot.core.i18n import translate
from bot.core.messages import ALONE, Button, Field, Form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.core.button_ids import FormId
    from bot.core.messages import Reply, User
    from bot.storage.database import MessageRow

TEMPERATURE_STEP = 0.3
"""How much Cooler and Warmer change the temperature."""
FORK_FIELDS = ("at", "choice")
"""The fields of a click on a token: the token, and which of the likely tokens takes its place."""
EARLIER_VALUES = {"min_p": 0.0}
"""What answers were made with that were stored before there was such an option."""
COMPARED = frozenset({"temperature", "temperatures"})
"""Options by whose values answers are compared."""


def check_rights(button: ButtonId, row: MessageRow, user: User) -> None:
    """Raise PermissionDenied unless `user` may press a button under `row`, as the asker and moderators may."""
    is_open = button.kind in ANYBODY or (button.kind in READERS and not row.private)
    if is_open or user.is_moderator or user.is_operator or user.id == row.author:
        return
    sentence = "Only {name}, who asked, and moderators can do that."
    raise PermissionDenied(sentence, code="owner", what=button.name, name=row.author_name)


def assign_ids(buttons: Sequence[Button], row_id: int, first: int = 0) -> tuple[Button, ...]:
    """Return a plugin's buttons with ids; those without one are numbered from `first`."""
    return tuple(
        button if button.id else replace(button, id=str(_id_of(button, row_id, number)))
        for number, button in enumerate(buttons, first)
    )


def _id_of(button: Button, row_id: int, number: int) -> ButtonId:
    if button.choices:
        return ButtonId(Kind.CHOICE, row_id)
    return ButtonId(Kind.PAGE if button.turns else Kind.PLUGIN, row_id, number)


def assign_choice_ids(choices: Sequence[Button], row_id: int) -> tuple[Button, ...]:
    """Return the choices behind a button of the answer `row_id` with ids; what has one already is no choice."""
    return tuple(
        choice if choice.id else replace(choice, id=str(ButtonId(Kind.CHOICE, row_id, number)))
        for number, choice in enumerate(choices, 1)
    )


def stored_buttons(row: MessageRow) -> tuple[Button, ...]:
    """Return the plugin's buttons of a stored answer."""
    return assign_ids([Button(**button) for button in row.buttons], row.id)


def find_button(pressed: ButtonId, row: MessageRow) -> Button | None:
    """Return the plugin's button of a stored answer that was pressed; None if the answer no longer has it."""
    return next((button for button in stored_buttons(row) if button.id == str(pressed)), None)


def next_number(row: MessageRow) -> int:
    """Return the first number for buttons of the next page, so that none has the id of a button of this page."""
    ids = (ButtonId.parse(button.id) for button in stored_buttons(row))
    return max((known.number + 1 for known in ids if known is not None), default=0)


def core_button(kind: Kind, row_id: int, label: str, style: str = "secondary") -> Button:
    """Return a button of the core under the answer `row_id`."""
    return Button(label, action=kind, id=str(ButtonId(kind, row_id)), style=style)


def running_buttons(row_id: int, reply: Reply, locale: str) -> tuple[Button, ...]:
    """Return the buttons of an answer that is queued or growing: the plugin's, and Stop."""
    stop = core_button(Kind.STOP, row_id, translate("Stop", locale), "danger")
    return (*assign_ids(reply.buttons, row_id), stop)


def finished_buttons(
    command: Command | None, row: MessageRow, reply: Reply, votes: tuple[int, int], locale: str
) -> tuple[Button, ...]:
    """Return the buttons of a finished answer: first the plugin's, then those that its command's options allow."""
    offered = [*assign_ids(reply.buttons, row.id)]

    def add(kind: Kind, label: str, style: str = "secondary") -> None:
        offered.append(core_button(kind, row.id, label, style))

    if command is not None and command.option("seed") is not None:
        add(Kind.AGAIN, translate("Again", locale))
        temperature = row.options.get("temperature")
        option = command.option("temperature")
        if option is not None and isinstance(temperature, (int, float)):
            if option.minimum is None or temperature > option.minimum:
                add(Kind.COOLER, translate("Cooler", locale))
            if option.maximum is None or temperature < option.maximum:
                add(Kind.WARMER, translate("Warmer", locale))
        if any(option.form for option in command.options):
            add(Kind.EDIT, translate("Edit", locale))
    if command is not None and command.reads_history and _begins_afresh(row) and _is_turn(row, reply):
        add(Kind.CONTINUE, translate("Continue", locale))
    if not reply.private:
        add(Kind.DELETE, translate("Delete", locale), "danger")
        up, down = votes
        add(Kind.UP, f"👍 {up}" if up else "👍")
        add(Kind.DOWN, f"👎 {down}" if down else "👎")
    return tuple(offered)


def _begins_afresh(row: MessageRow) -> bool:
    """Return whether the next question at the place of an answer would not go on from it."""
    return not row.thread and not row.resume.get(ALONE, not row.server)


def _is_turn(row: MessageRow, reply: Reply) -> bool:
    return bool(reply.text) and not reply.error and row.state != "interrupted"


def accepted_fields(kind: Kind, command: Command, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the sent `fields` that a button accepts; others may have been made up by the sender."""
    names: Sequence[str] = ()
    if kind == Kind.EDIT:
        names = [option.name for option in command.options if option.form]
    elif kind == Kind.FORK:
        names = FORK_FIELDS
    elif kind == Kind.CONTINUE and command.free_text is not None:
        names = [command.free_text.name]
    return {name: value for name, value in fields.items() if name in names}


def stored_options(command: Command, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the `stored` options that a command still has, with the nearest values that it accepts now.

    Whoever presses a button did not choose them, and may be allowed less than who asked. A temperature stays, and is
    refused if it is above the limit: answers are compared by it.
    """
    found = ((command.option(name), value) for name, value in stored.items())
    return {
        option.name: value if option.name in COMPARED else option.clamp(value)
        for option, value in found
        if option is not None
    }


def changed_options(kind: Kind, command: Command, row: MessageRow, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the answer that a button under `row` asks for, with the `fields` that it accepts."""
    options = stored_options(command, EARLIER_VALUES | row.options)
    accepted = accepted_fields(kind, command, fields)
    match kind:
        case Kind.AGAIN:
            return options | {"seed": None}
        case Kind.COOLER | Kind.WARMER:
            option = command.option("temperature")
            if option is None or "temperature" not in options:
                raise UserError("/{command} has no temperature.", command=command.name)
            value = options["temperature"] + (TEMPERATURE_STEP if kind == Kind.WARMER else -TEMPERATURE_STEP)
            # The same seed, so that only the temperature differs; only an answer with a card has a seed of its own.
            seed = {} if row.seed is None else {"seed": row.seed}
            return options | {"temperature": round(option.clamp(value), 2)} | seed
        case Kind.EDIT:
            return options | {"seed": None} | accepted
        case Kind.CONTINUE:
            if command.free_text is not None:
                options.pop(command.free_text.name, None)
            return options | {"seed": None} | accepted
        case Kind.FORK:
            return options | {"seed": None, "answer": row.id} | accepted
        case _:
            raise Expired("This button has expired.")


def make_form(command: Command, values: Mapping[str, Any], form: ButtonId | FormId) -> Form:
    """Return the form of a command with a field for each of its `form_options`, filled in with `values`."""
    shown = command.form_options(values)
    if not shown:
        raise OptionError("", "/{command} has no form.", command=command.name)
    fields = tuple(make_field(option, values.get(option.name, option.default)) for option in shown)
    return Form(str(form), f"/{command.known_as}", fields)


def make_continue_form(command: Command, button: ButtonId, locale: str) -> Form:
    """Return the form behind Continue, with one field for the next question."""
    if not command.reads_history or command.free_text is None:
        raise Expired("This button has expired.")
    fields = (make_field(command.free_text, None),)
    return Form(str(button), translate("Continue", locale), fields)


def make_field(option: Option, value: Any) -> Field:
    """Return the field of an option, filled in with `value`, or with the nearest value that is accepted now."""
    return Field(
        name=option.name,
        label=option.description or option.name,
        kind=option.kind,
        value=_field_text(option.clamp(value)),
        required=option.required,
        minimum=option.minimum,
        maximum=option.maximum,
        choices=tuple(map(str, option.choices)),
    )


def _field_text(value: Any) -> str:
    return "" if value is None else str(value)
