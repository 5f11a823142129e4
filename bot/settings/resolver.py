"""What moderators change in chat: declared by the core and by plugins, each with a type, a default and a sentence.

What counts in a place is what was set for the narrowest scope: for one of the user's roles, where that is possible,
else for the channel, else for the server, else by the deployment's `[settings]`, else the declaration's default.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.commands.option import KINDS
from bot.core.adapters import Adapters
from bot.core.errors import ConfigError, OptionError, PluginError, UserError
from bot.core.i18n import translate
from bot.core.text import nearest
from bot.settings.builtin import CORE, GROUPS
from bot.settings.scopes import Change, Scopes, above, home
from bot.settings.setting import CHANNEL, ROLE, SERVER, Changed, Scope, Setting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from bot.core.messages import Place, User
    from bot.inference.client import ModelClient
    from bot.storage.database import Database

DEFAULT, DEPLOYMENT = "default", "deployment"
TOLD_WITHIN = 1.0
"""Seconds that a form waits for the model server's models: platforms open none three seconds after it was asked for."""


@dataclass(frozen=True, slots=True)
class Level:
    """A value, and who says so: "default", "deployment", "server", "channel" or "role"."""

    where: str
    value: Any
    scope: Scope | None = None


class Settings:
    """Every declared setting with its values. Reading needs no database and never waits."""

    def __init__(
        self, overrides: Mapping[str, Any], models: ModelClient | None = None, adapters: Adapters | None = None
    ) -> None:
        """`overrides` are the deployment's. `models` tells which models can be named, `adapters` which channels."""
        self._overrides = dict(overrides)
        self._models = models
        self.adapters = adapters or Adapters()
        self._declared: dict[str, Setting] = {}
        self._owners: dict[str, str] = {}
        self._titles: dict[str, str] = dict(GROUPS)
        self._values: dict[str, Any] = {}
        self.scopes = Scopes()
        self.guards: dict[str, Callable[[Scope, Any], Awaitable[None]]] = {}
        """By name of a setting: what is asked before it is set, and raises UserError to prevent that."""
        self.declare("", CORE)

    async def start(self, database: Database) -> None:
        """Read what was set before."""
        await self.scopes.start(database)

    async def refresh(self) -> None:
        """Follow what other processes set."""
        await self.scopes.refresh()

    def declare(
        self, plugin: str, settings: Iterable[Setting], derived: Iterable[Setting] = (), *, title: str = ""
    ) -> None:
        """Take in a plugin's declarations, in the place of its earlier ones, and those that its commands lead to.

        `title` is what all of them are called for people. Raises PluginError for a bad declaration, ConfigError for a
        bad override of one; nothing has changed then.
        """
        declared: dict[str, Setting] = {}
        for setting in settings:
            if plugin and not setting.name.startswith(f"{plugin}."):
                raise PluginError(f"Setting “{setting.name}” of plugin “{plugin}” must begin with “{plugin}.”.")
            if setting.type not in KINDS or not setting.description:
                raise PluginError(f"Setting “{setting.name}” needs a type that options have, and a description.")
            declared[setting.name] = setting
        for setting in derived:
            declared.setdefault(setting.name, setting)
        for name in declared:
            if self._owners.get(name, plugin) != plugin:
                raise PluginError(f"Setting “{name}” of plugin “{plugin}” is one of “{self._owners[name]}”, too.")
        values = {name: self._first(setting) for name, setting in declared.items()}
        for name in [name for name, owner in self._owners.items() if owner == plugin]:
            del self._declared[name], self._values[name], self._owners[name]
        self._declared |= declared
        self._values |= values
        self._owners |= dict.fromkeys(declared, plugin)
        self._titles |= {plugin: title} if title else {}

    def _first(self, setting: Setting) -> Any:
        try:
            return setting.convert(self._overrides.get(setting.name, setting.default))
        except OptionError as error:
            raise ConfigError(f"[settings]: {error}") from None

    def check(self) -> None:
        """Raise ConfigError if the deployment overrides something that nobody declared."""
        for name in self._overrides:
            if name not in self._declared:
                close = nearest(name, self._declared)
                hint = f" Did you mean “{close}”?" if close else ""
                raise ConfigError(f"[settings]: there is no setting “{name}”.{hint}")

    @property
    def declared(self) -> tuple[Setting, ...]:
        """Every declaration, in the order of loading."""
        return tuple(self._declared.values())

    def group(self, name: str, locale: str) -> str:
        """What the settings that `name` belongs to are called for people."""
        group = self._owners[name] or name.partition(".")[0]
        return translate(self._titles.get(group, group), locale)

    def knows(self, name: str) -> bool:
        """Whether somebody declared `name`."""
        return name in self._declared

    def find(self, name: str) -> Setting:
        """The setting that somebody calls `name`, by its first letters if no other has them.

        Raises UserError, with the nearest name.
        """
        wanted = name.strip().casefold()
        if (setting := self._declared.get(wanted)) is not None:
            return setting
        if len(begun := [known for known in self._declared if wanted and known.startswith(wanted)]) == 1:
            return self._declared[begun[0]]
        if close := nearest(wanted, self._declared):
            raise UserError("There is no setting “{name}”. Did you mean “{close}”?", name=name[:60], close=close)
        raise UserError("There is no setting “{name}”. /config show lists what there is.", name=name[:60])

    def value(self, name: str, place: Place, user: User | None = None) -> Any:
        """The value of `name` in `place`, for `user` where roles matter. Raises KeyError for one nobody declared."""
        return self.source(name, place, user).value

    def source(self, name: str, place: Place, user: User | None = None) -> Level:
        """The value that counts, and who says so."""
        setting = self._declared[name]
        roles = self._of_roles(setting, place, () if user is None else user.roles or ())
        if setting.among is not None and roles:
            value = setting.among([level.value for level in roles])
            return next(level for level in roles if level.value == value)
        return next(self._of_place(setting, place), None) or self._of_deployment(setting)

    def levels(self, name: str, place: Place, role: str = "") -> list[Level]:
        """Who says what about `name` in `place`, the last one counting there; for one `role` where it is named."""
        setting = self._declared[name]
        found = [Level(DEFAULT, setting.default)]
        if name in self._overrides:
            found.append(self._of_deployment(setting))
        return [*found, *reversed(list(self._of_place(setting, place))), *self._of_roles(setting, place, [role])]

    def _of_deployment(self, setting: Setting) -> Level:
        where = DEPLOYMENT if setting.name in self._overrides else DEFAULT
        return Level(where, self._values[setting.name])

    def _of_place(self, setting: Setting, place: Place) -> Iterator[Level]:
        """What was set for the channel and the server, the narrowest first."""
        server = home(place)
        for scope in above(place):
            if scope != server and CHANNEL not in setting.scopes:
                continue
            if scope == server and SERVER not in setting.scopes:
                continue
            if (value := self._set(setting, scope)) is not None:
                yield Level(SERVER if scope == server else CHANNEL, value, scope)

    def _of_roles(self, setting: Setting, place: Place, roles: Iterable[str]) -> list[Level]:
        if setting.among is None or not place.server:
            return []
        scopes = [Scope(place.platform, place.server, role=role) for role in roles if role]
        found = ((scope, self._set(setting, scope)) for scope in scopes)
        return [Level(ROLE, value, scope) for scope, value in found if value is not None]

    def _set(self, setting: Setting, scope: Scope) -> Any:
        """What is set for exactly this scope; None for nothing, or for what the setting takes no longer."""
        if (raw := self.scopes.at(scope).get(setting.name)) is None:
            return None
        try:
            return setting.convert(raw, self.adapters.capabilities(scope.platform).ids)
        except OptionError:
            return None

    def plan(self, name: str, raw: Any, scope: Scope) -> Change:
        """The change that sets `name` in `scope`, or takes back what was set with a `raw` of None.

        Raises UserError if there is no such setting, it cannot be set for that, or not to that.
        """
        setting = self.find(name)
        is_server = home(scope.place) == scope
        where = ROLE if scope.role else SERVER if is_server else CHANNEL
        if where not in (setting.scopes | {ROLE} if setting.takes_roles else setting.scopes):
            sentence = {
                ROLE: "{name} cannot be set for a role.",
                CHANNEL: "{name} cannot be set for a single channel; set it for the whole server.",
                SERVER: "{name} is set for a role; name one.",
            }[where]
            raise UserError(sentence, name=setting.name)
        platform = self.adapters.capabilities(scope.platform)
        for one in filter(None, (scope.channel, scope.role)):
            if platform.ids is not None and scope.server and not platform.is_id(one):
                raise UserError("There is no channel or role with the id “{text}” there.", text=one[:60])
        return Change(scope, setting.name, None if raw is None else setting.convert(raw, platform.ids))

    async def checked(self, name: str, raw: Any, scope: Scope) -> Change:
        """The same, once it is known which models there are.

        Raises UserError for one that there is not, too, and while nobody can say so.
        """
        change = self.plan(name, raw, scope)
        await self._check_model(self.find(name), change.value)
        return change

    async def typed(self, name: str, raw: Any, scope: Scope) -> Change:
        """The same of what somebody typed: channels may be called by their names, those that it is set for among them.

        Raises UserError for a channel that there is not, too.
        """
        setting = self.find(name)
        # What was set for a channel that is no more can still be taken back.
        if raw is not None and scope.channel and scope.server:
            scope = replace(scope, channel=await self.adapters.resolve_channel(scope.channel, scope.place))
        if setting.ids == "channels" and isinstance(raw, str):
            raw = " ".join([await self.adapters.resolve_channel(word, scope.place) for word in setting.words(raw)])
        return await self.checked(name, raw, scope)

    async def write(self, changes: Sequence[Change], actor: User) -> list[Changed]:
        """Make all these changes, or none. They are in force at once here, and in other processes within seconds.

        Raises UserError for what one of the `guards` prevents.
        """
        for change in changes:
            if (guard := self.guards.get(change.name)) is not None:
                await guard(change.scope, change.value)
        before = [self._in(change) for change in changes]
        await self.scopes.write(changes, actor)
        return [
            Changed(self._declared[change.name], change.scope, old, self._in(change))
            for change, old in zip(changes, before, strict=True)
        ]

    async def choices(self, setting: Setting, now: Any) -> tuple[str, ...]:
        """What there is to choose from; of a model those that the server has, and what is chosen `now`.

        Nothing where anything else would do, too, or while the model server does not tell.
        """
        if not setting.task:
            return tuple(map(str, setting.choices))
        with suppress(UserError, TimeoutError):
            async with asyncio.timeout(TOLD_WITHIN):
                offered = await self._offered(setting)
            return tuple(dict.fromkeys([*offered, *([now] if now else [])]))
        return ()

    async def model(self, name: str, place: Place) -> str | None:
        """The model that the setting `name` chooses in `place`; None where nobody declared it. Raises ModelError."""
        if self._models is None or (setting := self._declared.get(name)) is None:
            return None
        return await self._models.chosen(setting.task, self.value(name, place))

    async def _offered(self, setting: Setting) -> list[str]:
        return [] if self._models is None else await self._models.offered(setting.task)

    async def _check_model(self, setting: Setting, name: str | None) -> None:
        if not setting.task or not name or name in (offered := await self._offered(setting)):
            return
        if not offered:
            raise OptionError(setting.name, "The model server has no model that {name} could name.", name=setting.name)
        sentence = "{name} must be one of the model server's models for it: {offered}; you gave “{text}”."
        values = {"name": setting.name, "offered": ", ".join(offered), "text": name[:60]}
        raise OptionError(setting.name, sentence, **values)

    def _in(self, change: Change) -> Any:
        return self.levels(change.name, change.scope.place, change.scope.role)[-1].value
