"""The buttons under an answer: their ids, who may press them, and what they do to the options."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.core.errors import Expired, OptionError, PermissionDenied, UserError
from bot.core.i18n import translate
from bot.core.messages import ALONE, Button, Field, Form
from bot.storage.database import MAX_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.core.messages import Reply, User
    from bot.storage.database import MessageRow

FORM_PREFIX = "c:"
"""The id of a command's form is this and the name of the command."""
BUTTON_ID = re.compile(r"t:(?P<action>[a-z]+[0-9]*):(?P<row>[0-9]{1,18})")
TEMPERATURE_STEP = 0.3
"""How much Cooler and Warmer change the temperature."""

IN_PLACE = frozenset({"stop", "delete", "up", "down"})
"""Buttons that change the message they are under, as those that turn a page do; other buttons lead to a new message."""
ANYBODY = frozenset({"up", "down"})
"""Buttons that everybody may press."""
FORK = "fork"
"""The action of a click on a token: another answer that continues from that token."""
FORK_FIELDS = ("at", "choice")
"""The fields of such a click: the token, and which of the likely tokens takes its place."""
EARLIER_VALUES = {"min_p": 0.0}
"""What answers were made with that were stored before there was such an option."""
CONTINUE = "continue"
"""The button that asks for the next question about an answer; whoever presses it goes on for themselves."""
COMPARED = frozenset({"temperature", "temperatures"})
"""Options by whose values answers are compared."""
FORMS = frozenset({"edit", CONTINUE})
"""Buttons that open a form."""
CHOICES = "c0"
"""The button that leads to choices; these are "c1", "c2" …."""
REPEATS = frozenset({"again", "cooler", "warmer", FORK})
"""Buttons that lead to another answer to the same question."""


def parse_id(action_id: str) -> tuple[str, int]:
    """Return the action and the row of an id "t:<action>:<row id>". Raises Expired for any other text."""
    match = BUTTON_ID.fullmatch(action_id)
    if match is None or int(match["row"]) > MAX_ID:
        raise Expired("This button has expired.")
    return match["action"], int(match["row"])


def is_stop(action_id: str) -> bool:
    """Return whether an id begins as those of Stop buttons do."""
    return action_id.startswith("t:stop:")


def is_choice(action_id: str) -> bool:
    """Return whether an id is that of a button that leads to choices, or of one of the choices."""
    match = BUTTON_ID.fullmatch(action_id)
    return match is not None and is_choice_button(match["action"])


def check_rights(action: str, row: MessageRow, user: User) -> None:
    """Raise PermissionDenied unless `user` may press `action` under `row`, as the asker and moderators may."""
    if action in (FORK, CONTINUE) and not row.private:
        return
    if action in ANYBODY or is_plugin_button(action) or user.is_moderator or user.is_operator or user.id == row.author:
        return
    sentence = "Only {name}, who asked, and moderators can do that."
    raise PermissionDenied(sentence, code="owner", what=action, name=row.author_name)


def is_plugin_button(action: str) -> bool:
    """Return whether it is a button of a plugin: "b0", "b1" …, "p0", "p1" … if it turns a page, or one of choices."""
    return action[0] in "bpc" and action[1:].isdecimal()


def is_page_button(action: str) -> bool:
    """Return whether it is a plugin's button that turns a page."""
    return action[0] == "p" and is_plugin_button(action)


def is_choice_button(action: str) -> bool:
    """Return whether it is a plugin's button that leads to choices, "c0", or one of the choices, "c1", "c2" …."""
    return action[0] == "c" and is_plugin_button(action)


def assign_ids(buttons: Sequence[Button], row_id: int, first: int = 0) -> tuple[Button, ...]:
    """Return a plugin's buttons with ids; those without one are numbered from `first`."""
    return tuple(
        button if button.id else replace(button, id=f"t:{_action_of(button, number)}:{row_id}")
        for number, button in enumerate(buttons, first)
    )


def _action_of(button: Button, number: int) -> str:
    if button.choices:
        return CHOICES
    return f"{'p' if button.turns else 'b'}{number}"


def assign_choice_ids(choices: Sequence[Button], row_id: int) -> tuple[Button, ...]:
    """Return the choices behind a button of the answer `row_id` with ids; what has one already is no choice."""
    return tuple(
        choice if choice.id else replace(choice, id=f"t:c{number}:{row_id}") for number, choice in enumerate(choices, 1)
    )


def stored_buttons(row: MessageRow) -> tuple[Button, ...]:
    """Return the plugin's buttons of a stored answer."""
    return assign_ids([Button(**button) for button in row.buttons], row.id)


