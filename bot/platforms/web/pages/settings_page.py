"""The settings page for moderators: each setting with its description, its scope, and who changed it last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.caller import Caller
from bot.core.errors import UserError
from bot.platforms.web.chat.room import GENERAL_PLACE
from bot.settings.editor import NOT_ALLOWED, SettingsEditor
from bot.settings.option_limits import find_narrower
from bot.storage.audit import SETTING, Audit, AuditFilter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.core.messages import User
    from bot.platforms.web.chat.services import WebServices
    from bot.settings.setting import Scope, Setting
    from bot.storage.audit import AuditRow

MAX_VALUE_CHARS, MAX_SHOWN_CHARS = 5000, 200
DATA_PATH = "/settings/data"


class SettingChange(BaseModel):
    """A new value for a setting, as typed, for a room, or for the whole chat if that is empty. None resets it.

    If it `follows`, a room keeps no value of its own that the whole chat has as well. `seen` is the value that the page
    showed, if it says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    room: Annotated[str, Field(max_length=64)]
    name: Annotated[str, Field(max_length=200)]
    value: Annotated[str, Field(max_length=MAX_VALUE_CHARS)] | None
    follows: bool = False
    seen: bool | float | str | None = None


class SettingsPage:
    """Routes of the settings page, which shows and changes the same settings as /config."""

    def __init__(self, services: WebServices) -> None:
        self._services = services
        self._audit = Audit(services.bot.database)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(DATA_PATH, self._serve_data),
            web.post(DATA_PATH, self._serve_change),
        ]

    async def _serve_data(self, request: web.Request) -> web.Response:
        user = self._services.identify_request(request)
        scope = self._require_scope(user, request.query.get("room", ""))
        last = await self._last_changes()
        declared = self._services.bot.settings.declared
        listed = [setting for setting in declared if self._services.bot.settings.can_be_set(setting.name, scope)]
        shown = [await self._setting_json(setting, scope, user, last) for setting in listed]
        return web.json_response({"rooms": self._services.rooms.names, "settings": shown})

    async def _serve_change(self, request: web.Request) -> web.Response:
        user, settings = self._services.identify_request(request), self._services.bot.settings
        async with self._services.recording(user, "settings"):
            change = self._parse_change(await request.read())
            scope = self._require_scope(user, change.room)
            self._require_seen(change, scope)
            caller = Caller(user, scope.place)
            await SettingsEditor(settings).set(caller, change.name, change.value, scope, follows=change.follows)
        shown = await self._setting_json(settings.find(change.name), scope, user, await self._last_changes())
        return web.json_response(shown)

    def _parse_change(self, body: bytes) -> SettingChange:
        try:
            return SettingChange.model_validate_json(body)
        except ValidationError:
            raise UserError("A value may have {most} characters.", most=MAX_VALUE_CHARS) from None

    def _require_seen(self, change: SettingChange, scope: Scope) -> None:
        """Raise UserError if somebody changed the setting after the page showed it: a list would lose their part."""
        settings = self._services.bot.settings
        now = settings.value(settings.find(change.name).name, scope.place)
        if "seen" in change.model_fields_set and change.seen != now:
            sentence = "{name} was changed meanwhile, to “{value}”. Load the page anew before you change it."
            raise UserError(sentence, name=change.name, value=str(now)[:MAX_SHOWN_CHARS])

    def _require_scope(self, user: User, room: str) -> Scope:
        """Return the scope of a room, or of the whole chat. Raises UserError for others than moderators."""
        Caller(user, GENERAL_PLACE).require_moderator(NOT_ALLOWED)
        return self._services.scope_of(room)

    async def _last_changes(self) -> dict[tuple[str, str], AuditRow]:
        """Return the newest audit entry for each setting and room; “” is the whole chat."""
        entries = await self._audit.find("web", "web", AuditFilter(kind=SETTING))
        return {(entry.what, entry.channel): entry for entry in reversed(entries) if not entry.subject}

    async def _setting_json(
        self, setting: Setting, scope: Scope, user: User, last: Mapping[tuple[str, str], AuditRow]
    ) -> dict[str, Any]:
        settings = self._services.bot.settings
        levels = settings.levels(setting.name, scope.place)
        changed = last.get((setting.name, scope.channel))
        narrower = find_narrower(setting, settings, scope.place)
        notes = [] if narrower is None else [narrower.in_language(user.locale)]
        return {
            "name": setting.name,
            "group": settings.group(setting.name, user.locale),
            "about": " ".join([setting.about(user.locale), *notes]),
            "kind": setting.option.kind,
            "minimum": setting.minimum,
            "maximum": setting.maximum,
            "choices": await settings.shown_choices(setting, levels[-1].value, scope.place, user.locale),
            "value": levels[-1].value,
            "where": levels[-1].where,
            "levels": [{"where": level.where, "value": level.value} for level in levels],
            "here": setting.name in settings.scopes.values_at(scope),
            "changed": changed and {"by": changed.actor_name, "at": changed.created.timestamp()},
        }
