"""Presets: files of settings that moderators apply to a server or a channel, and can take back.

They are those of `tempera run --preset` (config/presets) that hold nothing but settings.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.config.loading import read_presets
from bot.core.errors import UserError
from bot.settings.editor import NOT_ALLOWED
from bot.settings.scopes import Change
from bot.storage.key_value import Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.core.caller import Caller
    from bot.settings.resolver import Settings
    from bot.settings.setting import Changed, Scope, Setting
    from bot.storage.database import Database

NAMESPACE, SCOPE = "presets", "applied"
"""Where the newest preset of each scope is stored. No plugin is called so."""


@dataclass(frozen=True, slots=True)
class PresetChange:
    """A setting that a preset changes: its value now, and the one that it would have."""

    setting: Setting
    before: Any
    after: Any


class Presets:
    """Applies presets, and takes the newest one of a scope back."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._store = Store(database, NAMESPACE)
        self._changing = asyncio.Lock()
        """Held from the reading of what there was before until that is stored."""

    async def preview(self, scope: Scope) -> dict[str, list[PresetChange]]:
        """Return what each preset would change in `scope`, by its name."""
        presets, stored = await asyncio.to_thread(read_presets), await self._stored(scope)
        return {
            name: self._compare(self._untouched(stored, scope) | values, scope)
            for name, values in sorted(presets.items())
        }

    async def applied(self, scope: Scope) -> str:
        """Return the name of the preset that can be taken back in `scope`; "" if there is none."""
        return str((await self._stored(scope)).get("name", ""))

    async def apply(self, caller: Caller, name: str, scope: Scope) -> Sequence[Changed]:
        """Set all values of a preset in `scope`, in the place of those of the preset before.

        Those that are for whole servers alone are left out in a channel.

        Raises UserError if there is no such preset or a value is refused; nothing has changed then.
        """
        caller.require_moderator(NOT_ALLOWED)
        values = (await asyncio.to_thread(read_presets)).get(name)
        if values is None:
            raise UserError("There is no preset “{name}”.", name=name[:60])
        async with self._changing:
            former = self._untouched(await self._stored(scope), scope)
            own = {**self._settings.scopes.values_at(scope), **former}
            changes = [
                await self._settings.make_checked_change(setting, value, scope)
                for setting, value in (former | values).items()
                if self._settings.can_be_set(setting, scope)
            ]
            taken = {change.name: [own.get(change.name), change.value] for change in changes if change.name in values}
            changed = await self._settings.write(changes, caller.user)
            await self._store.set(_key(scope), {"name": name, "values": taken}, scope=SCOPE)
            return changed

    async def take_back(self, caller: Caller, scope: Scope) -> Sequence[Changed]:
        """Set what the newest preset of `scope` changed as it was before; what was changed since stays."""
        caller.require_moderator(NOT_ALLOWED)
        async with self._changing:
            stored = await self._stored(scope)
            if not stored:
                raise UserError("There is no preset to take back here.")
            changes = [Change(scope, name, before) for name, before in self._untouched(stored, scope).items()]
            changed = await self._settings.write(changes, caller.user) if changes else []
            await self._store.delete(_key(scope), scope=SCOPE)
            return changed

    async def _stored(self, scope: Scope) -> Mapping[str, Any]:
        return await self._store.get(_key(scope), scope=SCOPE) or {}

    def _untouched(self, stored: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
        """Return what `scope` had before the stored preset, without the settings that were changed since."""
        now = self._settings.scopes.values_at(scope)
        values = stored.get("values", {}).items()
        return {
            name: before for name, (before, after) in values if self._settings.knows(name) and now.get(name) == after
        }

    def _compare(self, values: Mapping[str, Any], scope: Scope) -> list[PresetChange]:
        """Return the settings that would have other values in `scope` with these; None stands for none of its own."""
        changes = []
        for name, value in values.items():
            if not self._settings.can_be_set(name, scope):
                continue
            setting, before = self._settings.find(name), self._settings.value(name, scope.place)
            after = self._settings.inherited(name, scope) if value is None else setting.convert(value)
            if before != after:
                changes.append(PresetChange(setting, before, after))
        return changes


def _key(scope: Scope) -> str:
    return f"{scope.platform}:{scope.server}:{scope.channel}"
