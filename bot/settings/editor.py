"""Settings as a caller reads them, and as moderators change them: one by one, or as a file."""

from __future__ import annotations

import tomllib
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.core.errors import UserError
from bot.core.i18n import Sentence
from bot.settings.scopes import Change, home
from bot.settings.setting import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bot.core.caller import Caller
    from bot.core.messages import Channel, Role
    from bot.settings.resolver import Level, Settings
    from bot.settings.setting import Changed, Setting

NOT_ALLOWED = "Only moderators can change settings."
MOVED = frozenset({"set", "reset", "load"})
"""Methods that plugins written for 0.1 call on `ctx.settings`."""
TABLES = {"server": "", "channel": "channel", "role": "role"}
"""The tables of an exported file, and what in a scope they are named after."""


class SettingsView:
    """The settings as they are for a caller: `ctx.settings["ask.system_prompt"]`."""

    def __init__(self, settings: Settings, caller: Caller) -> None:
        self._settings = settings
        self._caller = caller

    def __getattr__(self, name: str) -> Any:
        if name not in MOVED:
            raise AttributeError(f"ctx.settings has no “{name}”")
        text = f"ctx.settings.{name}(…) is ctx.settings_editor.{name}(ctx.caller, …) now; the old way will go in 2.0."
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return partial(getattr(SettingsEditor(self._settings), name), self._caller)

    def __getitem__(self, name: str) -> Any:
        return self._settings.value(name, self._caller.place, self._caller.user)

    @property
    def declared(self) -> tuple[Setting, ...]:
        """Everything that can be set."""
        return self._settings.declared

    def knows(self, name: str) -> bool:
        """Whether there is a setting of exactly this name."""
        return self._settings.knows(name)

    def find(self, name: str) -> Setting:
        """The setting that somebody calls `name`. Raises UserError, with the nearest name."""
        return self._settings.find(name)

    def scope(self, *, channel: Channel | None = None, role: Role | None = None, server: str | None = None) -> Scope:
        """What is meant: the server here unless `server` names another one, or its channel or role.

        Raises UserError for what there is not.
        """
        scope = home(self._caller.place) if server is None else self._elsewhere(server)
        if channel is not None and role is not None:
            raise UserError("Name a channel or a role, not both.")
        if channel is None and role is None:
            return scope
        if not scope.server:
            raise UserError("There are no channels and no roles here; name the server, too.")
        return Scope(scope.platform, scope.server, channel.id if channel else "", role.id if role else "")

    def _elsewhere(self, server: str) -> Scope:
        if not self._caller.user.is_operator:
            raise UserError("Only whoever runs this bot can name another server, from the terminal.")
        platform, _, number = server.strip().partition(":")
        adapters = self._settings.adapters
        only = adapters.capabilities(platform).home
        if only is not None and not number:
            return home(only)
        if adapters.is_known(platform) and only is None and number.strip():
            return Scope(platform, number.strip())
        sentence = "server must be web, or discord: or slack: with an id, such as discord:123; you gave “{text}”."
        raise UserError(sentence, text=server[:60])

    def levels(self, name: str, scope: Scope) -> list[Level]:
        """Who says what about `name`, the last one counting in `scope`."""
        return self._settings.levels(name, scope.place, scope.role)

    def within(self, scope: Scope) -> Mapping[Scope, Mapping[str, Any]]:
        """What was set for a server, its channels and its roles."""
        return self._settings.scopes.within(scope)

    def group(self, name: str) -> str:
        """What the settings that `name` belongs to are called for people."""
        return self._settings.group(name, self._caller.user.locale)

    async def model(self, name: str) -> str | None:
        """The model that the setting `name` chooses here; None where nobody declared it. Raises ModelError."""
        return await self._settings.model(name, self._caller.place)

    async def choices(self, setting: Setting) -> tuple[str, ...]:
        """What there is to choose from for a setting; nothing where other values would do, too."""
        return await self._settings.choices(setting, self._settings.value(setting.name, self._caller.place))

    def export(self, scope: Scope) -> str:
        """What was set for a server, its channels and its roles, as TOML that `load` reads."""
        lines = []
        for one in self.within(scope):
            if values := self._known(one):
                table = "server" if one == scope else f"role.{_quoted(one.role)}" if one.role else ""
                table = table or f"channel.{_quoted(one.channel)}"
                lines += [f"[{table}]", *(f"{_quoted(name)} = {_toml(value)}" for name, value in values.items()), ""]
        return "\n".join(lines)

    def _known(self, scope: Scope) -> dict[str, Any]:
        values = self._settings.scopes.at(scope)
        return {name: value for name, value in sorted(values.items()) if self._settings.knows(name)}


