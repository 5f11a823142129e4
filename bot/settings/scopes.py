"""What was set where: for a server, for one of its channels, for one of its roles.

All of it is kept in memory, since a request is decided without waiting, and follows what other processes set.
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
from bot.storage.database import Base, now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


@dataclass(frozen=True, slots=True)
class Change:
    """A value for a scope; None takes back what was set there."""

    scope: Scope
    name: str
    value: Any


def home(place: Place) -> Scope:
    """The server of a place, or the direct message that it is."""
    return Scope(place.platform, place.server) if place.server else Scope(place.platform, "", place.channel)


def above(place: Place) -> tuple[Scope, ...]:
    """The scopes that a place belongs to, the narrowest first. A thread belongs to its channel."""
    server = home(place)
    channel = Scope(place.platform, place.server, place.channel)
    return (server,) if channel == server or not place.channel else (channel, server)


class Scopes:
    """The values of all scopes."""

    def __init__(self) -> None:
        self._values: dict[Scope, dict[str, Any]] = {}
        # Else what was read before a change could take the place of what was changed.
        self._lock = asyncio.Lock()

    async def start(self, database: Database) -> None:
        """Read what was set before."""
        self._database = database
        await self.refresh()

    async def refresh(self) -> None:
        """Follow what other processes set."""
        found: dict[Scope, dict[str, Any]] = {}
        async with self._lock:
            async with self._database.reading() as session:
                rows = (await session.scalars(select(SettingRow))).all()
            for row in rows:
                found.setdefault(Scope(row.platform, row.server, row.channel, row.role), {})[row.name] = row.value
            self._values = found

    def at(self, scope: Scope) -> Mapping[str, Any]:
        """What is set for exactly this scope, by name."""
        return self._values.get(scope, {})

    def within(self, server: Scope) -> dict[Scope, Mapping[str, Any]]:
        """What is set for a server, its channels and its roles, in order."""
        found = sorted((scope, values) for scope, values in self._values.items() if values and scope.is_within(server))
        return dict(found)

    async def write(self, changes: Sequence[Change], actor: User) -> list[Any]:
        """Make all these changes, or none; what was set there before each. Each leaves an entry behind in the audit."""
        async with self._lock:
            async with self._database.writing() as session:
                before = [await _write(session, change, actor) for change in changes]
            self._take(changes)
        return before

    def _take(self, changes: Sequence[Change]) -> None:
        values = dict(self._values)
        for change in changes:
            there = {name: value for name, value in values.get(change.scope, {}).items() if name != change.name}
            values[change.scope] = there if change.value is None else there | {change.name: change.value}
        self._values = values


async def _write(session: AsyncSession, change: Change, actor: User) -> Any:
    """Make one change, and note it; what was set there before."""
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
    return before
