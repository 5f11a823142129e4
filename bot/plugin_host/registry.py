"""The loaded plugins and their commands."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.commands.command import MAX_SHOWN_CHARACTERS
from bot.commands.source import find_place
from bot.core.errors import BotError, ConfigError, DatabaseUnavailable, PluginError, UnknownCommand, UserError
from bot.core.text import cut, nearest
from bot.plugin_host.plugin import errors_name, reload_plugin
from bot.settings import plugin_switches
from bot.settings.option_limits import derive_settings, narrow
from bot.storage.key_value import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from bot.commands.command import Command
    from bot.core.caller import Caller
    from bot.core.messages import Page, Place, Shelf, User
    from bot.plugin_host.plugin import Host, Plugin
    from bot.settings.resolver import Settings
    from bot.settings.setting import Scope
    from bot.storage.database import Database

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """A plugin as `/plugins list` shows it."""

    name: str
    is_on: bool
    commands: tuple[str, ...]


class Registry:
    """Finds commands; starts, stops, switches and reloads plugins."""

    def __init__(self, plugins: Sequence[Plugin], settings: Settings) -> None:
        self._plugins: dict[str, Plugin] = {}
        self._commands: dict[str, Command] = {}
        self._reloads: dict[str, int] = {}
        self._settings = settings
        for plugin in plugins:
            with errors_name(plugin.name, type(plugin).__module__):
                self._register(plugin)
        settings.check()

    def _register(self, plugin: Plugin) -> None:
        commands = plugin.commands()
        others = {name: command for name, command in self._commands.items() if command.plugin != plugin.name}
        for command in commands:
            if (other := others.get(command.name)) is not None:
                both = f"“{plugin.name}” and “{other.plugin}”"
                raise PluginError(f"The plugins {both} have a command “{command.name}” each; rename one.")
        merged = others | {command.name: command for command in commands}
        for name in merged:
            first, _, second = name.partition(" ")
            if second and first in merged:
                raise PluginError(f"Command “{first}” has subcommands, so it cannot be one itself (“{plugin.name}”).")
        names = {command.name for command in commands}
        for line, _ in plugin.examples:
            if line and names.isdisjoint({line[1:].partition(" ")[0], " ".join(line[1:].split()[:2])}):
                raise PluginError(f"The plugin “{plugin.name}” has no command for its example “{line}”.")
        derived = (*plugin_switches.switch_settings(plugin.name), *derive_settings(commands))
        self._settings.declare(plugin.name, plugin.settings, derived, title=plugin.title)
        self._plugins[plugin.name] = plugin
        self._commands = merged

    async def start(self, database: Database, host: Callable[[str], Host]) -> None:
        """Start every plugin, in order; if one fails, those that were started are closed again.

        `host` returns the services for the plugin of a name.
        """
        self._store = Store(database, "plugins")
        self._host = host
        self._reloads = await self._store.items(scope="reloads")
        started: list[Plugin] = []
        try:
            for plugin in self._plugins.values():
                await self._start(plugin)
                started.append(plugin)
        except PluginError:
            for plugin in reversed(started):
                await plugin.close()
            raise

    async def close(self) -> None:
        """Close every plugin, the last one first."""
        for plugin in reversed(self._plugins.values()):
            await plugin.close()

    @property
    def commands(self) -> tuple[Command, ...]:
        """All commands except the hidden ones, in the order of loading."""
        return tuple(command for command in self._commands.values() if not command.hidden)

    @property
    def all_commands(self) -> tuple[Command, ...]:
        """All commands, including the hidden ones."""
        return tuple(self._commands.values())

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """All plugins, in the order of loading, including those that are switched off."""
        return tuple(self._plugins.values())

    def listed(self, place: Place) -> tuple[Listed, ...]:
        """Return every plugin with its commands, and whether it is on in `place`."""
        return tuple(
            Listed(
                name,
                self.is_on(name, place),
                tuple(command.name for command in self.commands if command.plugin == name),
            )
            for name in self._plugins
        )

    def is_on(self, plugin: str, place: Place) -> bool:
        """Return whether `plugin` may be used in `place`."""
        return plugin_switches.is_on(plugin, place, self._settings)

    def enabled_plugins(self, place: Place) -> tuple[Plugin, ...]:
        """Return the plugins that may be used in `place`."""
        return tuple(plugin for name, plugin in self._plugins.items() if self.is_on(name, place))

    async def pages(self, place: Place) -> dict[str, Sequence[Page]]:
        """Return the pages that people can read in `place`, by plugin. A plugin that fails has none."""
        pages_by_plugin = {}
        for plugin in self.enabled_plugins(place):
            try:
                pages_by_plugin[plugin.name] = await plugin.pages(place)
            except DatabaseUnavailable as error:
                log.debug("Plugin “%s” could not list its pages: %s", plugin.name, error)
            except Exception:
                log.exception("Plugin “%s” could not list its pages", plugin.name)
        return {name: pages for name, pages in pages_by_plugin.items() if pages}

    async def shelves(self, caller: Caller) -> dict[str, Shelf]:
        """Return what moderators keep with each plugin. Raises PermissionDenied for others."""
        caller.require_moderator()
        shelves: dict[str, Shelf] = {}
        for plugin in self.plugins:
            try:
                if (shelf := await plugin.shelf(caller)) is not None:
                    shelves[plugin.name] = shelf
            except UserError:
                raise
            except Exception:
                log.exception("Plugin “%s” could not list what moderators keep with it", plugin.name)
        return shelves

    def narrow(self, command: Command, place: Place, user: User | None = None) -> Command:
        """Return `command` with the limits that moderators have set in `place` and for the roles of `user`."""
        siblings = [other for other in self._commands.values() if other.plugin == command.plugin]
        return narrow(command, siblings, self._settings, place, user)

    def find_default(self, command: str, option: str, place: Place, user: User) -> Any:
        """Return the default of an option that applies in `place` to `user`; None if there is no such option."""
        found = self.get(command)
        known = None if found is None else self.narrow(found, place, user).option(option)
        return None if known is None else known.default

    def get(self, name: str) -> Command | None:
        """Return the command called `name`, which may be hidden; None if there is none."""
        return self._commands.get(name)

    def plugin_of(self, command: str) -> Plugin | None:
        """Return the plugin that has a command, which may be hidden; None if there is none."""
        found = self.get(command)
        return None if found is None else self._plugins.get(found.plugin)

    def find_any(self, name: str) -> Command:
        """Return the command of a button or an answer, which may be hidden. Raises UnknownCommand if it is gone."""
        return self.get(name) or self.find(name)

    def find(self, name: str) -> Command:
        """Return the visible command called `name`. Raises UnknownCommand that suggests the nearest name."""
        names = [command.name for command in self.commands]
        if name in names:
            return self._commands[name]
        if below := [known for known in names if known.startswith(f"{name} ")]:
            choices = ", ".join(f"/{known}" for known in below)
            raise UnknownCommand("/{name} needs one more word: {choices}.", name=name, choices=choices)
        name = cut(name, MAX_SHOWN_CHARACTERS)
        if close := nearest(name, names):
            raise UnknownCommand("There is no command /{name}. Did you mean /{close}?", name=name, close=close)
        raise UnknownCommand("There is no command /{name}. /help lists what there is.", name=name)

    def find_code(self, frame: FrameType) -> str:
        """Return the plugin whose code is the innermost on a stack, and the place in it; "" if there is none."""
        for step in traceback.walk_stack(frame):
            for plugin in self.plugins:
                if place := find_place([step], type(plugin).__module__):
                    return f"the plugin “{plugin.name}” ({place})"
        return ""

    def split_line(self, line: str) -> tuple[Command, str]:
        """Return the command of a line "/name …", whose name has one word or two, and the rest of the line."""
        first, *rest = line.removeprefix("/").split(maxsplit=1)[:2] or [""]
        after = rest[0] if rest else ""
        second, *tail = after.split(maxsplit=1) or [""]
        two = self.get(f"{first} {second}".casefold())
        if two is not None and not two.hidden:
            return two, tail[0] if tail else ""
        return self.find(first.casefold()), after

    async def refresh(self) -> None:
        """Reload the plugins that other processes have reloaded."""
        for name, count in (await self._store.items(scope="reloads")).items():
            if self._reloads.get(name) != count and name in self._plugins:
                self._reloads[name] = count
                try:
                    await self._replace(self._plugins[name])
                except BotError:
                    log.exception("Plugin “%s” could not be reloaded in this process", name)

    async def switch(self, name: str, scope: Scope, actor: User, *, on: bool) -> None:
        """Switch a plugin on or off in a server or a channel. Raises UserError if it cannot be switched off."""
        self._get_loaded(name)
        if name in plugin_switches.PINNED:
            if not on:
                raise UserError("The plugin “{name}” cannot be switched off.", name=name)
            return
        change = await self._settings.make_typed_change(plugin_switches.switch_name(name), on, scope)
        await self._settings.write([change], actor)

    async def reload(self, name: str) -> None:
        """Load a plugin's file again. If it is broken, UserError says why and the running plugin stays."""
        try:
            await self._replace(self._get_loaded(name))
        except (PluginError, ConfigError) as error:
            raise UserError("{reason} The running one stays.", reason=error) from error
        self._reloads[name] = self._reloads.get(name, 0) + 1
        await self._store.set(name, self._reloads[name], scope="reloads")

    async def _replace(self, old: Plugin) -> None:
        new = reload_plugin(old)
        await self._start(new)
        try:
            self._register(new)
        except BotError:
            await new.close()
            raise
        await old.close()

    async def _start(self, plugin: Plugin) -> None:
        plugin.host = self._host(plugin.name)
        with errors_name(plugin.name, type(plugin).__module__, "cannot start"):
            try:
                await plugin.start()
            except (Exception, SystemExit):
                await plugin.close()
                raise

    def _get_loaded(self, name: str) -> Plugin:
        if (plugin := self._plugins.get(name)) is None:
            if close := nearest(name, self._plugins):
                raise UserError("There is no plugin “{name}”. Did you mean “{close}”?", name=name, close=close)
            raise UserError(
                "There is no plugin “{name}”; there are {names}.", name=name, names=", ".join(self._plugins)
            )
        return plugin
