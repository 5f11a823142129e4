"""The views of settings that plugins get: `SettingsView` reads them, `SettingsEditor` changes them or loads a file."""

from __future__ import annotations

import tomllib
import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.core.errors import UserError
from bot.core.i18n import Sentence
from bot.settings.option_limits import find_narrower
from bot.settings.scopes import Change, server_scope
from bot.settings.setting import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bot.core.caller import Caller
    from bot.core.messages import Channel, Role
    from bot.core.model_events import ModelChoice
    from bot.settings.resolver import Level, Settings
    from bot.settings.setting import Changed, Setting

NOT_ALLOWED = "Only moderators can change settings."
MOVED_METHODS = frozenset({"set", "reset", "load"})
"""Methods that plugins written for 0.1 call on `ctx.settings`; `ctx.settings_editor` has them now."""
SCOPE_FIELDS = {"server": "", "channel": "channel", "role": "role"}
"""The field of `Scope` that each kind of table in an exported file names; a [server] table names none."""


class SettingsView:
    """Reads the settings that apply to a caller: `ctx.settings["ask.system_prompt"]`."""

    def __init__(self, settings: Settings, caller: Caller) -> None:
        self._settings = settings
        self._caller = caller
        self._choices: list[ModelChoice] = []

    def __getattr__(self, name: str) -> Any:
        if name not in MOVED_METHODS:
            raise AttributeError(f"ctx.settings has no “{name}”")
        text = f"ctx.settings.{name}(…) is ctx.settings_editor.{name}(ctx.caller, …) now; the old way will go in 2.0."
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return partial(getattr(SettingsEditor(self._settings), name), self._caller)

    def __getitem__(self, name: str) -> Any:
        return self._settings.value(name, self._caller.place, self._caller.user)

    @property
    def declared(self) -> tuple[Setting, ...]:
        """All declared settings, in the order of loading."""
        return self._settings.declared

    def knows(self, name: str) -> bool:
        """Return whether a setting of exactly this name is declared."""
        return self._settings.knows(name)

    def find(self, name: str) -> Setting:
        """Return the setting called `name`. Raises UserError that suggests the nearest name."""
        return self._settings.find(name)

    def scope(self, *, channel: Channel | None = None, role: Role | None = None, server: str | None = None) -> Scope:
        """Return the scope of the caller's server or of the one that `server` names, or of its channel or role.

        Raises UserError if there is no such scope, or if only an operator may name it.
        """
        scope = server_scope(self._caller.place) if server is None else self._other_server(server)
        if channel is not None and role is not None:
            raise UserError("Name a channel or a role, not both.")
        if channel is None and role is None:
            return scope
        if not scope.server:
            raise UserError("There are no channels and no roles here; name the server, too.")
        return Scope(scope.platform, scope.server, channel.id if channel else "", role.id if role else "")

    def _other_server(self, server: str) -> Scope:
        if not self._caller.user.is_operator:
            raise UserError("Only whoever runs this bot can name another server, from the terminal.")
        platform, _, number = server.strip().partition(":")
        adapters = self._settings.adapters
        only = adapters.capabilities(platform).home
        if only is not None and not number:
            return server_scope(only)
        if adapters.is_known(platform) and only is None and number.strip():
            return Scope(platform, number.strip())
        sentence = "server must be one of {forms}, with the server’s id for ID; you gave “{text}”."
        raise UserError(sentence, forms=", ".join(adapters.server_forms()), text=server[:60])

    def levels(self, name: str, scope: Scope) -> list[Level]:
        """Return each level that gives `name` a value in `scope`, from the weakest to the one that applies."""
        return self._settings.levels(name, scope.place, scope.role)

    def narrower(self, setting: Setting, scope: Scope) -> Sentence | None:
        """Return a sentence that names a limit of all commands if it is narrower in `scope` than `setting` is."""
        return find_narrower(setting, self._settings, scope.place)

    def within(self, scope: Scope) -> Mapping[Scope, Mapping[str, Any]]:
        """Return the values set for a server, its channels and its roles, by scope and name."""
        return self._settings.scopes.values_within(scope)

    def group(self, name: str) -> str:
        """Return the title of the group of settings that `name` belongs to."""
        return self._settings.group(name, self._caller.user.locale)

    async def model(self, name: str, *, earlier: str = "") -> str | None:
        """Return the model that the setting `name` chooses here; None if it is not declared. Raises ModelError.

        `earlier` is the model of an answer that is gone on from, which goes before it. In the place of a model that is
        no longer served it is the server's first one; the answer then says so.
        """
        choice = await self._settings.model(name, self._caller.place, earlier)
        if choice is None:
            return None
        self._choices.append(choice)
        return choice.name

    def has_weak_model(self, language: str) -> bool:
        """Return whether a model that `model` returned says that it knows other languages, but not this one."""
        return any(choice.languages is not None and language not in choice.languages for choice in self._choices)

    def model_notes(self, earlier: str = "") -> list[Sentence]:
        """Return what the asker should know about the models that `model` returned.

        `earlier` is the model that made the answer whose button was pressed, or "".
        """
        notes = []
        for choice in self._choices:
            answering = choice.stand_in or choice.name
            if choice.gone:
                sentence = "The model {gone} is no longer served, so {model} answers."
                notes.append(Sentence(sentence, {"gone": choice.gone, "model": answering}))
            if choice.stand_in:
                sentence = "{stand_in} answers until the larger {model} is ready: {state}."
                values = {"stand_in": choice.stand_in, "model": choice.name, "state": choice.state.rstrip(".")}
                notes.append(Sentence(sentence, values))
        if earlier and self._choices and not any(earlier in (choice.gone, *choice.offered) for choice in self._choices):
            first = self._choices[0]
            sentence = "The model {gone} is no longer served, so {model} answers."
            notes.append(Sentence(sentence, {"gone": earlier, "model": first.stand_in or first.name}))
        return notes

    async def choices(self, setting: Setting) -> tuple[str, ...]:
        """Return the values to choose from for a setting; none if other values are allowed, too."""
        place = self._caller.place
        return await self._settings.choices(setting, self._settings.value(setting.name, place), place)

    async def shown_choices(self, setting: Setting) -> tuple[str, ...]:
        """Return the `choices` as people read them."""
        place, locale = self._caller.place, self._caller.user.locale
        now = self._settings.value(setting.name, place)
        return tuple(title for _, title in await self._settings.shown_choices(setting, now, place, locale) if title)

    def export(self, scope: Scope) -> str:
        """Return the values set for a server, its channels and its roles as TOML that `SettingsEditor.load` reads."""
        lines = []
        for inner in self.within(scope):
            if values := self._declared_values(inner):
                table = "server" if inner == scope else f"role.{_toml_string(inner.role)}" if inner.role else ""
                table = table or f"channel.{_toml_string(inner.channel)}"
                lines += [
                    f"[{table}]",
                    *(f"{_toml_string(name)} = {_toml_value(value)}" for name, value in values.items()),
                    "",
                ]
        return "\n".join(lines)

    def _declared_values(self, scope: Scope) -> dict[str, Any]:
        values = self._settings.scopes.values_at(scope)
        return {name: value for name, value in sorted(values.items()) if self._settings.knows(name)}


