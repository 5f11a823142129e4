"""The stored messages: an exchange is written before its answer begins, and updated while the answer grows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, delete, func, select, true, update

from bot.core.messages import ALONE, WITH_FILES, Button, Reply, has_files
from bot.storage import counters
from bot.storage.audit import MODERATION, AuditEntry, add_entry
from bot.storage.database import (
    ANNOUNCEMENT,
    MAX_ID,
    UNFINISHED,
    AttachmentRow,
    DeliveryRow,
    MessageRow,
    TokensRow,
    VoteRow,
    now,
)
from bot.storage.exchanges import ExchangeWriter, NewExchange
from bot.storage.pictures import PictureHashRow, hash_pictures
from bot.storage.places import is_in_channel, is_in_server, select_external
from bot.storage.serialization import (
    DELETED_COLUMNS,
    build_reply_rows,
    options_as_json,
    pack_tokens,
    read_attachment,
    reply_columns,
    request_columns,
)
from bot.storage.tokens import unpack
from bot.storage.unfinished import UnfinishedAnswers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from bot.commands.command import Command
    from bot.core.messages import Attachment, Place, Request, User
    from bot.core.model_events import Token
    from bot.storage.database import Database
    from bot.storage.instances import Instance
    from bot.storage.process_events import ProcessEvents

HEAD_BYTES = 64 << 10
"""The beginning of a file that is read to find out the size of a picture."""
CONTENT_TABLES: tuple[type[AttachmentRow | TokensRow | PictureHashRow | VoteRow | DeliveryRow], ...] = (
    *(AttachmentRow, TokensRow, PictureHashRow, VoteRow, DeliveryRow),
)
"""The tables with further rows of an answer."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the answer `message`, with only its first bytes (`head`), which have the size of a picture."""

    id: int
    message: int
    filename: str
    media_type: str
    alt: str
    spoiler: bool
    size: int
    head: bytes


