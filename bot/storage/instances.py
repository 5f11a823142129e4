"""The running processes of the bot, so that the unfinished answers of dead ones are found."""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil
from sqlalchemy import delete, select

from bot.core.background import repeated
from bot.storage.database import InstanceRow, now

if TYPE_CHECKING:
    from types import TracebackType

    from bot.storage.database import Database

HEARTBEAT_SECONDS = 5.0
MAX_SILENCE = timedelta(seconds=30)
"""A process on another host is considered dead after this time without a heartbeat."""
GAP_SECONDS = 15.0
"""After so long without a heartbeat of its own, a process judges no other by its silence, until so long afterwards."""


def host_name() -> str:
    """Return the name of what process ids count in: a machine since its start, or a container on it.

    Machines that were copied have the same name, and containers that share it have process ids of their own.
    """
    with suppress(OSError):
        start = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{socket.gethostname()}/{start}/{Path('/proc/self/ns/pid').stat().st_ino}"
    return socket.gethostname()


class Instance:
    """This process, registered for as long as the context lasts. Its `id` is stored with the answers that it makes."""

    def __init__(self, database: Database) -> None:
        self.id = secrets.token_hex(8)
        self._database = database
        self._heartbeat = AsyncExitStack()
        self._last = time.monotonic()
        """When the last heartbeat was recorded."""
        self._judges_from = 0.0

    async def __aenter__(self) -> Self:
        await self._record_heartbeat()
        await self._heartbeat.enter_async_context(repeated(self._record_heartbeat, HEARTBEAT_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._heartbeat.aclose()
        own = delete(InstanceRow).where(InstanceRow.id == self.id)
        await self._database.write(lambda session: session.execute(own))

    async def _record_heartbeat(self) -> None:
        # The time of creation is read again each time, as it changes when the system clock is set.
        process = psutil.Process(os.getpid())
        row = InstanceRow(id=self.id, host=host_name(), pid=process.pid, started=process.create_time(), seen=now())
        # The whole row, since other processes delete it if this one was silent for too long.
        await self._database.write(lambda session: session.merge(row))
        moment = time.monotonic()
        if moment - self._last > GAP_SECONDS:
            # While the database was away, nobody could record one.
            self._judges_from = moment + GAP_SECONDS
        self._last = moment

    async def find_living(self) -> set[str]:
        """Return the ids of the living processes of this database, and delete the rows of the others."""
        rows = await self._database.read(lambda session: list(session.scalars(select(InstanceRow))))
        moment = time.monotonic()
        judges = moment >= self._judges_from and moment - self._last <= GAP_SECONDS
        alive = {row.id for row in rows if _is_alive(row, judges=judges)}
        if dead := {row.id for row in rows} - alive:
            theirs = delete(InstanceRow).where(InstanceRow.id.in_(dead))
            await self._database.write(lambda session: session.execute(theirs))
        return alive


def _is_alive(row: InstanceRow, *, judges: bool) -> bool:
    if row.host != host_name():
        return not judges or now() - row.seen < MAX_SILENCE
    try:
        # Process ids are reused; the time of creation tells an old process from a new one.
        return bool(abs(psutil.Process(row.pid).create_time() - row.started) < 1)
    except psutil.Error:
        return False
