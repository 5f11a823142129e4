"""The settings as a page for moderators: every one with its sentence, its scope, and who changed it last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.caller import Caller
from bot.core.errors import PermissionDenied, UserError
from bot.platforms.web.access import visitors
from bot.platforms.web.templates import page
from bot.settings.editor import NOT_ALLOWED, SettingsEditor
from bot.settings.scopes import server_scope
from bot.settings.setting import CHANNEL, Scope
from bot.storage.audit import SETTING, Audit, AuditFilter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.core.messages import User
    from bot.platforms.web.chat.services import WebServices
    from bot.settings.setting import Setting
    from bot.storage.audit import AuditRow

MOST_VALUE = 5000
DATA = "/settings/data"


class SettingChange(BaseModel):
    """A value for a setting as typed, in a room or, with none named, everywhere; None takes back what was set there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    room: Annotated[str, Field(max_length=64)]
    name: Annotated[str, Field(max_length=200)]
    value: Annotated[str, Field(max_length=MOST_VALUE)] | None


class SettingsPage:
    """The routes of the page. What it shows and changes is what /config shows and changes."""

    def __init__(self, house: WebServices) -> None:
        self._house = house
        self._audit = Audit(house.bot.database)

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        return [web.get("/settings", self._page), web.get(DATA, self._show), web.post(DATA, self._change)]

    async def _page(self, request: web.Request) -> web.Response:
        return await page(request, "settings")

    async def _show(self, request: web.Request) -> web.Response:
        user = self._user(request)
        try:
            scope = self._scope(user, request.query.get("room", ""))
        except UserError as error:
            return _refused(error, user)
        last = await self._last_changes()
        declared = self._house.bot.settings.declared
        here = [setting for setting in declared if not scope.channel or _in_rooms(setting)]
        shown = [await self._shown(setting, scope, user, last) for setting in here]
        return web.json_response({"rooms": self._house.rooms.names, "settings": shown})

    async def _change(self, request: web.Request) -> web.Response:
        user, settings = self._user(request), self._house.bot.settings
        try:
            wanted = self._wanted(await request.text())
            scope = self._scope(user, wanted.room)
            await SettingsEditor(settings).set(Caller(user, scope.place), wanted.name, wanted.value, scope)
        except UserError as error:
            await self._house.note(error, user, "settings")
            return _refused(error, user)
        shown = await self._shown(settings.find(wanted.name), scope, user, await self._last_changes())
        return web.json_response(shown)

    def _wanted(self, body: str) -> SettingChange:
        try:
            return SettingChange.model_validate_json(body)
        except ValidationError:
            raise UserError("A value may have {most} characters.", most=MOST_VALUE) from None

    def _user(self, request: web.Request) -> User:
        secret = visitors.secret_of(request) or visitors.new_secret()
        return self._house.visitor(secret, request.query.get("name", ""), request.query.get("locale", ""))

    def _scope(self, user: User, room: str) -> Scope:
        Caller(user, self._house.rooms.get("").place()).require_moderator(NOT_ALLOWED)
        if room and room not in self._house.rooms.names:
            raise UserError("There is no room “{name}”.", name=room)
        server = server_scope(self._house.rooms.get(room).place())
        return Scope(server.platform, server.server, room)

    async def _last_changes(self) -> dict[tuple[str, str], AuditRow]:
        """The newest entry for each setting and room; "" is the whole chat."""
        server = server_scope(self._house.rooms.get("").place())
        entries = await self._audit.find(server.platform, server.server, AuditFilter(kind=SETTING))
        return {(entry.what, entry.channel): entry for entry in reversed(entries) if not entry.subject}

    async def _shown(
        self, setting: Setting, scope: Scope, user: User, last: Mapping[tuple[str, str], AuditRow]
    ) -> dict[str, Any]:
        settings = self._house.bot.settings
        levels = settings.levels(setting.name, scope.place)
        changed = last.get((setting.name, scope.channel))
        choices = await settings.choices(setting, levels[-1].value)
        return {
            "name": setting.name,
            "group": settings.group(setting.name, user.locale),
            "about": setting.about(user.locale),
            "kind": setting.option.kind,
            "minimum": setting.minimum,
            "maximum": setting.maximum,
            "choices": ["", *choices] if setting.task and choices else choices,
            "value": levels[-1].value,
            "where": levels[-1].where,
            "levels": [{"where": level.where, "value": level.value} for level in levels],
            "here": setting.name in settings.scopes.values_at(scope),
            "changed": changed and {"by": changed.actor_name, "at": changed.created.timestamp()},
        }


def _in_rooms(setting: Setting) -> bool:
    return CHANNEL in setting.scopes


def _refused(error: UserError, user: User) -> web.Response:
    status = 403 if isinstance(error, PermissionDenied) else 422
    return web.json_response({"error": error.sentence.in_language(user.locale)}, status=status)