def next_number(row: MessageRow) -> int:
    """Return the first number for buttons of the next page, so that none has the id of a button of this page."""
    return max((int(parse_id(button.id)[0][1:]) + 1 for button in stored_buttons(row)), default=0)


def running_buttons(row_id: int, reply: Reply, locale: str) -> tuple[Button, ...]:
    """Return the buttons of an answer that is queued or growing: the plugin's, and Stop."""
    stop = Button(translate("Stop", locale), action="stop", id=f"t:stop:{row_id}", style="danger")
    return (*assign_ids(reply.buttons, row_id), stop)


def finished_buttons(
    command: Command | None, row: MessageRow, reply: Reply, votes: tuple[int, int], locale: str
) -> tuple[Button, ...]:
    """Return the buttons of a finished answer: first the plugin's, then those that its command's options allow."""
    offered = [*assign_ids(reply.buttons, row.id)]

    def add(action: str, label: str, style: str = "secondary") -> None:
        offered.append(Button(label, action=action, id=f"t:{action}:{row.id}", style=style))

    if command is not None and command.option("seed") is not None:
        add("again", translate("Again", locale))
        temperature = row.options.get("temperature")
        option = command.option("temperature")
        if option is not None and isinstance(temperature, (int, float)):
            if option.minimum is None or temperature > option.minimum:
                add("cooler", translate("Cooler", locale))
            if option.maximum is None or temperature < option.maximum:
                add("warmer", translate("Warmer", locale))
        if any(option.form for option in command.options):
            add("edit", translate("Edit", locale))
    if command is not None and command.reads_history and _begins_afresh(row) and _is_turn(row, reply):
        add(CONTINUE, translate("Continue", locale))
    if not reply.private:
        add("delete", translate("Delete", locale), "danger")
        up, down = votes
        add("up", f"👍 {up}" if up else "👍")
        add("down", f"👎 {down}" if down else "👎")
    return tuple(offered)


def _begins_afresh(row: MessageRow) -> bool:
    """Return whether the next question at the place of an answer would not go on from it."""
    return not row.thread and not row.resume.get(ALONE, not row.server)


def _is_turn(row: MessageRow, reply: Reply) -> bool:
    return bool(reply.text) and not reply.error and row.state != "interrupted"


def accepted_fields(action: str, command: Command, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the sent `fields` that `action` accepts; others may have been made up by the sender."""
    names: Sequence[str] = ()
    if action == "edit":
        names = [option.name for option in command.options if option.form]
    elif action == FORK:
        names = FORK_FIELDS
    elif action == CONTINUE and command.free_text is not None:
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


def changed_options(action: str, command: Command, row: MessageRow, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the answer that `action` under `row` asks for, with the `fields` that it accepts."""
    options = stored_options(command, EARLIER_VALUES | row.options)
    match action:
        case "again":
            options["seed"] = None
        case "cooler" | "warmer":
            option = command.option("temperature")
            if option is None or "temperature" not in options:
                raise UserError("/{command} has no temperature.", command=command.name)
            value = options["temperature"] + (TEMPERATURE_STEP if action == "warmer" else -TEMPERATURE_STEP)
            options["temperature"] = round(option.clamp(value), 2)
            # The same seed, so that only the temperature differs; only an answer with a card has a seed of its own.
            if row.seed is not None:
                options["seed"] = row.seed
        case "edit":
            options |= {"seed": None} | accepted_fields(action, command, fields)
        case "continue":
            text = command.free_text
            options = {name: value for name, value in options.items() if text is None or name != text.name}
            options |= {"seed": None} | accepted_fields(action, command, fields)
        case "fork":
            options |= {"seed": None, "answer": row.id} | accepted_fields(action, command, fields)
        case _:
            raise Expired("This button has expired.")
    return options


def make_form(command: Command, values: Mapping[str, Any], form_id: str) -> Form:
    """Return the form of a command with a field for each of its `form_options`, filled in with `values`."""
    shown = command.form_options(values)
    if not shown:
        raise OptionError("", "/{command} has no form.", command=command.name)
    fields = tuple(make_field(option, values.get(option.name, option.default)) for option in shown)
    return Form(form_id, f"/{command.known_as}", fields)


def make_continue_form(command: Command, row_id: int, locale: str) -> Form:
    """Return the form behind Continue, with one field for the next question."""
    if not command.reads_history or command.free_text is None:
        raise Expired("This button has expired.")
    fields = (make_field(command.free_text, None),)
    return Form(f"t:{CONTINUE}:{row_id}", translate("Continue", locale), fields)


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
