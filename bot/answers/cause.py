"""The cause of an answer that a button led to: who pressed what, and what it changed. It is stored with the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.answers import buttons
from bot.core.i18n import Sentence
from bot.core.messages import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.core.model_events import Token
    from bot.storage.database import MessageRow

CAUSE = "cause"
"""The key in `MessageRow.resume` of an answer whose cause is known."""
SIGNS = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥"})
"""Signs for a token of white space alone."""


def describe_press(
    action: str, label: str, row: MessageRow, command: Command, options: Mapping[str, Any], tokens: Sequence[Token]
) -> dict[str, Any]:
    """Return, as JSON, what is stored about a press of `action` under the answer `row`.

    It led to `command` with `options`. `label` is that of a plugin's button, else "". `tokens` are those of the answer
    if it is forked.
    """
    if action == buttons.FORK:
        return {"action": action} | _describe_fork(tokens, options["at"], options["choice"])
    if label:
        return {"label": label}
    described: dict[str, Any] = {"action": action}
    if change := _describe_change(action, row.options, command, options):
        described["change"] = change
    text = command.free_text
    if action in buttons.FORMS and text is not None and row.options.get(text.name) != options.get(text.name):
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
    elif stored.get("action") == buttons.FORK:
        sentence = "{name} chose another token"
    elif change := stored.get("change"):
        sentence = "{name} pressed {button} → {change}"
        values["change"] = change
    else:
        sentence = "{name} pressed {button}"
    return Cause(
        Sentence(sentence, values), row.source or 0, stored.get("mark", ""), stored.get("at", 0), asks="asks" in stored
    )


def _describe_change(action: str, before: Mapping[str, Any], command: Command, after: Mapping[str, Any]) -> str:
    """Return the options that differ, "temperature 1.3, max tokens 100"; for Cooler and Warmer the value alone."""
    changed = [
        option.name
        for option in command.options
        if _is_shown(option) and option.name in before and before[option.name] != after.get(option.name)
    ]
    if action in ("cooler", "warmer"):
        return ", ".join(_format(after[name]) for name in changed)
    return ", ".join(f"{name.replace('_', ' ')} {_format(after.get(name))}" for name in changed)


def _is_shown(option: Option) -> bool:
    """Return whether a change of the option is named: a text may be long, and each answer has another seed."""
    return option.name != "seed" and (option.type in (int, float, bool) or bool(option.choices))


def _format(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "–" if value is None else str(value)


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
