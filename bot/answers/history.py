"""The earlier turns that a question continues: of a thread, of a conversation with the bot alone, or of a reply.

In a place that people share, a question that neither replies to anything nor stands in a thread has none.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select, true

from bot.answers.question_files import MAX_FILES, PICTURE, TEXT, read_row
from bot.core.messages import ALONE, PRIVATE_THREAD, Provenance, ReadFile, add_texts
from bot.core.model_events import Turn
from bot.moderation.actions import answer_place
from bot.storage.database import ANSWERED, AttachmentRow, MessageRow, TokensRow, now
from bot.storage.places import select_external
from bot.storage.serialization import read_attachment
from bot.storage.tokens import unpack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Row, Select
    from sqlalchemy.orm import Session

    from bot.core.model_events import Token
    from bot.storage.database import Database


MAX_EARLIER_BYTES = 12_000
"""How much of each text file of an earlier question is read again: all files of one question leave room for others."""
MAX_QUESTIONS, MAX_CHARACTERS = 100, 60_000
"""Bounds of what is read and sent. The model server fits it to the model's context, but accepts requests of at most
1 MiB, in which the JSON of a single character may take twelve bytes.
"""


MIN_REPEATED_WORDS = 3
"""How many words a question has at least that is taken for the same one when it is asked again."""


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
        self._alone = alone
        self._is_for_reader_alone = private or alone
        self._usable = self._visible if self._is_for_reader_alone else public
        self._reader = reader
        self._is_reply = is_reply

    @property
    def begins_afresh(self) -> bool:
        """True where each question begins without earlier turns, unless it is a reply: people share the place."""
        here = self._question
        return here is not None and not (_is_in_thread(here) or self._is_conversation(here))

    async def turns(self) -> list[Turn]:
        """Return questions and answers in turn, the oldest first, without the present question.

        The texts of their files and the newest pictures are in the questions. Of a long conversation only the end is
        returned. Where that begins changes seldom, so that the model server need not read most of it again.
        """
        return [] if self._question is None else await self._database.read(partial(self._read_turns, self._question))

    async def turns_unless_fresh(self, fresh: bool | None) -> list[Turn] | None:
        """Return the turns, or None if this question should begin afresh: if `fresh` says so, or one asked the same.

        The answer to that would be read, and so said again; `fresh` may forbid to look for it. A few words, such as
        “go on”, may well be said twice. A reply always reads what it replies to.
        """
        if (here := self._question) is None:
            return []
        return await self._database.read(lambda session: self._read_turns_unless_fresh(here, fresh, session))

    def _read_turns_unless_fresh(self, question: MessageRow, fresh: bool | None, session: Session) -> list[Turn] | None:
        if self._first_asked(session, question).parent is not None:
            fresh = False
        if fresh:
            return None
        turns = self._read_turns(question, session)
        if fresh is None and len(question.text.split()) >= MIN_REPEATED_WORDS:
            asked = (turn.content for turn in turns if turn.role == "user")
            if _comparable(question.text) in map(_comparable, asked):
                return None
        return turns

    def _read_turns(self, question: MessageRow, session: Session) -> list[Turn]:
        here = self._first_asked(session, question)
        found, continued = self._find_questions(session, here)
        if not found:
            return []
        kept = sorted(found)[first_kept([1] * len(found), MAX_QUESTIONS) :]
        newest = self._answers(session, kept, {continued[one] for one in kept if one in continued}, here.id)
        asked = select(MessageRow.id, MessageRow.text).where(MessageRow.id.in_(kept)).order_by(MessageRow.id)
        questions = [(row.id, row.text, newest.get(row.id, "")) for row in session.execute(asked)]
        files = _read_files(session, kept)
        pairs = [
            (_build_question(text, files[row]), Turn("assistant", answer))
            for row, text, answer in questions
            if text.strip() and answer
        ]
        sizes = [len(question.content) + len(answer.content) for question, answer in pairs]
        return [turn for pair in pairs[first_kept(sizes, MAX_CHARACTERS) :] for turn in pair]

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

        In a channel, its threads are included, except those that not everybody there may read. In a thread, the answer
        that it hangs under is.
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
                if row is None and (root := await session.run_sync(self._root, here)) is not None:
                    row = await session.scalar(answers.where(MessageRow.id == root.id))
            if row is None:
                return None
            is_picture = (AttachmentRow.message == row.id) & AttachmentRow.media_type.startswith("image/")
            pictures = await session.scalars(select(AttachmentRow).where(is_picture).order_by(AttachmentRow.id))
            files = tuple(map(read_attachment, pictures))
        return Provenance(row.command, row.options, row.card, row.author_name, row.created, files)

    async def restart(self) -> None:
        """Begin a new conversation here for the asker: their questions no longer read earlier turns."""
        if (here := self._question) is None:
            return
        thread = here.thread if _is_in_thread(here) else ""
        async with self._database.writing() as session:
            session.add(
                MessageRow(
                    platform=here.platform,
                    server=here.server,
                    channel=here.channel,
                    thread=thread,
                    author=here.author,
                    author_name="",
                    role="break",
                    private=here.private,
                    created=now(),
                )
            )

    def _is_conversation(self, question: MessageRow) -> bool:
        """Return whether its asker was alone with the bot; what was stored before that was kept is as the place is."""
        return bool(question.resume.get(ALONE, self._alone))

    def _first_asked(self, session: Session, question: MessageRow) -> MessageRow:
        """Return the question that `question` is an edited form of; it reads the same earlier turns as that."""
        # A follow-up of a button has the answer with the button as its parent as well as its source.
        while question.source is not None and question.source != question.parent:
            answer = session.get(MessageRow, question.source)
            first = None if answer is None or answer.parent is None else session.get(MessageRow, answer.parent)
            if first is None:
                break
            question = first
        return question

    def _find_questions(self, session: Session, here: MessageRow) -> tuple[list[int], dict[int, int]]:
        """Return the questions that were read before `here`, and the answers that were continued, by their questions.

        A reply goes on from the answer it replies to, so it reads what that had read. A thread does so from the message
        that it hangs under.
        """
        found: list[int] = []
        continued: dict[int, int] = {}
        since = self._last_break(session, here) if _is_in_thread(here) else 0
        row, parent = here, here.parent
        while True:
            if parent is not None:
                top = self._go_up(session, parent, since, found, continued)
                if top is None:
                    break
                row = self._first_asked(session, top)
            found += self._questions_here(session, row, here.command, since)
            root = self._root(session, row)
            if root is None or not since < root.id < row.id:
                break
            # The question above a thread may belong to the thread itself.
            row, parent = (root, root.parent) if root.id in found else (row, root.id)
        return found, continued

    def _go_up(
        self, session: Session, parent: int, since: int, found: list[int], continued: dict[int, int]
    ) -> MessageRow | None:
        """Add the questions up the chain of replies from `parent`; return the first, or None if the chain is broken."""
        answer = None
        for link in (chain := _read_chain(session, parent)):
            if link.id <= since or (link.private and link.author != self._reader):
                return None
            if link.role != "user":
                answer = link.id
                continue
            if self._is_for_reader_alone or not link.private:
                found.append(link.id)
            if answer is not None:
                continued[link.id] = answer
        if not chain or chain[-1].parent is not None:
            return None
        return session.get(MessageRow, chain[-1].id)

    def _questions_here(self, session: Session, here: MessageRow, command: str, since: int) -> list[int]:
        """Return the questions to `command` before `here`: of its thread, or of the conversation with the bot alone."""
        if not (_is_in_thread(here) or self._is_conversation(here)):
            return []
        begin = func.coalesce(self._select_last_break(here).correlate(None).scalar_subquery(), 0)
        is_question = (
            (MessageRow.role == "user")
            & (MessageRow.state == "done")
            & (MessageRow.command == command)
            & (MessageRow.id > since)
            & (MessageRow.id > begin)
        )
        return list(session.scalars(select(MessageRow.id).where(_is_before(here), self._usable, is_question)))

    def _last_break(self, session: Session, here: MessageRow) -> int:
        """Return the row of the asker's last new beginning in this place; 0 if there was none."""
        return session.scalar(self._select_last_break(here)) or 0

    def _select_last_break(self, here: MessageRow) -> Select[int | None]:
        mine = (MessageRow.role == "break") & (MessageRow.author == here.author)
        return select(func.max(MessageRow.id)).where(_is_before(here), self._visible, mine)

    def _root(self, session: Session, here: MessageRow) -> MessageRow | None:
        """Return the message that the thread of `here` hangs under, if it is stored."""
        if not _is_in_thread(here):
            return None
        number = session.scalar(select_external(answer_place(here), here.thread))
        return None if number is None else session.get(MessageRow, number)

    def _answers(self, session: Session, questions: Sequence[int], continued: set[int], before: int) -> dict[int, str]:
        """Return the finished answer to each question: the one in `continued`, else the newest `before` a row."""
        rows = session.execute(
            select(MessageRow.parent, MessageRow.text)
            .where(self._usable, MessageRow.parent.in_(questions), MessageRow.id < before)
            .where(MessageRow.role == "assistant", MessageRow.state.in_(ANSWERED))
            .order_by(MessageRow.id.in_(continued), MessageRow.id)
        )
        return {row.parent: row.text for row in rows if row.text}

    def _may_read(self, row: MessageRow) -> bool:
        return not row.private or row.author == self._reader


