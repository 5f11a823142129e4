"""The rules for who may use which command where.

They are decided from memory, before anything slow, and refuse wherever something is not known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot.core.errors import PermissionDenied
from bot.core.i18n import Sentence
from bot.settings.builtin import PAUSED
from bot.settings.plugin_switches import PINNED, is_on, switch_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.access.timeouts import TimeOut, TimeOuts
    from bot.commands.command import Command
    from bot.core.adapters import Capabilities
    from bot.core.messages import Place, User
    from bot.settings.resolver import Settings

LIFT_COMMAND = "/timeouts lift"
NO_DIRECT_MESSAGES = Sentence("I do not answer direct messages here. Ask me in a channel of a server that I am in.")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that refuses: its code, the sentence for the asker, and the setting or command that can change it.

    `is_fixed` says that no moderator can.
    """

    code: str
    sentence: Sentence
    setting: str = ""
    is_fixed: bool = False

    def as_error(self, what: str) -> PermissionDenied:
        """Return it as the error to raise; `what` is the command or button that was refused."""
        return PermissionDenied(self.sentence.text, code=self.code, what=what, **self.sentence.values)


class Policy:
    """Decides by the settings of each place and by the time-outs in force; `direct_messages` is the operator's word."""

    def __init__(self, settings: Settings, timeouts: TimeOuts | None = None, *, direct_messages: bool = True) -> None:
        self._settings = settings
        self._timeouts = timeouts
        self._direct_messages = direct_messages

    def resolve_user(self, user: User, place: Place) -> User:
        """Return `user` with the rights that the settings of `place` give them."""
        if user.is_moderator or user.is_operator:
            return replace(user, is_moderator=True)
        users = self._settings.value("moderators.users", place).split()
        roles = self._settings.value("moderators.roles", place).split()
        # A user whose roles are not known counts as one without roles.
        return replace(user, is_moderator=user.id in users or not set(user.roles or ()).isdisjoint(roles))

    def refusals(self, user: User, command: Command, place: Place) -> Iterator[Refusal]:
        """Yield every rule that keeps a resolved `user` from `command` in `place`; they are told the first."""
        values = {"command": command.name}
        if command.plugin not in PINNED:
            if not self.answers_in(place):
                yield Refusal("direct", NO_DIRECT_MESSAGES, is_fixed=True)
            yield from self.timeout_refusals(user, place)
        if not is_on(command.plugin, place, self._settings):
            yield Refusal("off", Sentence("/{command} is switched off here.", values), switch_name(command.plugin))
        if command.moderator and not user.is_moderator:
            yield Refusal("moderators", Sentence("/{command} is for moderators.", values))
        # Moderators must be able to undo whatever they set.
        if command.plugin not in PINNED and not user.is_moderator:
            yield from self.pause_refusals(user, place)
            yield from self._channel_refusals(place)
            yield from self._role_refusals(user, place)

    def answers_in(self, place: Place) -> bool:
        """Return whether the operator lets people use the bot in a place of this kind."""
        # Without a server it is a direct message, unless the person who runs the bot sits there.
        return (
            self._direct_messages or bool(place.server) or self._settings.adapters.capabilities(place.platform).is_local
        )

    def timeout_refusals(self, user: User, place: Place) -> Iterator[Refusal]:
        """Yield the refusal of a resolved `user` who is timed out in `place`; nothing for anybody else."""
        timeout = None if self._timeouts is None or user.is_moderator else self._timeouts.find_active(user, place)
        if timeout is not None:
            yield Refusal(
                "timeout",
                _timeout_sentence(timeout, self._settings.adapters.capabilities(place.platform)),
                LIFT_COMMAND,
            )

    def pause_refusals(self, user: User, place: Place) -> Iterator[Refusal]:
        """Yield the refusal of a resolved `user` while `place` is paused; nothing for moderators."""
        if (name := self.paused_by(place)) is not None and not user.is_moderator:
            named = Sentence("{name} has paused the chat. Wait until it goes on.", {"name": name})
            yield Refusal("paused", named if name else Sentence("The chat is paused. Wait until it goes on."), PAUSED)

    def paused_by(self, place: Place) -> str | None:
        """Return who has paused `place`, "" if that is not known; None if it is not paused."""
        level = self._settings.effective_level(PAUSED, place)
        if not level.value:
            return None
        return "" if level.scope is None else self._settings.scopes.actor_name(level.scope, PAUSED)

    def is_read_only(self, place: Place) -> bool:
        """Return whether nobody but moderators may use the bot in the channel of `place`."""
        return next(self._channel_refusals(place), None) is not None

    def _channel_refusals(self, place: Place) -> Iterator[Refusal]:
        allowed = self._settings.value("access.channels", place).split()
        denied = self._settings.value("access.channels.denied", place).split()
        if allowed and place.channel not in allowed:
            sentence = Sentence("I may be used in some channels alone, and this one is not among them.")
            yield Refusal("channel", sentence, "access.channels")
        if place.channel in denied:
            yield Refusal("channel", Sentence("Only moderators may use me in this channel."), "access.channels.denied")

    def _role_refusals(self, user: User, place: Place) -> Iterator[Refusal]:
        allowed = set(self._settings.value("access.roles", place).split())
        denied = set(self._settings.value("access.roles.denied", place).split())
        if allowed and allowed.isdisjoint(user.roles or ()):
            sentence = Sentence("Only people with certain roles may use me here, and you have none of these.")
            yield Refusal("role", sentence, "access.roles")
        if denied and user.roles is None:
            sentence = Sentence("I could not find out which roles you have here, and some may not use me.")
            yield Refusal("role", sentence, "access.roles.denied")
        elif not denied.isdisjoint(user.roles or ()):
            yield Refusal("role", Sentence("People with one of your roles may not use me here."), "access.roles.denied")

    def allows(self, user: User, command: Command, place: Place) -> bool:
        """Return whether a resolved `user` may use `command` in `place`."""
        return next(self.refusals(user, command, place), None) is None

    def check(self, user: User, command: Command, place: Place) -> None:
        """Raise PermissionDenied with the first refusal if a resolved `user` may not use `command` in `place`."""
        if (refusal := next(self.refusals(user, command, place), None)) is not None:
            raise refusal.as_error(command.name)


def _timeout_sentence(timeout: TimeOut, capabilities: Capabilities) -> Sentence:
    values = {"until": capabilities.show_time(timeout.until), "reason": timeout.reason}
    if timeout.reason:
        return Sentence(
            "Moderators have timed you out: you can use me again at {until}. Their reason: {reason}", values
        )
    return Sentence("Moderators have timed you out: you can use me again at {until}.", values)