class SettingsEditor:
    """Changes settings for moderators; everybody else is refused with PermissionDenied."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def set(self, caller: Caller, name: str, raw: Any, scope: Scope) -> Changed:
        """Set `name` in `scope`, or take back what was set there with a `raw` of None. Raises UserError."""
        return (await self._write(caller, [await self._settings.typed(name, raw, scope)]))[0]

    async def reset(self, caller: Caller, scope: Scope) -> Sequence[Changed]:
        """Take back all that was set for exactly this scope."""
        known = sorted(name for name in self._settings.scopes.at(scope) if self._settings.knows(name))
        return await self._write(caller, [Change(scope, name, None) for name in known])

    async def load(self, caller: Caller, text: str, scope: Scope) -> Sequence[Changed]:
        """Set all that an exported file says, in `scope` and its channels and roles; what it does not name stays.

        Raises UserError that lists every mistake; nothing has changed then.
        """
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UserError("This is not a file of settings: {reason}.", reason=error) from error
        changes, mistakes = list[Change](), list[Sentence]()
        for where, name, value in _values(tables, scope, mistakes):
            try:
                # Its channels may be closed by now, or another deployment's, and whoever exported them typed none.
                changes.append(await self._settings.checked(name, value, where))
            except UserError as error:
                mistakes.append(error.sentence)
        if mistakes:
            raise UserError("Nothing was changed, because of this:{mistakes}", mistakes=tuple(mistakes))
        if not changes:
            raise UserError("There are no settings in it.")
        return await self._write(caller, changes)

    async def _write(self, caller: Caller, changes: Sequence[Change]) -> list[Changed]:
        caller.require_moderator(NOT_ALLOWED)
        return await self._settings.write(changes, caller.user)


def _values(tables: Mapping[str, Any], scope: Scope, mistakes: list[Sentence]) -> Iterator[tuple[Scope, str, Any]]:
    """Every value of a file with its scope and name; what has no place in it becomes a mistake."""
    for kind, table in tables.items():
        if kind not in TABLES or not isinstance(table, dict):
            sentence = "“{name}” has no place there: write [server], [channel.id] or [role.id] above the settings."
            mistakes.append(Sentence(sentence, {"name": kind[:60]}))
            continue
        if kind == "server":
            yield from ((scope, name, value) for name, value in _flat(table))
            continue
        for name, value in table.items():
            if not isinstance(value, dict):
                mistakes.append(Sentence("“{kind}” needs an id, such as [{kind}.123].", {"kind": kind}))
            elif not scope.server:
                mistakes.append(Sentence("There are no channels and no roles here; name the server, too."))
            else:
                where = Scope(scope.platform, scope.server, **{TABLES[kind]: name})
                yield from ((where, inner, what) for inner, what in _flat(value))


def _flat(table: Mapping[str, Any], begin: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its whole name, whether it is written in quotation marks or is tables to TOML."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{begin}{name}.")
        else:
            yield f"{begin}{name}", value


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\u{ord(one):04X}" if ord(one) < 32 or ord(one) == 127 else one for one in escaped) + '"'


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else repr(value)