def _comparable(text: str) -> str:
    """Return a question without what does not make it another one: capitals, blanks, and signs at its end."""
    return " ".join(text.casefold().split()).rstrip(".?!… ")


def _build_question(text: str, files: Sequence[ReadFile]) -> Turn:
    return Turn("user", add_texts(text, files), tuple(file.picture for file in files if file.picture))


def _read_files(session: Session, questions: Sequence[int]) -> defaultdict[int, list[ReadFile]]:
    """Return the files of each question; of all pictures only the newest ones."""
    of_questions = AttachmentRow.message.in_(questions)
    texts = select(
        *(AttachmentRow.id, AttachmentRow.message, AttachmentRow.filename, AttachmentRow.media_type, AttachmentRow.alt),
        func.substr(AttachmentRow.data, 1, MAX_EARLIER_BYTES).label("data"),
    ).where(of_questions, AttachmentRow.media_type == TEXT)
    pictures = select(AttachmentRow).where(of_questions, AttachmentRow.media_type == PICTURE)
    newest = pictures.order_by(AttachmentRow.id.desc()).limit(MAX_FILES)
    rows = [*session.execute(texts), *session.scalars(newest)]
    files = defaultdict[int, list[ReadFile]](list)
    for row in sorted(rows, key=lambda row: row.id):
        file = read_row(row)
        # One more than were read, where it is not known how many there are.
        more = len(row.data) == MAX_EARLIER_BYTES and file.characters == len(file.text)
        files[row.message].append(replace(file, characters=file.characters + 1) if more else file)
    return files


