"""What may be done in a room: paused, only for reading, which commands, the highest temperature, and presets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from aiohttp import web
from pydantic import Field

from bot.core.errors import UserError
from bot.core.i18n import Sentence
from bot.platforms.web.pages.teachers.desk import Order, ShortText
from bot.settings.builtin import PAUSED, TASK
from bot.settings.editor import SettingsEditor
from bot.settings.plugin_switches import PINNED, is_on, switch_name
from bot.settings.presets import Presets
from bot.settings.setting import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.core.caller import Caller
    from bot.platforms.web.chat.services import WebServices
    from bot.platforms.web.pages.teachers.desk import Desk
    from bot.settings.presets import PresetChange

DENIED = "access.channels.denied"
TEMPERATURE = "temperature.maximum"
PRESETS = {
    "classroom": (
        Sentence("Classroom"),
        Sentence("The strictest checks, and limits for thirty people at one machine."),
    ),
    "exam": (
        Sentence("Exam"),
        Sentence("/explain alone: lessons answer, a model only says them in simpler words, and none draws."),
    ),
    "open-community": (
        Sentence("Open community"),
        Sentence("High temperatures, long answers and few limits, with the usual checks."),
    ),
}
"""The title of each preset that comes with Tempera, and what it is for."""


class ReadOnlyOrder(Order):
    """Let only moderators write in a room, or everybody again."""

    on: bool


class CommandsOrder(Order):
    """Let people use the commands of these plugins alone, of those that the page lists."""

    plugins: Annotated[list[ShortText], Field(max_length=100)]


class PresetOrder(Order):
    """Apply a preset; None takes back the newest one."""

    name: ShortText | None


class RulesCard:
    """Routes of the rules. What is a setting by itself is changed by the address of the settings page."""

    def __init__(self, services: WebServices, desk: Desk) -> None:
        self._services, self._desk = services, desk
        self._settings = services.bot.settings
        self._presets = Presets(services.bot.settings, services.bot.database)
        self._changing = asyncio.Lock()
        """Held while the list of rooms that are only for reading is read and written."""

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/class/read-only", self._serve_read_only),
            web.post("/class/commands", self._serve_commands),
            web.post("/class/preset", self._serve_preset),
        ]

    async def describe(self, caller: Caller, scope: Scope) -> dict[str, Any]:
        """Return the rules of a room, or of the whole chat, as JSON."""
        settings, locale, place = self._settings, caller.user.locale, scope.place
        denied = settings.value(DENIED, place).split()
        return {
            "exceptions": self._find_exceptions(scope),
            "paused": settings.value(PAUSED, place),
            "read_only": scope.channel in denied,
            "task": settings.value(TASK, place),
            "commands": [
                {"plugin": plugin, "names": names, "switch": switch_name(plugin), "on": is_on(plugin, place, settings)}
                for plugin, names in self._switchable().items()
            ],
            "temperature": settings.value(TEMPERATURE, place),
            "presets": [
                self._preset_json(name, changes, locale)
                for name, changes in (await self._presets.preview(scope)).items()
            ],
            "applied": await self._presets.applied(scope),
        }

    def _find_exceptions(self, scope: Scope) -> dict[str, list[str]]:
        """Return the rooms in which something else holds than in the whole chat, by the name of the setting."""
        names = [PAUSED, TEMPERATURE, *map(switch_name, self._switchable())]
        rooms = [Scope(scope.platform, scope.server, room) for room in self._services.rooms.names]
        found = {
            name: [
                room.channel
                for room in rooms
                if self._settings.value(name, room.place) != self._settings.value(name, scope.place)
            ]
            for name in names
        }
        return {} if scope.channel else {name: differing for name, differing in found.items() if differing}

    def _switchable(self) -> dict[str, list[str]]:
        """Return the plugins that answer in public, each with its commands."""
        commands: dict[str, list[str]] = {}
        for command in self._services.bot.registry.commands:
            if command.plugin not in PINNED and not command.moderator and not command.private:
                commands.setdefault(command.plugin, []).append(command.name)
        return commands

    def _preset_json(self, name: str, changes: Sequence[PresetChange], locale: str) -> dict[str, Any]:
        title, about = PRESETS.get(name, (Sentence(name), Sentence("")))
        return {
            "name": name,
            "title": title.in_language(locale),
            "about": about.in_language(locale),
            "changes": [
                {"name": one.setting.name, "about": one.setting.about(locale), "before": one.before, "after": one.after}
                for one in changes
            ],
        }

    async def _serve_read_only(self, request: web.Request) -> web.StreamResponse:
        return await self._desk.obey(request, ReadOnlyOrder, self._set_read_only)

    async def _set_read_only(self, caller: Caller, scope: Scope, order: ReadOnlyOrder) -> None:
        if not scope.channel:
            raise UserError("Choose a room: the whole chat can be paused.")
        server = Scope(scope.platform, scope.server)
        async with self._changing:
            # A room that was closed is no channel that the setting could name.
            names = set(self._services.rooms.names) - {scope.channel}
            others = [room for room in self._settings.value(DENIED, server.place).split() if room in names]
            denied = [*others, scope.channel] if order.on else others
            await SettingsEditor(self._settings).set(caller, DENIED, " ".join(denied) or None, server)

    async def _serve_commands(self, request: web.Request) -> web.StreamResponse:
        return await self._desk.obey(request, CommandsOrder, self._set_commands)

    async def _set_commands(self, caller: Caller, scope: Scope, order: CommandsOrder) -> None:
        wanted = {switch_name(plugin): plugin in order.plugins for plugin in self._switchable()}
        changed = {name: on for name, on in wanted.items() if self._settings.value(name, scope.place) != on}
        if changed:
            await SettingsEditor(self._settings).set_all(caller, changed, scope, follows=True)

    async def _serve_preset(self, request: web.Request) -> web.StreamResponse:
        return await self._desk.obey(request, PresetOrder, self._apply_preset)

    async def _apply_preset(self, caller: Caller, scope: Scope, order: PresetOrder) -> None:
        if order.name is None:
            await self._presets.take_back(caller, scope)
        else:
            await self._presets.apply(caller, order.name, scope)
