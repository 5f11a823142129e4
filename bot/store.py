"""What a plugin keeps: JSON values by plugin, scope and key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from bot.database import PluginRow

if TYPE_CHECKING:
    from bot.database import Database


class Store:
    """The rows of one plugin. `scope` is whatever separates them, such as a server's or a user's id."""

    def __init__(self, database: Database, plugin: str) -> None:
        self._database = database
        self._plugin = plugin

    async def get(self, key: str, default: Any = None, *, scope: str = "") -> Any:
        """The value under `key`, or `default`."""
        async with self._database.reading() as session:
            row = await session.get(PluginRow, (self._plugin, scope, key))
        return default if row is None else row.value

    async def set(self, key: str, value: Any, *, scope: str = "") -> None:
        """Keep `value`, anything that JSON can hold, under `key`."""
        async with self._database.writing() as session:
            row = PluginRow(plugin=self._plugin, scope=scope, key=key, value=value)
            await session.merge(row)

    async def delete(self, key: str, *, scope: str = "") -> None:
        """Forget `key`, if it is there."""
        mine = (PluginRow.plugin == self._plugin) & (PluginRow.scope == scope) & (PluginRow.key == key)
        async with self._database.writing() as session:
            await session.execute(delete(PluginRow).where(mine))

    async def items(self, *, scope: str = "") -> dict[str, Any]:
        """All keys of a scope with their values."""
        mine = (PluginRow.plugin == self._plugin) & (PluginRow.scope == scope)
        async with self._database.reading() as session:
            rows = await session.scalars(select(PluginRow).where(mine).order_by(PluginRow.key))
            return {row.key: row.value for row in rows}