def first_kept(sizes: Sequence[int], budget: int) -> int:
    """Return from which place on `sizes` are kept, so that together they are at most `budget`.

    Whenever the sum exceeds the budget, so many of the oldest are dropped that at most half of it is left, or only the
    newest. So the place depends on what comes before the newest, and changes seldom while more is added.
    """
    first = total = 0
    for place, size in enumerate(sizes):
        total += size
        if total <= budget:
            continue
        while first < place and total > budget // 2:
            total -= sizes[first]
            first += 1
        if total > budget:
            first, total = place + 1, 0
    return first


def _read_chain(session: Session, start: int) -> Sequence[Row[Any]]:
    """Return the links of the chain of replies above the message `start`, which is the first of them."""
    columns = (MessageRow.id, MessageRow.parent, MessageRow.role, MessageRow.private, MessageRow.author)
    chain = select(*columns).where(MessageRow.id == start).cte("chain", recursive=True)
    above = (MessageRow.id == chain.c.parent) & (MessageRow.id < chain.c.id)
    chain = chain.union_all(select(*columns).join(chain, above))
    return session.execute(select(chain).order_by(chain.c.id.desc())).all()


def _is_in_thread(question: MessageRow) -> bool:
    """Return whether a question stands in a thread that it did not begin itself."""
    return question.thread not in ("", question.external)


def _is_before(here: MessageRow) -> ColumnElement[bool]:
    """Return the condition for earlier messages in the thread of `here`, or outside of threads if it is in none."""
    if _is_in_thread(here):
        return _is_earlier(here)
    return _is_earlier(here, threads=True) & ((MessageRow.thread == "") | (MessageRow.thread == MessageRow.external))


def _is_earlier(here: MessageRow, *, threads: bool = False) -> ColumnElement[bool]:
    """Return the condition for earlier messages in the same place, or also in the `threads` of its channel."""
    return (
        (MessageRow.platform == here.platform)
        & (MessageRow.server == here.server)
        & (MessageRow.channel == here.channel)
        & (true() if threads else MessageRow.thread == here.thread)
        & (MessageRow.id < here.id)
    )
