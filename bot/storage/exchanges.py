"""Stores questions with their queued answers. Those that come while others are stored go into one transaction."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete

from bot.core.errors import DatabaseUnavailable, Expired
from bot.storage.database import MessageRow
from bot.storage.places import select_external

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from bot.core.messages import Place
    from bot.storage.database import Database

MAX_AT_ONCE = 50
GIVING_WAY_SECONDS = 1.0
TURN_SECONDS = 0.01
"""The shortest time between the beginnings of two answers, each of which takes about that long."""

Exchange = tuple[MessageRow, MessageRow]
"""A question and its answer."""


@dataclass(frozen=True, slots=True)
class NewExchange:
    """An exchange to store: the columns of its answer, and those of its question, or a stored `question` for None.

    With `reply_to`, the platform's id of a message in `place`, the question follows the row of that message.
    """

    place: Place
    answer: Mapping[str, Any]
    asked: Mapping[str, Any]
    question: int | None = None
    reply_to: str = ""


class ExchangeWriter:
    """Writes new exchanges to a database.

    A transaction for each of them would wait for the event loop, which is busy when many people ask.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[NewExchange, asyncio.Future[Exchange]]] = []
        self._unwanted: set[int] = set()
        """The rows that were stored for whoever was cancelled meanwhile."""
        self._task: asyncio.Task[None] | None = None
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._next_turn = -math.inf

    async def store(self, new: NewExchange) -> Exchange:
        """Store an exchange and return its rows; nothing of it stays if this is cancelled.

        Raises Expired if its stored question is gone.
        """
        stored: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self._waiting.append((new, stored))
        self._start()
        try:
            return await asyncio.shield(stored)
        except asyncio.CancelledError:
            stored.add_done_callback(partial(self._discard, new))
            raise

    async def give_way(self) -> None:
        """Wait until no exchange waits to be stored, but not long; and begin a moment after whoever came before.

        When many people ask at once, each learns sooner that the question was taken if no answer is begun meanwhile,
        and if not all are begun at one moment.
        """
        loop = asyncio.get_running_loop()
        turn = self._next_turn = max(loop.time(), self._next_turn + TURN_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(GIVING_WAY_SECONDS):
                await self._is_idle.wait()
        if (wait := turn - loop.time()) > 0:
            await asyncio.sleep(wait)

    def _start(self) -> None:
        if self._task is None:
            self._is_idle.clear()
            self._task = asyncio.create_task(self._run(), name="new exchanges")

    def _discard(self, new: NewExchange, stored: asyncio.Future[Exchange]) -> None:
        if stored.exception() is None:
            question, answer = stored.result()
            # Of a stored question that gets another answer, only that answer is new.
            self._unwanted |= {answer.id} if new.question is not None else {question.id, answer.id}
            self._start()

    async def _run(self) -> None:
        """Store what waits, and then delete what is unwanted; what cannot be deleted stays until this runs again."""
        try:
            while self._waiting or self._unwanted:
                now, self._waiting = self._waiting[:MAX_AT_ONCE], self._waiting[MAX_AT_ONCE:]
                if now:
                    await self._store_together(now)
                elif not await self._delete_unwanted() and not self._waiting:
                    break
        finally:
            self._task = None
            self._is_idle.set()

    async def _store_together(self, exchanges: Sequence[tuple[NewExchange, asyncio.Future[Exchange]]]) -> None:
        try:
            rows = await self._database.write(partial(_add, exchanges=[new for new, _ in exchanges]))
        except Exception as error:  # noqa: BLE001 - it is raised for whoever waits for the rows
            if len(exchanges) > 1 and not isinstance(error, DatabaseUnavailable):
                for one in exchanges:
                    await self._store_together([one])
                return
            rows = [error] * len(exchanges)
        for pair, (_, stored) in zip(rows, exchanges, strict=True):
            stored.set_exception(pair) if isinstance(pair, Exception) else stored.set_result(pair)

    async def _delete_unwanted(self) -> bool:
        ids, self._unwanted = self._unwanted, set()
        try:
            await self._database.write(
                lambda session: session.execute(delete(MessageRow).where(MessageRow.id.in_(ids)))
            )
        except DatabaseUnavailable:
            self._unwanted |= ids
            return False
        return True


def _add(session: Session, exchanges: Sequence[NewExchange]) -> list[Exchange | Exception]:
    """Add the rows of exchanges to a session. For those that cannot be added, the error is returned."""
    questions = [_find_question(session, new) for new in exchanges]
    session.add_all(question for question in questions if isinstance(question, MessageRow))
    session.flush()
    rows: list[Exchange | Exception] = [
        (question, MessageRow(**new.answer, parent=question.id)) if isinstance(question, MessageRow) else question
        for new, question in zip(exchanges, questions, strict=True)
    ]
    session.add_all(pair[1] for pair in rows if not isinstance(pair, Exception))
    return rows


def _find_question(session: Session, new: NewExchange) -> MessageRow | Expired:
    """Return the question of an exchange: a new row, the stored one, or an error if that is gone."""
    if new.question is not None:
        known = session.get(MessageRow, new.question)
        if known is None or known.state == "deleted":
            return Expired("This has expired: the question is no longer stored.")
        return known
    if new.reply_to:
        return MessageRow(**{**new.asked, "parent": session.scalar(select_external(new.place, new.reply_to))})
    return MessageRow(**new.asked)
