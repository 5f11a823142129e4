"""Slack's slash commands: four of the core's commands have their own, the others are subcommands of /tempera."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.commands.command import Command
    from bot.core.messages import Reply

NATIVE = ("ask", "imagine", "face", "explain")
"""Commands with a slash command of their own, such as /ask; names of Slack's own commands, such as /help, are taken."""
ROOT = "/tempera"
"""The slash command that leads to all commands, as in "/tempera help ask"."""
HELP = "/help"

_COMMAND = re.compile(r"(?<![\w/.:~@<\\-])/(?P<name>[a-z][a-z0-9_-]{0,31})(?![\w/-]|\.\w)")


def read_slash_command(command: str, text: str) -> str:
    """Return a slash command as the core reads it: "/ask Why?" for /ask, "/help ask" for "/tempera help ask"."""
    if command.removeprefix("/") in NATIVE:
        return f"{command} {text}".strip()
    return f"/{text.strip().removeprefix('/')}" if text.strip() else HELP


def read_message(text: str) -> str:
    """Return the text of a message as the core reads it: "/help ask" for "/tempera help ask"."""
    command, _, rest = text.partition(" ")
    return read_slash_command(ROOT, rest) if command == ROOT else text


def usage(command: Command) -> str:
    """Return the usage line of a command as people type it on Slack: "/tempera help [command]"."""
    return adapt_text(command.usage(), [command.name])


def adapt_text(text: str, names: Iterable[str] | None = None) -> str:
    """Return a text of the core with its commands as people type them on Slack: "/tempera help" for "/help".

    `names` are the existing commands; without them, everything that looks like a command counts as one.
    """
    known = None if names is None else {name.partition(" ")[0] for name in names}

    def slack_form(match: re.Match[str]) -> str:
        name = match["name"]
        if name in NATIVE or f"/{name}" == ROOT or (known is not None and name not in known):
            return match[0]
        return f"{ROOT} {name}"

    return _COMMAND.sub(slack_form, text)


def adapt_reply(reply: Reply, names: Iterable[str]) -> Reply:
    """Return a final reply with its commands as people type them on Slack; text of a model is not changed."""
    if not reply.final:
        return reply
    answer, gap, sentence = reply.text.rpartition("\n\n") if reply.error else ("", "", reply.text)
    if reply.error:
        sentence = adapt_text(sentence)
    elif not reply.card and not any(button.action == "again" for button in reply.buttons):
        sentence = adapt_text(sentence, names)
    return replace(reply, text=f"{answer}{gap}{sentence}")
