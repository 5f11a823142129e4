"""Who may do what where. Decided from memory, before anything slow, and no wherever something is not known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot.core.errors import PermissionDenied
from bot.core.i18n import Sentence
from bot.settings.plugin_switches import PINNED, enabled, is_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.access.timeouts import TimeOut, TimeOuts
    from bot.commands.command import Command
    from bot.core.messages import Place, User
    from bot.settings.resolver import Settings

LIFT = "/timeouts lift"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One rule that says no: its code, what whoever asks is told, and the setting or command that it comes from."""

    code: str
    sentence: Sentence
    setting: str = ""

    def error(self, command: Command) -> PermissionDenied:
        """As what is raised."""
        return PermissionDenied(self.sentence.text, code=self.code, what=command.name, **self.sentence.values)


class Policy:
    """The rules, as the settings of each place have them."""

    def __init__(self, settings: Settings, timeouts: TimeOuts | None = None) -> None:
        self._settings = settings
        self._timeouts = timeouts

    def recognised(self, user: User, place: Place) -> User:
        """`user` with the rights that the settings of `place` give them."""
        if user.is_moderator or user.is_operator:
            return replace(user, is_moderator=True)
        users = self._settings.value("moderators.users", place).split()
        roles = self._settings.value("moderators.roles", place).split()
        # Whose roles are not known has none.
        return replace(user, is_moderator=user.id in users or not set(user.roles or ()).isdisjoint(roles))

    def refusals(self, user: User, command: Command, place: Place) -> Iterator[Refusal]:
        """Every rule that keeps `command` from a recognised `user` in `place`; the first is what they are told."""
        about = {"command": command.name}
        if command.plugin not in PINNED:
            yield from self.time_outs(user, place)
        if not is_on(command.plugin, place, self._settings):
            yield Refusal("off", Sentence("/{command} is switched off here.", about), enabled(command.plugin))
        if command.moderator and not user.is_moderator:
            yield Refusal("moderators", Sentence("/{command} is for moderators.", about))
        # Moderators find their way back from whatever they set.
        if command.plugin not in PINNED and not user.is_moderator:
            yield from self._by_channel(place)
            yield from self._by_role(user, place)

    def time_outs(self, user: User, place: Place) -> Iterator[Refusal]:
        """What keeps a recognised `user` from everything in `place` for a while: one refusal, or none."""
        timeout = None if self._timeouts is None or user.is_moderator else self._timeouts.of(user, place)
        if timeout is not None:
            yield Refusal("timeout", _told(timeout), LIFT)

    def _by_channel(self, place: Place) -> Iterator[Refusal]:
        allowed = self._settings.value("access.channels", place).split()
        denied = self._settings.value("access.channels.denied", place).split()
        if allowed and place.channel not in allowed:
            sentence = Sentence("I may be used in some channels alone, and this one is not among them.")
            yield Refusal("channel", sentence, "access.channels")
        if place.channel in denied:
            yield Refusal("channel", Sentence("I may not be used in this channel."), "access.channels.denied")

    def _by_role(self, user: User, place: Place) -> Iterator[Refusal]:
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
        """Whether `user`, a recognised one, may use `command` in `place`."""
        return next(self.refusals(user, command, place), None) is None

    def check(self, user: User, command: Command, place: Place) -> None:
        """Raise PermissionDenied, with the first reason, if `user`, a recognised one, may not use `command`."""
        if (refusal := next(self.refusals(user, command, place), None)) is not None:
            raise refusal.error(command)


def _told(timeout: TimeOut) -> Sentence:
    about = {"until": f"{timeout.until:%Y-%m-%d %H:%M} UTC", "reason": timeout.reason}
    if timeout.reason:
        return Sentence("Moderators have timed you out: you can use me again at {until}. Their reason: {reason}", about)
    return Sentence("Moderators have timed you out: you can use me again at {until}.", about)
