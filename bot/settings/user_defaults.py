"""Users' own defaults of options, which take the place of the commands' defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.core.errors import OptionError, UserError
from bot.core.text import nearest
from bot.storage.changes import DEFAULTS
from bot.storage.key_value import NumberedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.core.caller import Caller
    from bot.storage.database import Database

KINDS_WITH_DEFAULTS = frozenset({"integer", "number", "boolean", "choice"})
MAX_PEOPLE = 50_000
"""Of how many people of a platform defaults are kept. They are in memory, and anybody can be a new visitor."""


class Defaults:
    """Every user's own defaults, kept in memory, too, since requests are decided without waiting."""

    _store: NumberedStore | None = None

    async def start(self, database: Database, tell: Callable[[], None] = lambda: None) -> None:
        """Read the stored defaults. `tell` is called after each change that is made here."""
        self._store = NumberedStore(database, DEFAULTS, tell)
        await self._store.refresh()

    async def refresh(self) -> None:
        """Read the defaults that other processes stored."""
        if self._store is not None:
            await self._store.refresh()

    def get(self, caller: Caller) -> Mapping[str, Any]:
        """Return a user's defaults by names like "ask.temperature"."""
        defaults: Mapping[str, Any] = {} if self._store is None else self._store.values.get(_key(caller), {})
        return defaults

    @staticmethod
    def offered(commands: Sequence[Command]) -> dict[str, Option]:
        """Return the options that users can set a default for, by names like "ask.temperature"."""
        return {
            f"{command.name}.{option.name}": option
            for command in commands
            for option in command.options
            # With a fixed seed, the button "Again" would give the same answer and seem broken.
            if option.kind in KINDS_WITH_DEFAULTS and not option.required and option.name != "seed"
        }

    def mine(self, caller: Caller, commands: Sequence[Command]) -> Mapping[str, Any]:
        """Return a user's defaults of these commands, by names like "ask.temperature"."""
        options = self.offered(commands)
        return {name: value for name, value in self.get(caller).items() if name in options}

    def for_command(self, caller: Caller, command: Command) -> dict[str, Any]:
        """Return a user's defaults for one command by the option's name, without values that are no longer accepted."""
        defaults: dict[str, Any] = {}
        stored = self.get(caller)
        for name, option in self.offered([command]).items():
            if name in stored:
                try:
                    defaults[option.name] = option.convert(stored[name])
                except OptionError:
                    continue
        return defaults

    async def set(self, caller: Caller, commands: Sequence[Command], name: str, value: Any) -> Any:
        """Set one default and return its value as stored. Raises UserError for an unknown name or a wrong value."""
        options = self.offered(commands)
        if (option := options.get(name)) is None:
            if close := nearest(name, options):
                raise UserError("There is no option “{name}”. Did you mean “{close}”?", name=name, close=close)
            names = ", ".join(options)
            raise UserError("There is no option “{name}” to set; there are {names}.", name=name, names=names)
        value = option.convert(value)
        await self._save(caller, lambda known: {**known, name: value})
        return value

    async def reset(self, caller: Caller, name: str = "") -> None:
        """Delete one default of a user, or all of them."""
        await self._save(
            caller, lambda known: {other: value for other, value in known.items() if name and other != name}
        )

    async def _save(self, caller: Caller, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        if self._store is None:
            return
        key, people = _key(caller), self._store.values

        def changed(known: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
            defaults = change(known or {})
            if defaults and known is None and _count_people(people, caller.place.platform) >= MAX_PEOPLE:
                raise UserError("Too many people have defaults of their own already; there is no room for yours.")
            return defaults or None

        await self._store.change(key, changed)


def _count_people(keys: Iterable[str], platform: str) -> int:
    return sum(key.startswith(f"{platform}:") for key in keys)


def _key(caller: Caller) -> str:
    return f"{caller.place.platform}:{caller.user.id}"
