"""The cause of an answer that a button led to: who pressed what, and what it changed. It is stored with the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.core.button_ids import FORMS, Kind
from bot.core.i18n import Sentence
from bot.core.messages import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.core.button_ids import ButtonId
    from bot.core.model_events import Token
    from bot.storage.database import MessageRow

CAUSE = "cause"
"""The key in `MessageRow.resume` of an answer whose cause is known."""
SIGNS = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥"})
"""Signs for a token of white space alone."""


def describe_press(
    button: ButtonId, label: str, row: MessageRow, command: Command, options: Mapping[str, Any], tokens: Sequence[Token]
) -> dict[str, Any]:
    """Return, as JSON, what is stored about a press of a button under the answer `row`.

    It led to `command` with `options`. `label` is that of a plugin's button, else "". `tokens` are those of the answer
    if it is forked.
    """
    if button.kind == Kind.FORK:
        return {"action": button.name} | _describe_fork(tokens, options["at"], options["choice"])
    if label:
        return {"label": label}
    described: dict[str, Any] = {"action": button.name}
    if changed := _find_changes(row.options, command, options):
        described["changed"] = changed
    text = command.free_text
    if button.kind in FORMS and text is not None and row.options.get(text.name) != options.get(text.name):
        described["asks"] = True
    return described


def read_cause(row: MessageRow) -> Cause | None:
    """Return what led to an answer; None where nothing is stored, as for questions that were typed."""
    stored = row.resume.get(CAUSE)
    if not stored:
        return None
    name, chosen, instead = row.author_name, stored.get("chosen", ""), stored.get("instead", "")
    # The core's buttons are labelled with their actions.
    button = stored.get("label") or Sentence(stored["action"].capitalize())
    values: dict[str, object] = {"name": name, "button": button}
    if chosen and instead:
        sentence = "{name} chose “{chosen}” instead of “{instead}”"
        values = {"name": name, "chosen": chosen, "instead": instead}
    elif stored.get("action") == Kind.FORK:
        sentence = "{name} chose another token"
    elif "changed" in stored or "change" in stored:
        sentence = "{name} pressed {button} → {change}"
        # Earlier versions stored the words.
        values["change"] = stored.get("change") or _tell_changes(stored["changed"], stored["action"])
    else:
        sentence = "{name} pressed {button}"
    return Cause(
        Sentence(sentence, values), row.source or 0, stored.get("mark", ""), stored.get("at", 0), asks="asks" in stored
    )


def _find_changes(before: Mapping[str, Any], command: Command, after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that differ, with their new values."""
    return {
        option.name: after.get(option.name)
        for option in command.options
        if _is_shown(option) and option.name in before and before[option.name] != after.get(option.name)
    }


def _tell_changes(changed: Mapping[str, Any], action: str) -> Sentence:
    """Return changed options as people read them, "temperature 1.3, max tokens 100"; for Warmer the value alone."""
    values: dict[str, object] = {}
    for number, (name, value) in enumerate(changed.items()):
        values[f"name{number}"] = Sentence(name.replace("_", " "))
        values[f"value{number}"] = "–" if value is None else Sentence(value) if isinstance(value, str) else value
    field = "{{value{0}}}" if action in (Kind.COOLER, Kind.WARMER) else "{{name{0}}} {{value{0}}}"
    return Sentence(", ".join(map(field.format, range(len(changed)))), values)


def _is_shown(option: Option) -> bool:
    """Return whether a change of the option is named: a text may be long, and each answer has another seed."""
    return option.name != "seed" and (option.type in (int, float, bool) or bool(option.choices))


def _describe_fork(tokens: Sequence[Token], at: int, choice: int) -> dict[str, Any]:
    """Return which token takes the place of which one, and where in the text; {} if a word must not be shown.

    A page counts the characters before it as JavaScript does, in units of UTF-16.
    """
    if at >= len(tokens) or choice >= len(tokens[at].likely):
        # The command refuses such a fork.
        return {}
    old, new = tokens[at].text, tokens[at].likely[choice]
    if new.hidden or not (old and new.text):
        return {}
    shown = {"chosen": new.text.strip() or new.text.translate(SIGNS), "instead": old.strip() or old.translate(SIGNS)}
    if not (mark := new.text.strip()):
        return shown
    blanks = len(new.text) - len(new.text.lstrip())
    return shown | {"mark": mark, "at": _count_units("".join(token.text for token in tokens[:at])) + blanks}


def _count_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
