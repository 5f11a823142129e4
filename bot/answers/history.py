"""The conversation that a question continues: a chain of replies, a thread, a room or a direct message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select, true

from bot.core.messages import PRIVATE_THREAD, Provenance
from bot.core.model_events import Turn
from bot.storage.database import ANSWERED, MessageRow, TokensRow, now
from bot.storage.tokens import unpack

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.core.model_events import Token
    from bot.storage.database import Database


MAX_QUESTIONS, MAX_CHARACTERS = 100, 60_000
"""Bounds of what is read and sent. The model server fits it to the model's context, but accepts requests of at most
1 MiB, in which the JSON of a single character may take twelve bytes.
"""


class History:
    """The turns before one question; none without a question, as during completion.

    An answer that was interrupted, failed or deleted is not a turn. The `reader` is the user who asks now; they may
    have pressed a button under the answer to somebody else's question. Turns that are private to other people are left
    out. Turns that are private to the reader are left out unless nobody else reads the new answer: because it is
    `private`, or because they are `alone`.
    """

    def __init__(
        self,
        database: Database,
        question: MessageRow | None,
        *,
        reader: str,
        private: bool = False,
        alone: bool = False,
        is_reply: bool = False,
    ) -> None:
        """`is_reply` says whether the question replies to a message, which need not be stored."""
        self._database = database
        self._question = question
        public = MessageRow.private.is_(False)
        self._visible = or_(public, MessageRow.author == reader)
        self._is_for_reader_alone = private or alone
        self._usable = self._visible if self._is_for_reader_alone else public
        self._reader = reader
        self._is_reply = is_reply

    async def turns(self) -> list[Turn]:
        """Return questions and answers in turn, the oldest first, without the present question."""
        if self._question is None:
            return []
        async with self._database.reading() as session:
            continued: Collection[int] = ()
            if self._question.parent is not None:
                questions, continued = await self._reply_chain(session, self._question)
            else:
                questions = await self._questions_here(session, self._question)
            answers = await self._answers(session, [question.id for question in questions], continued)
        turns: list[Turn] = []
        room = MAX_CHARACTERS
        for question in reversed(questions):
            if answer := answers.get(question.id):
                room -= len(question.text) + len(answer)
                if room < 0:
                    break
                turns += [Turn("assistant", answer), Turn("user", question.text)]
        return turns[::-1]

    async def tokens(self, answer: int) -> tuple[Token, ...]:
        """Return the tokens of an earlier answer to this question; none if they are not stored."""
        if (here := self._question) is None:
            return ()
        async with self._database.reading() as session:
            row = await session.get(MessageRow, answer)
            stored = await session.get(TokensRow, answer)
        if row is None or stored is None or row.parent != here.id or not self._may_read(row):
            return ()
        return await asyncio.to_thread(unpack, stored.data)

    async def made(self) -> Provenance | None:
        """Return how an answer was made: the one that this request replies to, or else the last one here with a card.

        In a channel, its threads are included, except those that not everybody there may read.
        """
        if (here := self._question) is None:
            return None
        answers = select(MessageRow).where(self._visible, MessageRow.role == "assistant", MessageRow.state != "deleted")
        is_open = MessageRow.resume[PRIVATE_THREAD].as_boolean().is_not(True) | (MessageRow.thread == here.thread)
        async with self._database.reading() as session:
            if here.parent is not None:
                row = await session.scalar(answers.where(MessageRow.id == here.parent))
            elif self._is_reply:
                return None
            else:
                earlier = answers.where(_is_earlier(here, threads=not here.thread), is_open)
                rows = await session.scalars(earlier.order_by(MessageRow.id.desc()).limit(20))
                row = next((row for row in rows if row.card), None)
        return None if row is None else Provenance(row.command, row.options, row.card, row.author_name, row.created)

    async def restart(self) -> None:
        """Begin a new conversation here: earlier turns are no longer read."""
        if (here := self._question) is None:
            return
        async with self._database.writing() as session:
            session.add(
                MessageRow(
                    platform=here.platform, server=here.server, channel=here.channel, thread=here.thread,
                    external="", parent=None, author=here.author, author_name="", role="break", text="", command="",
                    options={}, seed=None, card={}, buttons=[], private=here.private, state="done", instance="",
                    resume={}, created=now(),
                )
            )  # fmt: skip

    async def _questions_here(self, session: AsyncSession, here: MessageRow) -> list[MessageRow]:
        """Return the questions to the same command in this place since the last new beginning, the oldest first."""
        last_break = await self._last_break(session, here)
        is_question = (
            (MessageRow.role == "user")
            & (MessageRow.state == "done")
            & (MessageRow.command == here.command)
            & (MessageRow.id > last_break)
        )
        newest = select(MessageRow).where(_is_earlier(here), self._usable, is_question).order_by(MessageRow.id.desc())
        return list(await session.scalars(newest.limit(MAX_QUESTIONS)))[::-1]

    async def _last_break(self, session: AsyncSession, here: MessageRow) -> int:
        """Return the row of the last new beginning in this place; 0 if there was none."""
        breaks = select(func.max(MessageRow.id)).where(_is_earlier(here), self._visible, MessageRow.role == "break")
        return await session.scalar(breaks) or 0

    async def _reply_chain(self, session: AsyncSession, here: MessageRow) -> tuple[list[MessageRow], set[int]]:
        """Return the questions up the chain of replies, and the rows of the answers that were replied to."""
        # A reply in a channel names the answer that it continues, even one before a new beginning; in a thread each
        # message may be a reply to the one before.
        last_break = await self._last_break(session, here) if here.thread else 0
        questions: list[MessageRow] = []
        continued: set[int] = set()
        parent = here.parent
        while parent is not None and parent > last_break and len(questions) < MAX_QUESTIONS:
            row = await session.get(MessageRow, parent)
            if row is None or not self._may_read(row):
                break
            if row.role != "user":
                continued.add(row.id)
            elif self._is_for_reader_alone or not row.private:
                questions.append(row)
            parent = row.parent
        return questions[::-1], continued

    async def _answers(self, session: AsyncSession, questions: list[int], continued: Collection[int]) -> dict[int, str]:
        """Return the finished answer to each question: the one in `continued`, else the newest."""
        rows = await session.scalars(
            select(MessageRow)
            .where(self._usable, MessageRow.parent.in_(questions))
            .where(MessageRow.role == "assistant", MessageRow.state.in_(ANSWERED))
            .order_by(MessageRow.id.in_(continued), MessageRow.id)
        )
        return {row.parent: row.text for row in rows if row.parent is not None and row.text}

    def _may_read(self, row: MessageRow) -> bool:
        return not row.private or row.author == self._reader


def _is_earlier(here: MessageRow, *, threads: bool = False) -> ColumnElement[bool]:
    """Return the condition for earlier messages in the same place, or also in the `threads` of its channel."""
    return (
        (MessageRow.platform == here.platform)
        & (MessageRow.server == here.server)
        & (MessageRow.channel == here.channel)
        & (true() if threads else MessageRow.thread == here.thread)
        & (MessageRow.id < here.id)
    )
