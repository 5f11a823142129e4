"""The one check that every request passes: who may use a command, within which limits, and how often."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.access.policy import Refusal
from bot.core.button_ids import ENDING, Kind
from bot.core.caller import Caller
from bot.core.errors import RequestRefused, UserError
from bot.safety.errors import Unsafe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from bot.access.policy import Policy
    from bot.access.rate_limits import RateLimit, RateLimiter, Use
    from bot.access.timeouts import TimeOuts
    from bot.commands.command import Command
    from bot.core.button_ids import ButtonId
    from bot.core.messages import Place, Request, User
    from bot.plugin_host.registry import Registry
    from bot.safety.checks import Safety
    from bot.settings.resolver import Settings
    from bot.settings.user_defaults import Defaults


@dataclass(kw_only=True, eq=False)
class Admission:
    """Decides on requests from memory alone; only `refresh`, `count_use` and `find_reasons` wait for anything."""

    settings: Settings
    registry: Registry
    defaults: Defaults
    policy: Policy
    limits: RateLimiter
    safety: Safety
    timeouts: TimeOuts
    is_closed: bool = False
    """True once all requests are refused but those that act on answers which are being made."""

    def resolve_user(self, user: User, place: Place) -> User:
        """Return `user` with the rights and the language that the settings of `place` give them."""
        locale = self.settings.language(place, user.locale)
        return replace(self.policy.resolve_user(user, place), locale=locale)

    def commands_for(self, user: User, place: Place) -> tuple[Command, ...]:
        """Return the commands that `user` may use in `place`, with the limits that apply to them there."""
        user = self.resolve_user(user, place)
        return tuple(
            self.registry.narrow(command, place, user)
            for command in self.registry.commands
            if self.policy.allows(user, command, place)
        )

    def check(self, request: Request, command: Command) -> None:
        """Raise PermissionDenied if the asker may not use `command` there."""
        self.policy.check(request.user, command, request.place)

    def count_request(self, request: Request, button: ButtonId | None = None) -> None:
        """Count a request of a resolved user, whatever it is; `button` was pressed. Raises UserError if it is too much.

        While the bot waits for answers to end, only what acts on these is admitted.
        """
        is_stop = button is not None and button.kind == Kind.STOP
        goes_on = is_stop or (button is not None and button.kind == Kind.CHOICE)
        if self.is_closed and not goes_on:
            raise UserError("The bot is being restarted. Please ask again in a minute.")
        self.limits.count_request(request, is_stop=is_stop)

    def check_press(self, request: Request, what: str) -> None:
        """Raise PermissionDenied if the asker is timed out there, or nobody may act; `what` names the button.

        While a place is paused, people may still end and delete what they asked.
        """
        refusals = list(self.policy.timeout_refusals(request.user, request.place))
        if what not in ENDING:
            refusals += self.policy.pause_refusals(request.user, request.place)
        if refusals:
            raise refusals[0].as_error(what)

    async def refresh(self, request: Request, command: Command | None = None) -> None:
        """Read the asker's time-outs again. Raises PermissionDenied if they may not use `command` now."""
        await self.timeouts.refresh_one(request.user, request.place)
        if command is not None:
            self.check(request, command)

    def resolve_command(self, request: Request, command: Command) -> Command:
        """Return `command` with the limits that apply to the asker. Raises PermissionDenied if they may not use it."""
        self.check(request, command)
        return self.registry.narrow(command, request.place, request.user)

    def own_defaults(self, request: Request, command: Command) -> dict[str, Any]:
        """Return the asker's own defaults for a resolved command."""
        return self.defaults.for_command(Caller(request.user, request.place), command)

    def admit(self, request: Request, command: Command, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the bound options of a resolved command.

        Raises UserError if an option is wrong or unsafe, or if the asker has used up a limit.
        """
        options = self.bind(request, command, self.own_defaults(request, command) | dict(given))
        with _naming(command):
            self.limits.check(self._limits_for(request, command))
        return options

    def bind(self, request: Request, command: Command, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the bound options of a resolved command. Raises UserError if one is wrong, or unsafe by its words."""
        options = command.bind(given)
        with _naming(command):
            self.safety.check_rules(self.safety.read_free_texts(command, options), request.place, draws=command.draws)
        return options

    @asynccontextmanager
    async def count_use(self, request: Request, command: Command) -> AsyncIterator[Use]:
        """Count the body of the context as one use, unless it raises a UserError. Raises LimitReached first.

        An answer that was withheld counts all the same: it was made, and tries of other wordings must cost something.
        """
        with _naming(command):
            async with self.limits.count_use(self._limits_for(request, command)) as use:
                try:
                    yield use
                except UserError as error:
                    if not (isinstance(error, Unsafe) and error.is_withheld):
                        use.refund()
                    raise

    def _limits_for(self, request: Request, command: Command) -> list[RateLimit]:
        return self.limits.limits_for(request.user, command, request.place, request.address)

    async def find_reasons(self, user: User, command: Command, place: Place, address: str = "") -> list[Refusal]:
        """Return every reason why `user` cannot use `command` in `place`, in the order in which they would be told.

        `address` is that of a request of theirs, if there is one.
        """
        user = self.resolve_user(user, place)
        await self.timeouts.refresh_one(user, place)
        limits = self.limits.limits_for(user, command, place, address)
        reached = await self.limits.find_reached(limits)
        used_up = (Refusal(limit.code, limit.sentence, f"limits.{limit.code}") for limit in reached)
        return [*self.policy.refusals(user, command, place), *used_up]


@contextmanager
def _naming(command: Command) -> Iterator[None]:
    """Name the command in a refusal, for the audit."""
    try:
        yield
    except RequestRefused as refused:
        refused.what = refused.what or command.name
        raise
