"""What a user wants options to be when they do not say: their own defaults, in the place of the commands'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.core.errors import OptionError, UserError
from bot.core.text import nearest
from bot.storage.key_value import Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.core.caller import Caller
    from bot.storage.database import Database

KINDS = frozenset({"integer", "number", "boolean", "choice"})


class Defaults:
    """Every user's own defaults, kept in memory, too, since a request is decided without waiting."""

    def __init__(self) -> None:
        self._all: dict[str, dict[str, Any]] = {}

    async def start(self, database: Database) -> None:
        """Read what was set before."""
        self._store = Store(database, "defaults")
        await self.refresh()

    async def refresh(self) -> None:
        """Follow what other processes set."""
        self._all = await self._store.items()

    def of(self, caller: Caller) -> Mapping[str, Any]:
        """Return a user's defaults by names like "ask.temperature"."""
        return self._all.get(_key(caller), {})

    @staticmethod
    def offered(commands: Sequence[Command]) -> dict[str, Option]:
        """Return the options that can have a default of one's own, by names like "ask.temperature"."""
        return {
            f"{command.name}.{option.name}": option
            for command in commands
            for option in command.options
            # A drawn seed is what makes two answers differ; with a fixed one "Again" would seem broken.
            if option.kind in KINDS and not option.required and option.name != "seed"
        }

    def mine(self, caller: Caller, commands: Sequence[Command]) -> Mapping[str, Any]:
        """Return a user's defaults of these commands, by names like "ask.temperature"."""
        options = self.offered(commands)
        return {name: value for name, value in self.of(caller).items() if name in options}

    def options(self, caller: Caller, command: Command) -> dict[str, Any]:
        """Those for one command, by the option's name; what its options no longer take is left out."""
        found: dict[str, Any] = {}
        mine = self.of(caller)
        for name, option in self.offered([command]).items():
            if name in mine:
                try:
                    found[option.name] = option.convert(mine[name])
                except OptionError:
                    continue
        return found

    async def set(self, caller: Caller, commands: Sequence[Command], name: str, value: Any) -> Any:
        """Set one; the value as it is now. Raises UserError for a name or a value that is none."""
        options = self.offered(commands)
        if (option := options.get(name)) is None:
            if close := nearest(name, options):
                raise UserError("There is no option “{name}”. Did you mean “{close}”?", name=name, close=close)
            names = ", ".join(options)
            raise UserError("There is no option “{name}” to set; there are {names}.", name=name, names=names)
        value = option.convert(value)
        await self._keep(caller, dict(self.of(caller)) | {name: value})
        return value

    async def reset(self, caller: Caller, name: str = "") -> None:
        """Forget one, or all of a user's."""
        left = {known: value for known, value in self.of(caller).items() if name and known != name}
        await self._keep(caller, left)

    async def _keep(self, caller: Caller, mine: dict[str, Any]) -> None:
        key = _key(caller)
        if mine:
            await self._store.set(key, mine)
        else:
            await self._store.delete(key)
        self._all = {**self._all, key: mine}


def _key(caller: Caller) -> str:
    return f"{caller.place.platform}:{caller.user.id}"
