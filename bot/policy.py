"""Who may do what. Decided from memory, before anything slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.errors import PermissionDenied

if TYPE_CHECKING:
    from bot.command import Command
    from bot.message import User


def allows(user: User, command: Command) -> bool:
    """Whether `user` may use `command` at all."""
    return user.is_moderator or user.is_operator or not command.moderator


def check(user: User, command: Command) -> None:
    """Raise PermissionDenied, with the reason, if `user` may not use `command`."""
    if not allows(user, command):
        raise PermissionDenied("/{command} is for moderators.", command=command.name)
