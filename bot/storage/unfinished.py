"""The answers that are being made: how other processes stop them, and what becomes of those whose process is dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from bot.storage.audit import add_entry
from bot.storage.database import UNFINISHED, MessageRow
from bot.storage.places import is_in_server
from bot.storage.process_events import LOOK

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import ColumnElement

    from bot.storage.audit import AuditEntry
    from bot.storage.database import Database
    from bot.storage.instances import Instance
    from bot.storage.process_events import ProcessEvents


class UnfinishedAnswers:
    """The unfinished answers of all processes."""

    def __init__(self, database: Database, instance: Instance, events: ProcessEvents | None = None) -> None:
        self._database = database
        self._instance = instance
        self._events = events

    def _tell_others(self) -> None:
        """Make other processes look at once whether they have to stop something."""
        if self._events is not None:
            self._events.publish(LOOK, key=LOOK)

    async def find_unfinished(self, platform: str, server: str) -> list[MessageRow]:
        """Return the answers that living processes are making in a server, the oldest first."""
        alive = await self._instance.find_living()
        answers = is_in_server(platform, server) & (MessageRow.role == "assistant")
        unfinished = answers & MessageRow.state.in_(UNFINISHED) & MessageRow.instance.in_(alive)
        query = select(MessageRow).where(unfinished).order_by(MessageRow.id)
        return await self._database.read(lambda session: list(session.scalars(query)))

    async def is_in_progress(self, row: MessageRow) -> bool:
        """Return whether a living process makes an answer, or may not have noticed yet that it has to stop."""
        return row.state in UNFINISHED and row.instance in {"", *await self._instance.find_living()}

    async def request_stop(self, row: MessageRow, entry: AuditEntry | None = None) -> None:
        """Ask the process that makes an answer to stop; it sees that by `find_stopped`.

        `entry` is recorded in the audit, if somebody else than the asker stops it.
        """
        async with self._database.writing() as session:
            await session.execute(update(MessageRow).where(MessageRow.id == row.id).values(instance=""))
            if entry is not None:
                add_entry(session, entry)
        self._tell_others()

    async def find_stopped(self, answers: Sequence[int]) -> list[int]:
        """Return which of the answers of this process have been stopped or deleted by another process."""
        if not answers:
            return []
        mine = (MessageRow.instance == self._instance.id) & (MessageRow.state != "deleted")
        query = select(MessageRow.id).where(MessageRow.id.in_(answers), mine)
        active = await self._database.read(lambda session: set(session.scalars(query)))
        return [answer for answer in answers if answer not in active]

    async def find_abandoned(self) -> dict[int, str]:
        """Return the platform of each unfinished answer that no living process makes, by its row.

        One that somebody asked to stop is among them until the process that makes it has noticed.
        """
        alive = await self._instance.find_living()
        query = select(MessageRow.id, MessageRow.platform).where(_is_abandoned(alive))
        return await self._database.read(lambda session: {row.id: row.platform for row in session.execute(query)})

    async def mark_interrupted(self, platforms: Sequence[str]) -> list[MessageRow]:
        """Mark the unfinished answers of dead processes on these platforms as interrupted, and return them."""
        alive = await self._instance.find_living()
        abandoned = _is_abandoned(alive) & MessageRow.platform.in_(platforms)
        async with self._database.writing() as session:
            rows = list(await session.scalars(select(MessageRow).where(abandoned).order_by(MessageRow.id)))
            for row in rows:
                row.state = "interrupted"
        return rows


def _is_abandoned(alive: Collection[str]) -> ColumnElement[bool]:
    return MessageRow.state.in_(UNFINISHED) & MessageRow.instance.not_in(alive)
