"""Which commands have a slash command of their own on Slack, and what the others are reached by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.command import Command

NATIVE = ("ask", "imagine", "face", "explain")
"""Slack has these as /ask and so on; its own names, such as /help, cannot be taken."""
ROOT = "/tempera"
"""Leads to all commands: "/tempera help ask"."""
HELP = "/help"


def line(command: str, text: str) -> str:
    """What was typed, as the core reads it: "/ask Why?" for /ask, "/help ask" for `/tempera help ask`."""
    if command.removeprefix("/") in NATIVE:
        return f"{command} {text}".strip()
    return f"/{text.strip().removeprefix('/')}" if text.strip() else HELP


def usage(command: Command) -> str:
    """One line in the shape that people type on Slack: "/tempera help [command]"."""
    shape = command.usage()
    return shape if command.name in NATIVE else f"{ROOT} {shape.removeprefix('/')}"
