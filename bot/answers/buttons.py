"""The buttons under an answer: their ids, who may press them, and what they do to the options."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.core.errors import Expired, OptionError, PermissionDenied, UserError
from bot.core.i18n import translate
from bot.core.messages import Button, Field, Form
from bot.storage.database import MAX_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.core.messages import Reply, User
    from bot.storage.database import MessageRow

ID = re.compile(r"t:(?P<action>[a-z]+[0-9]*):(?P<row>[0-9]{1,18})")
STEP = 0.3
"""What Cooler and Warmer change the temperature by."""

IN_PLACE = frozenset({"stop", "delete", "up", "down"})
"""These change the message they stand under, as do those that turn a page; the others answer with a new one."""
ANYBODY = frozenset({"up", "down"})
FORK = "fork"
"""Another answer that goes on from a token of this one: no button of a message, but a click on that token."""
CHOSEN = ("at", "choice")
"""What such a click says: which token, and which of those that were likely there."""
REPEATS = frozenset({"again", "cooler", "warmer", FORK})
"""These answer the same question once more."""


def parse(action_id: str) -> tuple[str, int]:
    """Action and row of an id "t:<action>:<row id>". Raises Expired for what is none of ours."""
    match = ID.fullmatch(action_id)
    if match is None or int(match["row"]) > MAX_ID:
        raise Expired("This button has expired.")
    return match["action"], int(match["row"])


def check(action: str, row: MessageRow, user: User) -> None:
    """Raise PermissionDenied unless `user` may press `action` under `row`: the asker and moderators may."""
    if action == FORK and not row.private:
        return
    if action in ANYBODY or is_plugins(action) or user.is_moderator or user.is_operator or user.id == row.author:
        return
    sentence = "Only {name}, who asked, and moderators can do that."
    raise PermissionDenied(sentence, code="owner", what=action, name=row.author_name)


def is_plugins(action: str) -> bool:
    """Whether the button is a plugin's own: "b0", "b1" …, and "p0", "p1" … for those that turn a page."""
    return action[0] in "bp" and action[1:].isdecimal()


def is_turning(action: str) -> bool:
    """Whether the button is a plugin's own that turns a page."""
    return action[0] == "p" and is_plugins(action)


def numbered(buttons: Sequence[Button], row_id: int, first: int = 0) -> tuple[Button, ...]:
    """A plugin's buttons with their ids, those that have none yet counted from `first`."""
    return tuple(
        button if button.id else replace(button, id=f"t:{'p' if button.turns else 'b'}{number}:{row_id}")
        for number, button in enumerate(buttons, first)
    )


def stored(row: MessageRow) -> tuple[Button, ...]:
    """The plugin's buttons of a stored answer."""
    return numbered([Button(**button) for button in row.buttons], row.id)


def following(row: MessageRow) -> int:
    """What the buttons of the next page are counted from, so that none is taken for one of this page."""
    return max((int(parse(button.id)[0][1:]) + 1 for button in stored(row)), default=0)


def running(row_id: int, locale: str) -> tuple[Button, ...]:
    """The buttons of an answer that is queued or growing."""
    return (Button(translate("Stop", locale), action="stop", id=f"t:stop:{row_id}", style="danger"),)


def finished(
    command: Command | None, row: MessageRow, reply: Reply, votes: tuple[int, int], locale: str
) -> tuple[Button, ...]:
    """The buttons of an answer that is over: the plugin's own first, then what its command's options allow."""
    found = [*numbered(reply.buttons, row.id)]

    def add(action: str, label: str, style: str = "secondary") -> None:
        found.append(Button(label, action=action, id=f"t:{action}:{row.id}", style=style))

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
    if not reply.private:
        add("delete", translate("Delete", locale), "danger")
        up, down = votes
        add("up", f"👍 {up}" if up else "👍")
        add("down", f"👎 {down}" if down else "👎")
    return tuple(found)


def taken(action: str, command: Command, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What `action` changes of `fields`, of which whoever sends them may have made up some."""
    names = {"edit": [option.name for option in command.options if option.form], FORK: CHOSEN}.get(action, ())
    return {name: value for name, value in fields.items() if name in names}


def changed(action: str, command: Command, row: MessageRow, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the answer that a press of `action` under `row` asks for, with the `fields` that it takes."""
    options = {name: value for name, value in row.options.items() if command.option(name) is not None}
    match action:
        case "again":
            options["seed"] = None
        case "cooler" | "warmer":
            option = command.option("temperature")
            if option is None or "temperature" not in options:
                raise UserError("/{command} has no temperature.", command=command.name)
            value = options["temperature"] + (STEP if action == "warmer" else -STEP)
            options["temperature"] = round(_within(option, value), 2)
            # The same seed, so that the temperature is all that differs; only an answer with a card has one of its own.
            if row.seed is not None:
                options["seed"] = row.seed
        case "edit":
            options |= {"seed": None} | taken(action, command, fields)
        case "fork":
            options |= {"seed": None, "answer": row.id} | taken(action, command, fields)
        case _:
            raise Expired("This button has expired.")
    return options


def form(command: Command, values: Mapping[str, Any], form_id: str) -> Form:
    """The form of a command: a field for each of its `form_options`, filled in with `values`."""
    shown = command.form_options(values)
    if not shown:
        raise OptionError("", "/{command} has no form.", command=command.name)
    fields = tuple(field(option, values.get(option.name, option.default)) for option in shown)
    return Form(form_id, f"/{command.known_as}", fields)


def field(option: Option, value: Any) -> Field:
    """The field of an option, filled in with `value`, or what is nearest to it of what may be given now."""
    if option.type in (int, float) and isinstance(value, (int, float)):
        value = option.type(_within(option, value))
    return Field(
        name=option.name,
        label=option.description or option.name,
        kind=option.kind,
        value=_shown(value),
        required=option.required,
        minimum=option.minimum,
        maximum=option.maximum,
        choices=tuple(map(str, option.choices)),
    )


def _within(option: Option, value: float) -> float:
    value = value if option.minimum is None else max(value, option.minimum)
    return value if option.maximum is None else min(value, option.maximum)


def _shown(value: Any) -> str:
    return "" if value is None else str(value)
