"""The store of plugins: JSON values and bytes by plugin, scope and key."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.changes import ChangeReader, number_change
from bot.storage.database import Base, PluginRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bot.storage.database import Database

MAX_KEYS_PER_STATEMENT = 500
"""The largest number of keys in one statement; databases allow a few thousand."""


class BlobRow(Base):
    """Bytes that a plugin stores."""

    __tablename__ = "plugin_blobs"

    plugin: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Store:
    """The values of one plugin. `scope` separates them, such as by the id of a server or a user."""

    def __init__(self, database: Database, plugin: str) -> None:
        self._database = database
        self._plugin = plugin

    async def get(self, key: str, default: Any = None, *, scope: str = "") -> Any:
        """Return the value of `key`, or `default`."""
        row = await self._database.read(lambda session: session.get(PluginRow, (self._plugin, scope, key)))
        return default if row is None else row.value

    async def set(self, key: str, value: Any, *, scope: str = "") -> None:
        """Store `value`, any JSON value, under `key`."""
        row = PluginRow(plugin=self._plugin, scope=scope, key=key, value=value)
        await self._database.write(lambda session: session.merge(row))

    async def change(self, key: str, new: Callable[[Any], Any], *, scope: str = "") -> Any:
        """Replace the value of `key`, or None, by `new(value)` and return that; no other change comes in between.

        If `new` raises an error, nothing changes.
        """
        async with self._database.writing() as session:
            row = await session.get(PluginRow, (self._plugin, scope, key))
            value = new(None if row is None else row.value)
            await session.merge(PluginRow(plugin=self._plugin, scope=scope, key=key, value=value))
        return value

    async def delete(self, *keys: str, scope: str = "") -> None:
        """Delete the values of `keys`, as far as they exist."""
        async with self._database.writing() as session:
            for chunk in _chunks(keys):
                await session.execute(
                    delete(PluginRow).where(*self._conditions(PluginRow, scope), PluginRow.key.in_(chunk))
                )

    async def items(self, *, scope: str = "") -> dict[str, Any]:
        """Return all keys of a scope with their values."""
        query = select(PluginRow).where(*self._conditions(PluginRow, scope)).order_by(PluginRow.key)
        return await self._database.read(lambda session: {row.key: row.value for row in session.scalars(query)})

    async def blobs(self, keys: Iterable[str], *, scope: str = "") -> dict[str, bytes]:
        """Return the bytes of `keys`, as far as they exist."""
        blobs: dict[str, bytes] = {}
        async with self._database.reading() as session:
            for chunk in _chunks(keys):
                query = select(BlobRow.key, BlobRow.data).where(
                    *self._conditions(BlobRow, scope), BlobRow.key.in_(chunk)
                )
                blobs |= {row.key: row.data for row in await session.execute(query)}
        return blobs

    async def blob_keys(self, *, scope: str = "") -> frozenset[str]:
        """Return all keys of a scope that have bytes."""
        keys = select(BlobRow.key).where(*self._conditions(BlobRow, scope))
        return await self._database.read(lambda session: frozenset(session.scalars(keys)))

    async def set_blobs(self, blobs: Mapping[str, bytes], *, scope: str = "") -> None:
        """Store bytes, each under its key."""
        async with self._database.writing() as session:
            for chunk in _chunks(blobs):
                await session.execute(delete(BlobRow).where(*self._conditions(BlobRow, scope), BlobRow.key.in_(chunk)))
            session.add_all(
                BlobRow(plugin=self._plugin, scope=scope, key=key, data=data) for key, data in blobs.items()
            )

    async def delete_blobs(self, keys: Iterable[str], *, scope: str = "") -> None:
        """Delete the bytes of `keys`, as far as they exist."""
        async with self._database.writing() as session:
            for chunk in _chunks(keys):
                await session.execute(delete(BlobRow).where(*self._conditions(BlobRow, scope), BlobRow.key.in_(chunk)))

    def _conditions(self, table: type[PluginRow | BlobRow], scope: str) -> tuple[Any, Any]:
        return table.plugin == self._plugin, table.scope == scope


class NumberedStore:
    """The values of one plugin without a scope. Their changes are numbered, so that others read only what changed."""

    def __init__(self, database: Database, plugin: str, tell: Callable[[], None] = lambda: None) -> None:
        """`tell` is called after each change that is made here, so that other processes learn of it at once."""
        self._database = database
        self._plugin = plugin
        self._tell = tell
        self._is_ours = (PluginRow.plugin == plugin) & (PluginRow.scope == "")
        self._changes = ChangeReader(plugin, PluginRow.change_number)
        self._values: dict[str, Any] = {}
        # A refresh that began before a write must not overwrite what was written.
        self._lock = asyncio.Lock()

    @property
    def values(self) -> Mapping[str, Any]:
        """All keys with their values, as far as `refresh` has read them."""
        return self._values

    async def refresh(self) -> None:
        """Read the values that other processes changed."""
        query = select(PluginRow).where(self._is_ours)
        async with self._lock, self._database.reading() as session:
            rows, is_whole = await self._changes.read(session, query)
            # Before anything can be cancelled, since these rows are not read again.
            changed = {row.key: row.value for row in rows}
            self._values = changed if is_whole else {**self._values, **changed}

    async def put(self, key: str, value: Any) -> None:
        """Store `value` under `key`; None removes the value that was stored there."""
        await self.change(key, lambda _: value)

    async def change(self, key: str, new: Callable[[Any], Any]) -> None:
        """Replace the value of `key`, or None, by `new(value)`; no other change comes in between.

        None removes it. If `new` raises an error, nothing changes.
        """
        async with self._lock:
            async with self._database.writing() as session:
                known = await session.scalar(select(PluginRow.value).where(self._is_ours, PluginRow.key == key))
                value = new(known)
                number = await number_change(session, self._plugin, removes=value is None)
                await session.execute(delete(PluginRow).where(self._is_ours, PluginRow.key == key))
                if value is not None:
                    row = PluginRow(plugin=self._plugin, scope="", key=key, value=value, change_number=number)
                    session.add(row)
            self._changes.skip(number)
            # Changed in place: a copy for each change takes a time that grows with the number of keys.
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value
        self._tell()


def _chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(keys)
    while chunk := list(islice(remaining, MAX_KEYS_PER_STATEMENT)):
        yield chunk
