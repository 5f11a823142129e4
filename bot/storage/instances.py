"""Which process is which, and whether it is still alive, so that what a dead one left behind is noticed."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import psutil
from sqlalchemy import delete, select

from bot.core.background import repeated
from bot.storage.database import InstanceRow, now

if TYPE_CHECKING:
    from types import TracebackType

    from bot.storage.database import Database

HEARTBEAT_SECONDS = 20.0
MAX_SILENCE = timedelta(seconds=90)
"""A process on another host cannot be looked at; it counts as dead after this long without a sign of life."""


class Instance:
    """This process, registered for as long as the context lasts. `id` stands beside everything it works on."""

    def __init__(self, database: Database) -> None:
        self.id = secrets.token_hex(8)
        self._database = database
        self._heartbeat = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._record_heartbeat()
        await self._heartbeat.enter_async_context(repeated(self._record_heartbeat, HEARTBEAT_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._heartbeat.aclose()
        async with self._database.writing() as session:
            await session.execute(delete(InstanceRow).where(InstanceRow.id == self.id))

    async def _record_heartbeat(self) -> None:
        # Anew each time: what the system says of it moves when its clock is set, and others compare it as it is then.
        me = psutil.Process(os.getpid())
        row = InstanceRow(id=self.id, host=socket.gethostname(), pid=me.pid, started=me.create_time(), seen=now())
        async with self._database.writing() as session:
            # The whole row, since another process deletes that of one that was silent for too long and yet lives.
            await session.merge(row)

    async def find_living(self) -> set[str]:
        """The ids of the processes that still work on this database. Forgets the others."""
        async with self._database.reading() as session:
            rows = list(await session.scalars(select(InstanceRow)))
        alive = {row.id for row in rows if _is_alive(row)}
        if dead := {row.id for row in rows} - alive:
            async with self._database.writing() as session:
                await session.execute(delete(InstanceRow).where(InstanceRow.id.in_(dead)))
        return alive


def _is_alive(row: InstanceRow) -> bool:
    if row.host != socket.gethostname():
        return now() - row.seen < MAX_SILENCE
    try:
        # Process ids are used again after a restart; the time of creation tells the old one from the new.
        return bool(abs(psutil.Process(row.pid).create_time() - row.started) < 1)
    except psutil.Error:
        return False