class MessageStore(UnfinishedAnswers):
    """Reads and writes messages. Every method is one transaction."""

    def __init__(self, database: Database, instance: Instance, events: ProcessEvents | None = None) -> None:
        super().__init__(database, instance, events)
        self._exchanges = ExchangeWriter(database)

    async def create_exchange(
        self,
        request: Request,
        command: Command,
        options: Mapping[str, Any],
        *,
        private: bool,
        question: int | None = None,
        parent: int | None = None,
        source: int | None = None,
    ) -> tuple[MessageRow, MessageRow]:
        """Store the question and a queued answer to it, and return both rows.

        `question` is a stored question that gets another answer; Expired is raised if it is gone. `parent` is the
        message that a new question follows, unless the request names one. `source` is the answer whose button was
        pressed.
        """
        text = "" if command.free_text is None else str(options[command.free_text.name] or "")
        alone, files = {ALONE: request.alone}, ({WITH_FILES: True} if has_files(request, options) else {})
        common = request_columns(request, command, options) | {"private": private, "source": source}
        asked = {"role": "user", "text": text, "external": request.message, "parent": parent}
        queued = {"role": "assistant", "state": "queued"}
        resume = {"instance": self._instance.id, "resume": {**request.resume, **alone}}
        new = NewExchange(
            place=request.place,
            answer=common | queued | resume,
            asked=common | asked | {"resume": alone | files},
            question=question,
            reply_to=request.reply_to,
        )
        return await self._exchanges.store(new)

    async def give_way(self) -> None:
        """Let the questions that wait be stored first, unless that takes long."""
        await self._exchanges.give_way()

    async def announce(self, place: Place, user: User, text: str) -> MessageRow:
        """Store a line of a moderator that nobody answers, and record in the audit that there was one."""
        where = {"platform": place.platform, "server": place.server, "channel": place.channel, "thread": place.thread}
        written = {"author": user.id, "author_name": user.name, "role": ANNOUNCEMENT, "text": text, "created": now()}
        row = MessageRow(**where, **written)
        async with self._database.writing() as session:
            session.add(row)
            add_entry(session, AuditEntry(actor=user, place=place, kind=MODERATION, what="announce"))
        return row

    async def update(self, answer: int, **values: Any) -> None:
        """Change columns of an answer, unless it has been deleted."""
        existing = (MessageRow.id == answer) & (MessageRow.state != "deleted")
        await self._database.write(lambda session: session.execute(update(MessageRow).where(existing).values(**values)))

    async def set_external_ids(self, answer: int, externals: Sequence[str]) -> None:
        """Store the platform's ids of the messages that show an answer, in order; they replace earlier ones."""

        def replace(session: Session) -> None:
            row = session.get(MessageRow, answer)
            if row is None or row.state == "deleted":
                return
            session.execute(delete(DeliveryRow).where(DeliveryRow.message == answer))
            for part, external in enumerate(externals):
                key = {"platform": row.platform, "channel": row.channel, "external": external}
                session.merge(DeliveryRow(**key, message=answer, part=part))

        await self._database.write(replace)

    async def move_out_of_thread(self, answer: int) -> None:
        """Move an answer and its question from a thread that could not be opened to its channel."""
        async with self._database.writing() as session:
            row = await session.get(MessageRow, answer)
            if row is not None:
                both = MessageRow.id.in_((row.id, row.parent))
                await session.execute(update(MessageRow).where(both).values(thread="", external=""))

    async def get_external_ids(self, answer: int) -> list[str]:
        """Return the platform's ids of the messages that show an answer, in order."""
        shown = select(DeliveryRow.external).where(DeliveryRow.message == answer).order_by(DeliveryRow.part)
        return await self._database.read(lambda session: list(session.scalars(shown)))

    async def find_answers(self, platform: str, externals: Sequence[str]) -> list[MessageRow]:
        """Return the answers that these messages of a platform show."""
        shown = DeliveryRow.external.in_(externals) & (DeliveryRow.platform == platform)
        answers = select(MessageRow).where(MessageRow.id.in_(select(DeliveryRow.message).where(shown)))
        return await self._database.read(lambda session: list(session.scalars(answers)))

    async def finish(self, answer: int, reply: Reply, state: str, waited: float | None = None) -> bool:
        """Store the last reply of an answer with its files, and count its use; return False if it has been deleted.

        `waited` is the time until the first visible reply, in seconds; None if there was none.
        """
        tokens, hashes = await pack_tokens(reply), await hash_pictures(reply)
        existing = (MessageRow.id == answer) & (MessageRow.state != "deleted")
        values = reply_columns(reply) | {"state": state}

        def store(session: Session) -> bool:
            changed = session.scalars(update(MessageRow).where(existing).values(**values).returning(MessageRow))
            if (row := changed.first()) is None:
                return False
            counters.count_use(session, row, state, waited)
            session.add_all(build_reply_rows(answer, reply, tokens, hashes))
            return True

        return await self._database.write(store)

    async def turn_page(
        self, row: MessageRow, command: Command, options: Mapping[str, Any], reply: Reply, waited: float
    ) -> bool:
        """Replace the content of the answer `row` by `reply` to `command` with `options`, and count the use.

        Returns False if the answer has been deleted, or shows another page by now.
        """
        tokens, hashes = await pack_tokens(reply), await hash_pictures(reply)
        values = reply_columns(reply) | {"command": command.name, "options": options_as_json(options), "state": "done"}
        async with self._database.writing() as session:
            answer = await session.get(MessageRow, row.id)
            if answer is None or answer.state == "deleted" or answer.buttons != row.buttons:
                return False
            for name, value in values.items():
                setattr(answer, name, value)
            await session.run_sync(counters.count_use, answer, "done", waited)
            old_files = list(await session.scalars(select(AttachmentRow.id).where(AttachmentRow.message == row.id)))
            for table in (TokensRow, PictureHashRow):
                await session.execute(delete(table).where(table.message == row.id))
            session.add_all(build_reply_rows(row.id, reply, tokens, hashes))
            # The new files are stored before the old ones are deleted, so that they get other ids.
            await session.flush()
            await session.execute(delete(AttachmentRow).where(AttachmentRow.id.in_(old_files)))
        return True

    async def erase(self, answer: int, state: str = "", waited: float | None = None) -> bool:
        """Delete the rows of an answer, and of its question unless another answer to that is unfinished.

        If the answer ended in a `state`, its use is counted first, as in `finish`. Returns False if it had been
        deleted.
        """
        async with self._database.writing() as session:
            row = await session.get(MessageRow, answer)
            if row is None:
                return False
            if state and row.state != "deleted":
                await session.run_sync(counters.count_use, row, state, waited)
            await session.delete(row)
            await session.flush()
            others = select(MessageRow.id).where(MessageRow.parent == row.parent, MessageRow.state.in_(UNFINISHED))
            if await session.scalar(others.limit(1)) is None:
                await session.execute(delete(MessageRow).where(MessageRow.id == row.parent))
        await self._database.truncate_wal(patient=False)
        return row.state != "deleted"

    async def load_tokens(self, answer: int) -> tuple[Token, ...]:
        """Return the tokens of an answer; none if they were not stored."""
        row = await self._database.read(lambda session: session.get(TokensRow, answer))
        return () if row is None else await asyncio.to_thread(unpack, row.data)

    async def get(self, row_id: int) -> MessageRow | None:
        """Return the message with this row id; None if it was deleted or purged."""
        if row_id > MAX_ID:
            return None
        row = await self._database.read(lambda session: session.get(MessageRow, row_id))
        return None if row is None or row.state == "deleted" else row

    async def find(self, place: Place, external: str) -> MessageRow | None:
        """Return the message with the platform's id `external`, or the answer that it shows; None if unknown."""
        row_id = await self._database.read(lambda session: session.scalar(select_external(place, external)))
        return None if row_id is None else await self.get(row_id)

    async def recent(self, place: Place, limit: int, *, threads: bool = False) -> list[MessageRow]:
        """Return the last `limit` undeleted messages of a place, oldest first; with `threads`, of its threads, too."""
        here = is_in_channel(place) & (true() if threads else MessageRow.thread == place.thread)
        here &= (MessageRow.state != "deleted") & (MessageRow.role != "break")
        newest = select(MessageRow).where(here).order_by(MessageRow.id.desc()).limit(limit)
        return (await self._database.read(lambda session: list(session.scalars(newest))))[::-1]

    async def has_public_answer(self, place: Place, *, began: bool) -> bool:
        """Return whether a thread has an answer that everybody there may read.

        With `began`, the thread must also hang under a question to the bot, or under one of its answers.
        """
        here = is_in_channel(place) & (MessageRow.thread == place.thread)
        public = here & (MessageRow.role == "assistant") & ~MessageRow.private & (MessageRow.state != "deleted")
        root = select_external(place, place.thread).scalar_subquery()
        first = select(MessageRow.id).where(public, root.is_not(None) if began else true()).limit(1)
        return await self._database.read(lambda session: session.scalar(first)) is not None

    async def has_messages_of(self, place: Place, user: str) -> bool:
        """Return whether messages of a user are stored in the server of `place`."""
        theirs = is_in_server(place.platform, place.server) & (MessageRow.author == user)
        first = select(MessageRow.id).where(theirs).limit(1)
        return await self._database.read(lambda session: session.scalar(first)) is not None

    async def list_files(self, answer: int) -> list[StoredFile]:
        """Return the files of an answer, in order, without their content."""
        columns = (
            *(AttachmentRow.id, AttachmentRow.message, AttachmentRow.filename, AttachmentRow.media_type),
            *(AttachmentRow.alt, AttachmentRow.spoiler, func.length(AttachmentRow.data)),
            func.substr(AttachmentRow.data, 1, HEAD_BYTES, type_=LargeBinary),
        )
        files = select(*columns).where(AttachmentRow.message == answer).order_by(AttachmentRow.id)
        return await self._database.read(lambda session: [StoredFile(*row) for row in session.execute(files)])

    async def load_file(self, answer: int, file_id: int) -> Attachment | None:
        """Return a file of an answer with its content; None if it was deleted or purged."""
        # Ids of files are reused after a deletion, ids of messages never are.
        wanted = select(AttachmentRow).where(AttachmentRow.id == file_id, AttachmentRow.message == answer)
        row = await self._database.read(lambda session: session.scalar(wanted))
        return None if row is None else read_attachment(row)

    async def load_reply(self, row: MessageRow, *, files: bool = True) -> Reply:
        """Return a stored answer as a reply, with the buttons of the plugin and, with `files`, its attachments."""
        attachments: tuple[Attachment, ...] = ()
        if files:
            query = select(AttachmentRow).where(AttachmentRow.message == row.id).order_by(AttachmentRow.id)
            attachments = await self._database.read(lambda session: tuple(map(read_attachment, session.scalars(query))))
        return Reply(
            text=row.text,
            card=row.card,
            attachments=attachments,
            buttons=tuple(Button(**button) for button in row.buttons),
            private=row.private,
            error=row.state == "failed",
            final=row.state not in UNFINISHED,
        )

    async def delete(self, row: MessageRow, entry: AuditEntry | None = None) -> None:
        """Mark an answer as deleted and remove its content; also its question, if no other answer is left.

        `entry` is recorded in the audit, if somebody else than the asker deletes it.
        """
        async with self._database.writing() as session:
            if entry is not None:
                add_entry(session, entry)
            is_other = (MessageRow.parent == row.parent) & (MessageRow.state != "deleted") & (MessageRow.id != row.id)
            gone = [row.id]
            if row.parent is not None and await session.scalar(select(MessageRow.id).where(is_other)) is None:
                gone.append(row.parent)
            await session.execute(update(MessageRow).where(MessageRow.id.in_(gone)).values(**DELETED_COLUMNS))
            for table in CONTENT_TABLES:
                await session.execute(delete(table).where(table.message.in_(gone)))
        if row.state in UNFINISHED:
            self._tell_others()

    async def vote(self, row_id: int, user: str, value: int) -> None:
        """Store the vote of a user, 1 or -1; the same vote again withdraws it."""
        async with self._database.writing() as session:
            row = await session.get(MessageRow, row_id)
            vote = await session.get(VoteRow, (row_id, user))
            before = 0 if vote is None else vote.value
            after = 0 if before == value else value
            if vote is None:
                session.add(VoteRow(message=row_id, user=user, value=value))
            elif after:
                vote.value = value
            else:
                await session.delete(vote)
            for vote_value, by in ((before, -1), (after, 1)):
                if vote_value and row is not None:
                    # Counted on the day of the answer, so that a vote and its withdrawal are on the same day.
                    day = counters.day_of(row.created)
                    kind = "up" if vote_value > 0 else "down"
                    await session.run_sync(counters.count_message, row, counters.VOTE, kind, day, by)

    async def count_votes(self, row_id: int) -> tuple[int, int]:
        """Return the numbers of votes up and down."""
        counted = select(VoteRow.value, func.count()).where(VoteRow.message == row_id).group_by(VoteRow.value)
        counts = await self._database.read(lambda session: {row[0]: row[1] for row in session.execute(counted)})
        return counts.get(1, 0), counts.get(-1, 0)
