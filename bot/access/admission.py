"""What everything passes before it is done: who may, within which limits, and how often."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.core.caller import Caller
from bot.core.errors import PermissionDenied, RequestRefused, UserError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from bot.access.policy import Policy
    from bot.access.rate_limits import RateLimiter, Use
    from bot.access.timeouts import TimeOuts
    from bot.commands.command import Command
    from bot.core.i18n import Sentence
    from bot.core.messages import Place, Request, User
    from bot.plugin_host.registry import Registry
    from bot.safety.checks import Safety
    from bot.settings.resolver import Settings
    from bot.settings.user_defaults import Defaults

EACH = "each"
"""The language that is each reader's own."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is not to be had: what whoever asks is told, and the setting or command that changes it, if any."""

    sentence: Sentence
    setting: str = ""


class Admission:
    """Decides from memory alone; only `refresh`, `counted` and `why` wait for anything."""

    def __init__(
        self,
        *,
        settings: Settings,
        registry: Registry,
        defaults: Defaults,
        policy: Policy,
        limits: RateLimiter,
        safety: Safety,
        timeouts: TimeOuts,
    ) -> None:
        self._settings = settings
        self._timeouts = timeouts
        self._registry = registry
        self._defaults = defaults
        self._policy = policy
        self._limits = limits
        self._safety = safety

    def recognised(self, user: User, place: Place) -> User:
        """`user` with the rights and the language that the settings of `place` give them."""
        return replace(self._policy.recognised(user, place), locale=self.language(user.locale, place))

    def language(self, locale: str, place: Place) -> str:
        """The language that the bot speaks in `place` to whoever reads that of `locale`."""
        language = str(self._settings.value("answers.language", place))
        return locale if language == EACH else language

    def commands_for(self, user: User, place: Place) -> tuple[Command, ...]:
        """The commands that `user`, a recognised one, may use in `place`, as they are there."""
        return tuple(
            self._registry.narrowed(command, place, user)
            for command in self._registry.commands
            if self._policy.allows(user, command, place)
        )

    def check(self, request: Request, command: Command) -> None:
        """Raise Refused if whoever asks may not use `command` there."""
        self._policy.check(request.user, command, request.place)

    def pressed(self, request: Request, action: str) -> None:
        """Raise Refused if whoever asks may press no buttons there."""
        if (refusal := next(self._policy.time_outs(request.user, request.place), None)) is not None:
            raise PermissionDenied(refusal.sentence.text, code=refusal.code, what=action, **refusal.sentence.values)

    async def refresh(self, request: Request, command: Command | None = None) -> None:
        """Learn what moderators just did elsewhere. Raises RequestRefused if the asker may not use `command`."""
        await self._timeouts.refresh_one(request.user, request.place)
        if command is not None:
            self.check(request, command)

    def opened(self, request: Request, command: Command) -> Command:
        """`command` within the limits that it has for whoever asks. Raises Refused if they may not use it there."""
        self.check(request, command)
        return self._registry.narrowed(command, request.place, request.user)

    def own(self, request: Request, command: Command) -> dict[str, Any]:
        """What whoever asks set as their own defaults of an opened command."""
        return self._defaults.options(Caller(request.user, request.place), command)

    def admit(self, request: Request, command: Command, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of an opened command, bound; raises UserError if they are wrong, unsafe, or asked too often."""
        options = self.bound(request, command, self.own(request, command) | dict(given))
        try:
            self._limits.check(self._limits.on(request.user, command, request.place))
        except RequestRefused as refused:
            refused.what = command.name
            raise
        return options

    def bound(self, request: Request, command: Command, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of an opened command, bound; raises UserError if they are wrong, or seen to be unsafe."""
        options = command.bind(given)
        try:
            self._safety.check_rules(self._safety.read_free_texts(command, options), request.place, draws=command.draws)
        except RequestRefused as refused:
            refused.what = command.name
            raise
        return options

    @asynccontextmanager
    async def counted(self, request: Request, command: Command) -> AsyncIterator[Use]:
        """Count what is done meanwhile as one use, unless a UserError is its end. Raises LimitReached before it."""
        limits = self._limits.on(request.user, command, request.place)
        try:
            async with self._limits.taken(limits) as use:
                try:
                    yield use
                except UserError:
                    use.give_back()
                    raise
        except RequestRefused as refused:
            refused.what = refused.what or command.name
            raise

    async def why(self, user: User, command: Command, place: Place) -> list[Reason]:
        """Everything that keeps `command` from `user` in `place`, in the order in which they would hear of it."""
        user = self.recognised(user, place)
        await self._timeouts.refresh_one(user, place)
        found = [Reason(refusal.sentence, refusal.setting) for refusal in self._policy.refusals(user, command, place)]
        limits = self._limits.on(user, command, place)
        settings = {limit.code: limit.setting for limit in limits}
        reached = await self._limits.used_up(limits)
        return [*found, *(Reason(limit.sentence, settings[limit.code]) for limit in reached)]
