"""The conversation that a question continues: its thread, its chain of replies, its room or direct message."""

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


MOST_QUESTIONS, MOST_CHARACTERS = 100, 60_000
"""The model server fits what it is given to the model's context; these only bound what is read, and what it is given:
it reads 1 MiB at once, of which the JSON of a single character may take twelve bytes.
"""


class History:
    """The turns before one question, none where there is no question (completion, say).

    An answer that was interrupted, failed or deleted is no turn. What is private to others than the `reader` is none,
    either: whoever asks now, who may have pressed a button under an answer to somebody else's question. What is private
    to the reader is one where nobody else reads what comes of it: in a `private` answer, and where they are `alone`.
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
        """`is_reply` says whether the question replies to something, which may not be stored."""
        self._database = database
        self._question = question
        public = MessageRow.private.is_(False)
        self._visible = or_(public, MessageRow.author == reader)
        self._is_aside = private or alone or question is None
        self._told = self._visible if self._is_aside else public
        self._reader = reader
        self._is_reply = is_reply

    async def turns(self) -> list[Turn]:
        """Question and answer by turns, oldest first, the present question not among them."""
        if self._question is None:
            return []
        async with self._database.reading() as session:
            continued: Collection[int] = ()
            if self._question.parent is not None:
                questions, continued = await self._chain(session, self._question)
            else:
                questions = await self._place(session, self._question)
            answers = await self._answers(session, [question.id for question in questions], continued)
        turns: list[Turn] = []
        room = MOST_CHARACTERS
        for question in reversed(questions):
            if answer := answers.get(question.id):
                room -= len(question.text) + len(answer)
                if room < 0:
                    break
                turns += [Turn("assistant", answer), Turn("user", question.text)]
        return turns[::-1]

    async def tokens(self, answer: int) -> tuple[Token, ...]:
        """The tokens of an earlier answer to this very question; none where they are not kept (any more)."""
        if (here := self._question) is None:
            return ()
        async with self._database.reading() as session:
            row = await session.get(MessageRow, answer)
            kept = await session.get(TokensRow, answer)
        if row is None or kept is None or row.parent != here.id or not self._sees(row):
            return ()
        return await asyncio.to_thread(unpack, kept.data)

    async def made(self) -> Provenance | None:
        """How the answer was made that this request replies to; if it is no reply, the last one here that has a card.

        The threads of a channel are a part of it, but for those that not everybody there may read.
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
                earlier = answers.where(_earlier(here, threads=not here.thread), is_open)
                rows = await session.scalars(earlier.order_by(MessageRow.id.desc()).limit(20))
                row = next((row for row in rows if row.card), None)
        return None if row is None else Provenance(row.command, row.options, row.card, row.author_name, row.created)

    async def restart(self) -> None:
        """Let the conversation here begin anew: what was said so far is no longer read."""
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

    async def _place(self, session: AsyncSession, here: MessageRow) -> list[MessageRow]:
        place = _earlier(here)
        begun = await self._begun(session, here)
        asked = (
            (MessageRow.role == "user")
            & (MessageRow.state == "done")
            & (MessageRow.command == here.command)
            & (MessageRow.id > begun)
        )
        newest = select(MessageRow).where(place, self._told, asked).order_by(MessageRow.id.desc()).limit(MOST_QUESTIONS)
        return list(await session.scalars(newest))[::-1]

    async def _begun(self, session: AsyncSession, here: MessageRow) -> int:
        """The row of the last new beginning in this place; 0 if there was none."""
        begun = select(func.max(MessageRow.id)).where(_earlier(here), self._visible, MessageRow.role == "break")
        return await session.scalar(begun) or 0

    async def _chain(self, session: AsyncSession, here: MessageRow) -> tuple[list[MessageRow], set[int]]:
        """The questions that led here, and which answers to them were replied to."""
        # A reply in a channel says which answer it goes on from, before a new beginning, too; in a thread each message
        # may be a reply to the one before.
        begun = await self._begun(session, here) if here.thread else 0
        questions: list[MessageRow] = []
        continued: set[int] = set()
        parent = here.parent
        while parent is not None and parent > begun and len(questions) < MOST_QUESTIONS:
            row = await session.get(MessageRow, parent)
            if row is None or not self._sees(row):
                break
            if row.role != "user":
                continued.add(row.id)
            elif self._is_aside or not row.private:
                questions.append(row)
            parent = row.parent
        return questions[::-1], continued

    async def _answers(self, session: AsyncSession, questions: list[int], continued: Collection[int]) -> dict[int, str]:
        """The finished answer to each question: the one that the conversation `continued` from, else the newest."""
        rows = await session.scalars(
            select(MessageRow)
            .where(self._told, MessageRow.parent.in_(questions))
            .where(MessageRow.role == "assistant", MessageRow.state.in_(ANSWERED))
            .order_by(MessageRow.id.in_(continued), MessageRow.id)
        )
        return {row.parent: row.text for row in rows if row.parent is not None and row.text}

    def _sees(self, row: MessageRow) -> bool:
        return not row.private or row.author == self._reader


def _earlier(here: MessageRow, *, threads: bool = False) -> ColumnElement[bool]:
    """What was said in the same place before, or also in the `threads` of its channel."""
    return (
        (MessageRow.platform == here.platform)
        & (MessageRow.server == here.server)
        & (MessageRow.channel == here.channel)
        & (true() if threads else MessageRow.thread == here.thread)
        & (MessageRow.id < here.id)
    )
