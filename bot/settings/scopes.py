"""The stored values of settings, each for a server, one of its channels or one of its roles.

They are kept in memory, too, since requests are decided without waiting, and are read again as other processes change
them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the types of columns
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, select
from sqlalchemy.orm import Mapped, mapped_column

from bot.settings.setting import Scope
from bot.storage.audit import SETTING, AuditEntry, add_entry
from bot.storage.changes import SETTINGS, ChangeReader, number_change
from bot.storage.database import Base, now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.core.messages import Place, User
    from bot.storage.database import Database


class SettingRow(Base):
    """A value that somebody set for a scope."""

    __tablename__ = "settings"

    platform: Mapped[str] = mapped_column(primary_key=True)
    server: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    actor: Mapped[str]
    actor_name: Mapped[str]
    changed: Mapped[datetime]
    change_number: Mapped[int] = mapped_column(default=0, server_default="0")
    """The number of the change that wrote it (bot/storage/changes.py)."""


@dataclass(frozen=True, slots=True)
class Change:
    """A new value for a scope; None removes the one that was set there."""

    scope: Scope
    name: str
    value: Any


def server_scope(place: Place) -> Scope:
    """Return the scope of the server that a place belongs to, or of the direct message that it is."""
    return Scope(place.platform, place.server) if place.server else Scope(place.platform, "", place.channel)


def enclosing_scopes(place: Place) -> tuple[Scope, ...]:
    """Return the scopes that a place belongs to, the narrowest first. A thread belongs to its channel."""
    server = server_scope(place)
    channel = Scope(place.platform, place.server, place.channel)
    return (server,) if channel == server or not place.channel else (channel, server)


class Scopes:
    """The stored values of all scopes, in memory and in the database."""

    def __init__(self) -> None:
        self._values: dict[Scope, dict[str, Any]] = {}
        self.names: frozenset[str] = frozenset()
        """The names of the settings that any scope has a value of."""
        self._actors: dict[tuple[Scope, str], str] = {}
        self._changes = ChangeReader(SETTINGS, SettingRow.change_number)
        self.listeners: set[Callable[[], None]] = set()
        """Called after a value was changed, in this process or another one."""
        # A refresh that began before a write must not overwrite what was written.
        self._lock = asyncio.Lock()

    async def start(self, database: Database) -> None:
        """Read the stored values."""
        self._database = database
        await self.refresh()

    async def refresh(self) -> None:
        """Read the values that other processes changed."""
        async with self._lock, self._database.reading() as session:
            rows, is_whole = await self._changes.read(session, select(SettingRow))
            # Before anything can be cancelled, since these rows are not read again.
            scopes = [Scope(row.platform, row.server, row.channel, row.role) for row in rows]
            actors = {(scope, row.name): row.actor_name for scope, row in zip(scopes, rows, strict=True)}
            changes = [Change(scope, row.name, row.value) for scope, row in zip(scopes, rows, strict=True)]
            self._apply(changes, actors, is_whole=is_whole)

    def values_at(self, scope: Scope) -> Mapping[str, Any]:
        """Return the values set for exactly this scope, by name."""
        return self._values.get(scope, {})

    def values_within(self, server: Scope) -> dict[Scope, Mapping[str, Any]]:
        """Return the values set for a server, its channels and its roles, in order, by scope and name."""
        within = sorted((scope, values) for scope, values in self._values.items() if values and scope.is_within(server))
        return dict(within)

    def actor_name(self, scope: Scope, name: str) -> str:
        """Return the name of whoever set the value that `scope` has; "" if it has none."""
        return self._actors.get((scope, name), "") if name in self.values_at(scope) else ""

    async def write(self, changes: Sequence[Change], actor: User) -> None:
        """Make all these changes, or none. Each is recorded in the audit."""
        async with self._lock:
            async with self._database.writing() as session:
                removes = any(change.value is None for change in changes)
                number = await number_change(session, SETTINGS, removes=removes)
                for change in changes:
                    await _write_change(session, change, actor, number)
            self._changes.skip(number)
            self._apply(changes, {(change.scope, change.name): actor.name for change in changes})

    def _apply(
        self, changes: Sequence[Change], actors: Mapping[tuple[Scope, str], str], *, is_whole: bool = False
    ) -> None:
        """Take these changes over, or nothing but them if they are the whole."""
        before = self._values
        known = {} if is_whole else before
        values = {scope: dict(known.get(scope, {})) for scope in {change.scope for change in changes}}
        for change in changes:
            if change.value is None:
                values[change.scope].pop(change.name, None)
            else:
                values[change.scope][change.name] = change.value
        self._actors = {**({} if is_whole else self._actors), **actors}
        self._values = known | values
        self.names = frozenset(name for named in self._values.values() for name in named)
        for listener in tuple(self.listeners) if self._values != before else ():
            listener()


async def _write_change(session: AsyncSession, change: Change, actor: User, number: int) -> None:
    """Make one change and record it in the audit."""
    scope = change.scope
    row = await session.get(SettingRow, (scope.platform, scope.server, scope.channel, scope.role, change.name))
    before = None if row is None else row.value
    if row is not None and change.value is None:
        await session.delete(row)
    elif change.value is not None:
        await session.merge(
            SettingRow(
                platform=scope.platform,
                server=scope.server,
                channel=scope.channel,
                role=scope.role,
                name=change.name,
                value=change.value,
                actor=actor.id,
                actor_name=actor.name,
                changed=now(),
                change_number=number,
            )
        )
    if before != change.value:
        entry = AuditEntry(
            actor=actor,
            place=scope.place,
            kind=SETTING,
            what=change.name,
            subject=scope.role,
            before=before,
            after=change.value,
        )
        add_entry(session, entry)
