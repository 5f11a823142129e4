"""Resolves settings: the core and plugins declare them, moderators change them in chat.

The value that applies is the one set for the narrowest scope: for a role of the user, if the setting allows that, else
for the channel, else for the server, else by the deployment's `[settings]`, else the declaration's default.
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
from bot.inference.models import find_name
from bot.settings.builtin import CORE_SETTINGS, GROUP_TITLES, READERS_OWN, REMOTE, UPSTREAMS
from bot.settings.list_limits import check_lists
from bot.settings.scopes import Change, Scopes, enclosing_scopes, server_scope
from bot.settings.setting import CHANNEL, ROLE, SERVER, Changed, Scope, Setting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from bot.core.messages import Place, User
    from bot.core.model_events import ModelChoice
    from bot.inference.client import ModelClient
    from bot.storage.database import Database

DEFAULT, DEPLOYMENT = "default", "deployment"
MODEL_NAMES_SECONDS = 1.0
"""How long a form waits for the names of the models: platforms open no form later than three seconds."""


@dataclass(frozen=True, slots=True)
class Level:
    """A value, and where it comes from: "default", "deployment", "server", "channel" or "role"."""

    where: str
    value: Any
    scope: Scope | None = None


class Settings:
    """Every declared setting with its values. Reading needs no database and never waits."""

    def __init__(
        self, overrides: Mapping[str, Any], models: ModelClient | None = None, adapters: Adapters | None = None
    ) -> None:
        """`overrides` are the deployment's values, `models` and `adapters` know the models and channels."""
        self._overrides = dict(overrides)
        self._models = models
        self.adapters = adapters or Adapters()
        self._declared: dict[str, Setting] = {}
        self._owners: dict[str, str] = {}
        self._titles: dict[str, str] = dict(GROUP_TITLES)
        self._values: dict[str, Any] = {}
        self.scopes = Scopes()
        self.guards: dict[str, Callable[[Scope, Any], Awaitable[None]]] = {}
        """Called before a setting is written, keyed by its name; raises UserError to prevent that."""
        self.declare("", CORE_SETTINGS)

    async def start(self, database: Database) -> None:
        """Read the stored values."""
        await self.scopes.start(database)

    async def refresh(self) -> None:
        """Read the values that other processes stored."""
        await self.scopes.refresh()

    def declare(
        self, plugin: str, settings: Iterable[Setting], derived: Iterable[Setting] = (), *, title: str = ""
    ) -> None:
        """Replace the declarations of a plugin; `derived` are those that follow from its commands.

        `title` is the title of the group. Raises PluginError for a bad declaration and ConfigError for a bad override
        of one; nothing has changed then.
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
        values = {name: self._deployment_value(setting) for name, setting in declared.items()}
        for name in [name for name, owner in self._owners.items() if owner == plugin]:
            del self._declared[name], self._values[name], self._owners[name]
        self._declared |= declared
        self._values |= values
        self._owners |= dict.fromkeys(declared, plugin)
        self._titles |= {plugin: title} if title else {}

    def _deployment_value(self, setting: Setting) -> Any:
        try:
            value = setting.convert(self._overrides.get(setting.name, setting.default))
            if setting.check_new is not None:
                setting.check_new(value)
        except OptionError as error:
            raise ConfigError(f"[settings]: {error}") from None
        return value

    def check(self) -> None:
        """Raise ConfigError if the deployment overrides something that nobody declared."""
        for name in self._overrides:
            if name not in self._declared:
                close = nearest(name, self._declared)
                hint = f" Did you mean “{close}”?" if close else ""
                raise ConfigError(f"[settings]: there is no setting “{name}”.{hint}")

    @property
    def declared(self) -> tuple[Setting, ...]:
        """All declared settings, in the order of loading."""
        return tuple(self._declared.values())

    def group(self, name: str, locale: str) -> str:
        """Return the title of the group of settings that `name` belongs to."""
        group = self._owners[name] or name.partition(".")[0]
        return translate(self._titles.get(group, group), locale)

    def knows(self, name: str) -> bool:
        """Return whether `name` is declared."""
        return name in self._declared

    def can_be_set(self, name: str, scope: Scope) -> bool:
        """Return whether `name` is declared and may have a value in `scope`."""
        return self.knows(name) and _takes(self.find(name), scope)

    def find(self, name: str) -> Setting:
        """Return the setting called `name`, or the only one whose name begins with it.

        Raises UserError that suggests the nearest name.
        """
        wanted = name.strip().casefold()
        if (setting := self._declared.get(wanted)) is not None:
            return setting
        if len(matches := [known for known in self._declared if wanted and known.startswith(wanted)]) == 1:
            return self._declared[matches[0]]
        if close := nearest(wanted, self._declared):
            raise UserError("There is no setting “{name}”. Did you mean “{close}”?", name=name[:60], close=close)
        raise UserError("There is no setting “{name}”. /config show lists what there is.", name=name[:60])

    def value(self, name: str, place: Place, user: User | None = None) -> Any:
        """Return the value of `name` in `place`, for the roles of `user`. Raises KeyError if it is not declared."""
        if name not in self.scopes.names:
            # Most settings are set nowhere, and a question looks dozens of them up.
            return self._values[name]
        return self.effective_level(name, place, user).value

    def effective_level(self, name: str, place: Place, user: User | None = None) -> Level:
        """Return the value that applies, and where it comes from."""
        setting = self._declared[name]
        if name not in self.scopes.names:
            return self._deployment_level(setting)
        roles = self._role_levels(setting, place, () if user is None else user.roles or ())
        if setting.among is not None and roles:
            value = setting.among([level.value for level in roles])
            return next(level for level in roles if level.value == value)
        return next(self._place_levels(setting, place), None) or self._deployment_level(setting)

    def language(self, place: Place, locale: str) -> str:
        """Return the language that the bot speaks in `place` to a reader of `locale`."""
        language = str(self.value("answers.language", place))
        return locale if language == READERS_OWN else language

    def models_in(self, place: Place) -> ModelClient:
        """Return the models that may be asked in `place`: those of remote upstreams only where that is allowed."""
        if self._models is None:
            raise RuntimeError("these settings know no models")
        return self._models.reaching(remote=self.reaches_remote(place))

    def reaches_remote(self, place: Place) -> bool:
        """Return whether remote upstreams may get what is asked in `place`."""
        return bool(self.value(UPSTREAMS, place) == REMOTE)

    def levels(self, name: str, place: Place, role: str = "") -> list[Level]:
        """Return each level that gives `name` a value in `place`, from the weakest to the one that applies.

        With a `role` its level is included.
        """
        setting = self._declared[name]
        base = [Level(DEFAULT, setting.default)]
        if name in self._overrides:
            base.append(self._deployment_level(setting))
        return [*base, *reversed(list(self._place_levels(setting, place))), *self._role_levels(setting, place, [role])]

    def inherited(self, name: str, scope: Scope) -> Any:
        """Return the value that would apply in `scope` if none were set for exactly that."""
        return next(level.value for level in reversed(self.levels(name, scope.place)) if level.scope != scope)

    def _deployment_level(self, setting: Setting) -> Level:
        where = DEPLOYMENT if setting.name in self._overrides else DEFAULT
        return Level(where, self._values[setting.name])

    def _place_levels(self, setting: Setting, place: Place) -> Iterator[Level]:
        """Yield the levels of the channel and the server, the narrowest first."""
        server = server_scope(place)
        for scope in enclosing_scopes(place):
            if scope != server and CHANNEL not in setting.scopes:
                continue
            if scope == server and SERVER not in setting.scopes:
                continue
            if (value := self._value_at(setting, scope)) is not None:
                yield Level(SERVER if scope == server else CHANNEL, value, scope)

    def _role_levels(self, setting: Setting, place: Place, roles: Iterable[str]) -> list[Level]:
        if setting.among is None or not place.server:
            return []
        scopes = [Scope(place.platform, place.server, role=role) for role in roles if role]
        values = ((scope, self._value_at(setting, scope)) for scope in scopes)
        return [Level(ROLE, value, scope) for scope, value in values if value is not None]

    def _value_at(self, setting: Setting, scope: Scope) -> Any:
        """Return the value set for exactly this scope; None if there is none or it is no longer accepted."""
        if (raw := self.scopes.values_at(scope).get(setting.name)) is None:
            return None
        try:
            return setting.convert(raw, self.adapters.capabilities(scope.platform).ids)
        except OptionError:
            return None

    def make_change(self, name: str, raw: Any, scope: Scope) -> Change:
        """Return the change that sets `name` in `scope`; a `raw` of None removes the value that was set there.

        Raises UserError if there is no such setting, or if it accepts neither that scope nor that value.
        """
        setting = self.find(name)
        where = _kind(scope)
        if not _takes(setting, scope):
            sentence = {
                ROLE: "{name} cannot be set for a role.",
                CHANNEL: "{name} cannot be set for a single channel; set it for the whole server.",
                SERVER: "{name} is set for a role; name one.",
            }[where]
            raise UserError(sentence, name=setting.name)
        platform = self.adapters.capabilities(scope.platform)
        for inner_id in filter(None, (scope.channel, scope.role)):
            if platform.ids is not None and scope.server and not platform.is_id(inner_id):
                raise UserError("There is no channel or role with the id “{text}” there.", text=inner_id[:60])
        return Change(scope, setting.name, None if raw is None else setting.convert(raw, platform.ids))

    async def make_checked_change(self, name: str, raw: Any, scope: Scope) -> Change:
        """Return the same change as `make_change` once the model server has confirmed a model's name.

        Raises UserError also for an unknown model, while the model server cannot be asked, and for what the setting's
        `check_new` refuses.
        """
        change, setting = self.make_change(name, raw, scope), self.find(name)
        await self._check_model(setting, change.value, scope.place)
        if setting.check_new is not None and change.value is not None:
            await asyncio.to_thread(setting.check_new, change.value)
        return change

    async def make_typed_change(self, name: str, raw: Any, scope: Scope) -> Change:
        """Return the same change as `make_checked_change` for typed input, which may have names of channels.

        Raises UserError also for an unknown channel.
        """
        setting = self.find(name)
        # A value that was set for a channel that is gone can still be removed.
        if raw is not None and scope.channel and scope.server:
            scope = replace(scope, channel=await self.adapters.resolve_channel(scope.channel, scope.place))
        if setting.ids == "channels" and isinstance(raw, str):
            raw = " ".join([await self.adapters.resolve_channel(word, scope.place) for word in setting.split_ids(raw)])
        return await self.make_checked_change(name, raw, scope)

    async def write(self, changes: Sequence[Change], actor: User) -> list[Changed]:
        """Make all these changes, or none. They apply at once here, and in other processes within seconds.

        Raises UserError if one of the `guards` prevents a change, or if lists of the server would become too long.
        """
        check_lists(changes, self.scopes, self._declared.values())
        for change in changes:
            if (guard := self.guards.get(change.name)) is not None:
                await guard(change.scope, change.value)
        before = [self._effective_value(change) for change in changes]
        await self.scopes.write(changes, actor)
        return [
            Changed(self._declared[change.name], change.scope, old, self._effective_value(change))
            for change, old in zip(changes, before, strict=True)
        ]

    async def choices(self, setting: Setting, now: Any, place: Place) -> tuple[str, ...]:
        """Return the values to choose from; for a model those that may be asked in `place`, and the value of `now`.

        There are none if any other value is allowed, too, or while the model server does not answer.
        """
        if not setting.task:
            return tuple(map(str, setting.choices))
        with suppress(UserError, TimeoutError):
            async with asyncio.timeout(MODEL_NAMES_SECONDS):
                offered = await self._offered_models(setting, place)
            return tuple(dict.fromkeys([*offered, *([now] if now else [])]))
        return ()

    async def shown_choices(self, setting: Setting, now: Any, place: Place, locale: str) -> list[tuple[str, str]]:
        """Return the `choices`, each with what people read: of a model at a remote upstream, it says so.

        Before models stands "", for the default one.
        """
        choices = await self.choices(setting, now, place)
        if not setting.task or not choices:
            return [(choice, choice) for choice in choices]
        remote, mark = self.models_in(place).is_remote, f" ({translate('remote', locale)})"
        return [("", ""), *((choice, choice + mark if remote(choice) else choice) for choice in choices)]

    async def model(self, name: str, place: Place, earlier: str = "") -> ModelChoice | None:
        """Return the model that the setting `name` chooses in `place`, or None if it is not declared.

        The model that wrote `earlier` text, which is to be gone on from, goes before it. Where neither is served any
        more, it is the server's first one. Raises ModelError.
        """
        if self._models is None or (setting := self._declared.get(name)) is None:
            return None
        return await self.models_in(place).choose(setting.task, earlier, self.value(name, place))

    async def _offered_models(self, setting: Setting, place: Place) -> list[str]:
        return [] if self._models is None else await self.models_in(place).offered(setting.task)

    async def _check_model(self, setting: Setting, name: str | None, place: Place) -> None:
        if not setting.task or not name or find_name(offered := await self._offered_models(setting, place), name):
            return
        if not offered:
            raise OptionError(setting.name, "There is no model that {name} could name.", name=setting.name)
        sentence = "{name} must be one of the models there are for it: {offered}; you gave “{text}”."
        values = {"name": setting.name, "offered": ", ".join(offered), "text": name[:60]}
        raise OptionError(setting.name, sentence, **values)

    def _effective_value(self, change: Change) -> Any:
        return self.levels(change.name, change.scope.place, change.scope.role)[-1].value


def _kind(scope: Scope) -> str:
    return ROLE if scope.role else SERVER if server_scope(scope.place) == scope else CHANNEL


def _takes(setting: Setting, scope: Scope) -> bool:
    """Return whether a setting may have a value in `scope`."""
    return _kind(scope) in (setting.scopes | {ROLE} if setting.takes_roles else setting.scopes)
