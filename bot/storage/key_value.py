"""What a plugin keeps: JSON values and bytes by plugin, scope and key."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.database import Base, PluginRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bot.storage.database import Database

MAX_KEYS_PER_STATEMENT = 500
"""How many keys one statement names; databases take no more than some thousands."""


class BlobRow(Base):
    """Bytes that a plugin keeps."""

    __tablename__ = "plugin_blobs"

    plugin: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


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

    async def change(self, key: str, new: Callable[[Any], Any], *, scope: str = "") -> Any:
        """Put `new(value)` in the place of the value under `key`, or of None; whoever else does waits. Gives it back.

        Nothing has changed where `new` raises.
        """
        async with self._database.writing() as session:
            row = await session.get(PluginRow, (self._plugin, scope, key))
            value = new(None if row is None else row.value)
            await session.merge(PluginRow(plugin=self._plugin, scope=scope, key=key, value=value))
        return value

    async def delete(self, *keys: str, scope: str = "") -> None:
        """Forget `keys`, those that are there."""
        async with self._database.writing() as session:
            for some in _chunks(keys):
                await session.execute(delete(PluginRow).where(*self._is_own(PluginRow, scope), PluginRow.key.in_(some)))

    async def items(self, *, scope: str = "") -> dict[str, Any]:
        """All keys of a scope with their values."""
        async with self._database.reading() as session:
            found = select(PluginRow).where(*self._is_own(PluginRow, scope)).order_by(PluginRow.key)
            return {row.key: row.value for row in await session.scalars(found)}

    async def blobs(self, keys: Iterable[str], *, scope: str = "") -> dict[str, bytes]:
        """The bytes kept under `keys`, as far as there are any."""
        found: dict[str, bytes] = {}
        async with self._database.reading() as session:
            for some in _chunks(keys):
                asked = select(BlobRow.key, BlobRow.data).where(*self._is_own(BlobRow, scope), BlobRow.key.in_(some))
                found |= {row.key: row.data for row in await session.execute(asked)}
        return found

    async def blob_keys(self, *, scope: str = "") -> frozenset[str]:
        """All keys of a scope under which bytes are kept."""
        async with self._database.reading() as session:
            return frozenset(await session.scalars(select(BlobRow.key).where(*self._is_own(BlobRow, scope))))

    async def set_blobs(self, blobs: Mapping[str, bytes], *, scope: str = "") -> None:
        """Keep bytes, each under its key."""
        async with self._database.writing() as session:
            for some in _chunks(blobs):
                await session.execute(delete(BlobRow).where(*self._is_own(BlobRow, scope), BlobRow.key.in_(some)))
            session.add_all(
                BlobRow(plugin=self._plugin, scope=scope, key=key, data=data) for key, data in blobs.items()
            )

    async def delete_blobs(self, keys: Iterable[str], *, scope: str = "") -> None:
        """Forget the bytes under `keys`, those that are there."""
        async with self._database.writing() as session:
            for some in _chunks(keys):
                await session.execute(delete(BlobRow).where(*self._is_own(BlobRow, scope), BlobRow.key.in_(some)))

    def _is_own(self, table: type[PluginRow | BlobRow], scope: str) -> tuple[Any, Any]:
        return table.plugin == self._plugin, table.scope == scope


def _chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    left = iter(keys)
    while some := list(islice(left, MAX_KEYS_PER_STATEMENT)):
        yield some