class SettingsEditor:
    """Changes settings for moderators; everybody else is refused with PermissionDenied."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def set(self, caller: Caller, name: str, raw: Any, scope: Scope, *, follows: bool = False) -> Changed:
        """Set `name` in `scope`; a `raw` of None removes the value that was set there. Raises UserError.

        If it `follows`, a channel has no value of its own that its server has as well, so that it goes on as that does.
        """
        return (await self.set_all(caller, {name: raw}, scope, follows=follows))[0]

    async def set_all(
        self, caller: Caller, values: Mapping[str, Any], scope: Scope, *, follows: bool = False
    ) -> Sequence[Changed]:
        """Set all these values in `scope`, or none. Raises UserError."""
        changes = [await self._settings.make_typed_change(name, raw, scope) for name, raw in values.items()]
        return await self._write(caller, [self._following(change) if follows else change for change in changes])

    def _following(self, change: Change) -> Change:
        """Return the change without a value that would apply to the channel without it."""
        is_own = not change.scope.channel or change.value != self._settings.inherited(change.name, change.scope)
        return change if is_own else replace(change, value=None)

    async def reset(self, caller: Caller, scope: Scope) -> Sequence[Changed]:
        """Remove every value that was set for exactly this scope."""
        known = sorted(name for name in self._settings.scopes.values_at(scope) if self._settings.knows(name))
        return await self._write(caller, [Change(scope, name, None) for name in known])

    async def load(self, caller: Caller, text: str, scope: Scope) -> Sequence[Changed]:
        """Set every value of an exported file, in `scope` and its channels and roles; other values stay.

        Raises UserError that lists every mistake; nothing has changed then.
        """
        changes, mistakes = list[Change](), list[Sentence]()
        try:
            values = list(_read_values(tomllib.loads(text.removeprefix("\ufeff")), scope, mistakes))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            reason = "its tables are nested too deeply" if isinstance(error, RecursionError) else error
            raise UserError("This is not a file of settings: {reason}.", reason=reason) from error
        for where, name, value in values:
            try:
                # A file has ids instead of typed names, and may name channels that are gone or of another deployment.
                changes.append(await self._settings.make_checked_change(name, value, where))
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


def _read_values(tables: Mapping[str, Any], scope: Scope, mistakes: list[Sentence]) -> Iterator[tuple[Scope, str, Any]]:
    """Yield every value of a file with its scope and name; append a sentence to `mistakes` for each misplaced one."""
    for kind, table in tables.items():
        if kind not in SCOPE_FIELDS or not isinstance(table, dict):
            sentence = "“{name}” has no place there: write [server], [channel.id] or [role.id] above the settings."
            mistakes.append(Sentence(sentence, {"name": kind[:60]}))
            continue
        if kind == "server":
            yield from ((scope, name, value) for name, value in _flatten(table))
            continue
        for name, value in table.items():
            if not isinstance(value, dict) or not name:
                mistakes.append(Sentence("“{kind}” needs an id, such as [{kind}.123].", {"kind": kind}))
            elif not scope.server:
                mistakes.append(Sentence("There are no channels and no roles here; name the server, too."))
            else:
                inner_scope = Scope(scope.platform, scope.server, **{SCOPE_FIELDS[kind]: name})
                yield from ((inner_scope, setting, inner) for setting, inner in _flatten(value))


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value with its full name, which TOML has as one quoted key or as nested tables."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _toml_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"' + "".join(f"\\u{ord(char):04X}" if ord(char) < 32 or ord(char) == 127 else char for char in escaped) + '"'
    )


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _toml_string(value) if isinstance(value, str) else repr(value)
