"""The messages that the bot knows: written before an answer begins, kept true while it grows, found again later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, delete, func, select, true, union_all, update

from bot.core.errors import Expired
from bot.core.messages import Button, Reply
from bot.storage import counters
from bot.storage.audit import add_entry
from bot.storage.database import MAX_ID, UNFINISHED, AttachmentRow, DeliveryRow, MessageRow, TokensRow, VoteRow, now
from bot.storage.serialization import build_reply_rows, options_as_json, pack_tokens, read_attachment, reply_columns
from bot.storage.tokens import unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.commands.command import Command
    from bot.core.messages import Attachment, Place, Request
    from bot.core.model_events import Token
    from bot.storage.audit import AuditEntry
    from bot.storage.database import Database
    from bot.storage.instances import Instance

HEAD_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the answer `message`, with its first bytes alone, in which a picture says how large it is."""

    id: int
    message: int
    filename: str
    media_type: str
    alt: str
    spoiler: bool
    size: int
    head: bytes


class MessageStore:
    """Reads and writes messages. Every method is one transaction."""

    def __init__(self, database: Database, instance: Instance) -> None:
        self._database = database
        self._instance = instance

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
        """Store the question and a queued answer to it; give back both.

        `question` is one stored already, which gets one more answer; `parent` is the message that a new question
        follows, where the request does not say; `source` the answer whose button was pressed, if one was. Raises
        Expired if `question` is gone.
        """
        text = next((str(options[option.name] or "") for option in command.options if option.free_text), "")
        common: dict[str, Any] = {
            "platform": request.place.platform,
            "server": request.place.server,
            "channel": request.place.channel,
            "thread": request.place.thread,
            "author": request.user.id,
            "author_name": request.user.name,
            "command": command.name,
            "options": options_as_json(options),
            "seed": None,
            "card": {},
            "buttons": [],
            "private": private,
            "source": source,
            "created": now(),
        }
        async with self._database.writing() as session:
            if question is not None:
                asked = await session.get(MessageRow, question)
                if asked is None or asked.state == "deleted":
                    raise Expired("This has expired: the question is no longer stored.")
            else:
                if request.reply_to:
                    parent = await session.scalar(_external(request.place, request.reply_to))
                written = {"role": "user", "state": "done", "text": text, "external": request.message}
                asked = MessageRow(**common, **written, parent=parent, instance="", resume={})
                session.add(asked)
                await session.flush()
            made = {"role": "assistant", "state": "queued", "text": "", "external": ""}
            resume = {"instance": self._instance.id, "resume": dict(request.resume)}
            answer = MessageRow(**common, **made, **resume, parent=asked.id)
            session.add(answer)
        return asked, answer

    async def update(self, answer: int, **values: Any) -> None:
        """Change columns of an answer, unless it was deleted meanwhile."""
        async with self._database.writing() as session:
            alive = (MessageRow.id == answer) & (MessageRow.state != "deleted")
            await session.execute(update(MessageRow).where(alive).values(**values))

    async def set_external_ids(self, answer: int, externals: Sequence[str]) -> None:
        """Note what the platform calls the messages that show an answer, in order, in the place of earlier ones."""
        async with self._database.writing() as session:
            row = await session.get(MessageRow, answer)
            if row is None or row.state == "deleted":
                return
            await session.execute(delete(DeliveryRow).where(DeliveryRow.message == answer))
            for part, external in enumerate(externals):
                key = {"platform": row.platform, "channel": row.channel, "external": external}
                await session.merge(DeliveryRow(**key, message=answer, part=part))

    async def move_out_of_thread(self, answer: int) -> None:
        """Move an answer and its question into the channel, as the thread that was meant for them is not opened."""
        async with self._database.writing() as session:
            row = await session.get(MessageRow, answer)
            if row is not None:
                both = MessageRow.id.in_((row.id, row.parent))
                await session.execute(update(MessageRow).where(both).values(thread="", external=""))

    async def get_external_ids(self, answer: int) -> list[str]:
        """What the platform calls the messages that show an answer, in order."""
        async with self._database.reading() as session:
            shown = select(DeliveryRow.external).where(DeliveryRow.message == answer).order_by(DeliveryRow.part)
            return list(await session.scalars(shown))

    async def find_answers(self, platform: str, externals: Sequence[str]) -> list[MessageRow]:
        """The answers that any of these messages of a platform shows."""
        shown = DeliveryRow.external.in_(externals) & (DeliveryRow.platform == platform)
        answers = select(DeliveryRow.message).where(shown)
        async with self._database.reading() as session:
            return list(await session.scalars(select(MessageRow).where(MessageRow.id.in_(answers))))

    async def finish(self, answer: int, reply: Reply, state: str, waited: float | None = None) -> bool:
        """Store the last reply of an answer, its files included, and count it; False if it was deleted meanwhile.

        `waited` is how many seconds went by until there was something to see, if that came.
        """
        tokens = await pack_tokens(reply)
        async with self._database.writing() as session:
            alive = (MessageRow.id == answer) & (MessageRow.state != "deleted")
            values = reply_columns(reply) | {"state": state}
            changed = await session.scalars(update(MessageRow).where(alive).values(**values).returning(MessageRow))
            if (row := changed.first()) is None:
                return False
            await _count_use(session, row, state, waited)
            session.add_all(build_reply_rows(answer, reply, tokens))
        return True

    async def turn_page(
        self, row: MessageRow, command: Command, options: Mapping[str, Any], reply: Reply, waited: float
    ) -> bool:
        """Put `reply`, to `command` with `options`, in the place of what the answer `row` says, and count it.

        False if that was deleted meanwhile, or says something else.
        """
        tokens = await pack_tokens(reply)
        values = reply_columns(reply) | {"command": command.name, "options": options_as_json(options), "state": "done"}
        async with self._database.writing() as session:
            answer = await session.get(MessageRow, row.id)
            if answer is None or answer.state == "deleted" or answer.buttons != row.buttons:
                return False
            for name, value in values.items():
                setattr(answer, name, value)
            await _count_use(session, answer, "done", waited)
            former = list(await session.scalars(select(AttachmentRow.id).where(AttachmentRow.message == row.id)))
            await session.execute(delete(TokensRow).where(TokensRow.message == row.id))
            session.add_all(build_reply_rows(row.id, reply, tokens))
            # Before the former ones go, so that none of the new ones gets the number of one of these.
            await session.flush()
            await session.execute(delete(AttachmentRow).where(AttachmentRow.id.in_(former)))
        return True

    async def erase(self, answer: int, state: str = "", waited: float | None = None) -> bool:
        """Delete an answer with all that hangs on it, and its question once nothing is being answered to that any more.

        It is counted first, as `close` does, if it ended in a `state`. False if it was deleted meanwhile.
        """
        async with self._database.writing() as session:
            row = await session.get(MessageRow, answer)
            if row is None:
                return False
            if state and row.state != "deleted":
                await _count_use(session, row, state, waited)
            await session.delete(row)
            await session.flush()
            others = select(MessageRow.id).where(MessageRow.parent == row.parent, MessageRow.state.in_(UNFINISHED))
            if await session.scalar(others.limit(1)) is None:
                await session.execute(delete(MessageRow).where(MessageRow.id == row.parent))
        await self._database.truncate_wal(patient=False)
        return row.state != "deleted"

    async def load_tokens(self, answer: int) -> tuple[Token, ...]:
        """The tokens of an answer; none where they were not kept."""
        async with self._database.reading() as session:
            row = await session.get(TokensRow, answer)
        return () if row is None else await asyncio.to_thread(unpack, row.data)

    async def get(self, row_id: int) -> MessageRow | None:
        """The message with this row id, unless it was deleted or purged."""
        if row_id > MAX_ID:
            return None
        async with self._database.reading() as session:
            row = await session.get(MessageRow, row_id)
        return None if row is None or row.state == "deleted" else row

    async def find(self, place: Place, external: str) -> MessageRow | None:
        """The message that the platform calls `external`, or the answer that it shows a part of."""
        async with self._database.reading() as session:
            row_id = await session.scalar(_external(place, external))
        return None if row_id is None else await self.get(row_id)

    async def recent(self, place: Place, limit: int, *, threads: bool = False) -> list[MessageRow]:
        """The last `limit` messages of a place, oldest first, no deleted ones; `threads`: those in its threads, too."""
        here = _in(place) & (true() if threads else MessageRow.thread == place.thread)
        here &= (MessageRow.state != "deleted") & (MessageRow.role != "break")
        async with self._database.reading() as session:
            rows = await session.scalars(select(MessageRow).where(here).order_by(MessageRow.id.desc()).limit(limit))
            return list(rows)[::-1]

    async def has_public_answer(self, place: Place) -> bool:
        """Whether a place holds an answer that all there may read."""
        here = _in(place) & (MessageRow.thread == place.thread)
        told = here & (MessageRow.role == "assistant") & ~MessageRow.private & (MessageRow.state != "deleted")
        async with self._database.reading() as session:
            return await session.scalar(select(MessageRow.id).where(told).limit(1)) is not None

    async def has_messages_of(self, place: Place, person: str) -> bool:
        """Whether anything is stored that somebody asked in the server of a place."""
        here = (MessageRow.platform == place.platform) & (MessageRow.server == place.server)
        async with self._database.reading() as session:
            found = select(MessageRow.id).where(here, MessageRow.author == person)
            return await session.scalar(found.limit(1)) is not None

    async def list_files(self, answer: int) -> list[StoredFile]:
        """What is known of an answer's files, in order."""
        columns = (
            *(AttachmentRow.id, AttachmentRow.message, AttachmentRow.filename, AttachmentRow.media_type),
            *(AttachmentRow.alt, AttachmentRow.spoiler, func.length(AttachmentRow.data)),
            func.substr(AttachmentRow.data, 1, HEAD_BYTES, type_=LargeBinary),
        )
        async with self._database.reading() as session:
            found = select(*columns).where(AttachmentRow.message == answer).order_by(AttachmentRow.id)
            return [StoredFile(*row) for row in await session.execute(found)]

    async def load_file(self, answer: int, number: int) -> Attachment | None:
        """The file of an answer that has this number, whole, unless it was deleted or purged."""
        # Numbers of files come again once they are free, those of messages never do.
        mine = (AttachmentRow.id == number) & (AttachmentRow.message == answer)
        async with self._database.reading() as session:
            row = await session.scalar(select(AttachmentRow).where(mine))
        return None if row is None else read_attachment(row)

    async def load_reply(self, row: MessageRow, *, files: bool = True) -> Reply:
        """The stored answer as a reply, with the plugin's own buttons and, if wanted, its `files`."""
        attachments: tuple[Attachment, ...] = ()
        if files:
            async with self._database.reading() as session:
                found = select(AttachmentRow).where(AttachmentRow.message == row.id).order_by(AttachmentRow.id)
                attachments = tuple(map(read_attachment, await session.scalars(found)))
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
        """Empty an answer and forget its files. A question that no answer is left of goes with it.

        `entry` is what is noted of it in the audit, if somebody else than the asker wanted it so.
        """
        empty = {"state": "deleted", "text": "", "options": {}, "card": {}, "buttons": [], "resume": {}}
        async with self._database.writing() as session:
            if entry is not None:
                add_entry(session, entry)
            await session.execute(update(MessageRow).where(MessageRow.id == row.id).values(**empty))
            await session.execute(delete(AttachmentRow).where(AttachmentRow.message == row.id))
            await session.execute(delete(TokensRow).where(TokensRow.message == row.id))
            await session.execute(delete(VoteRow).where(VoteRow.message == row.id))
            await session.execute(delete(DeliveryRow).where(DeliveryRow.message == row.id))
            others = select(MessageRow.id).where(MessageRow.parent == row.parent, MessageRow.state != "deleted")
            if row.parent is not None and await session.scalar(others) is None:
                await session.execute(update(MessageRow).where(MessageRow.id == row.parent).values(**empty))

    async def vote(self, row_id: int, user: str, value: int) -> None:
        """Count one thumb; the same one again takes it back."""
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
            for one, by in ((before, -1), (after, 1)):
                if one and row is not None:
                    # On the answer's own day, so that what is taken back later is missing where it was counted.
                    day = counters.day_of(row.created)
                    await _count(session, row, counters.VOTE, "up" if one > 0 else "down", day, by)

    async def count_votes(self, row_id: int) -> tuple[int, int]:
        """How many thumbs are up, and how many down."""
        async with self._database.reading() as session:
            rows = await session.execute(
                select(VoteRow.value, func.count().label("number"))
                .where(VoteRow.message == row_id)
                .group_by(VoteRow.value)
            )
            found = {row.value: row.number for row in rows}
        return found.get(1, 0), found.get(-1, 0)

    async def find_unfinished(self, platform: str, server: str) -> list[MessageRow]:
        """The answers that living processes are making in a server, the oldest first."""
        alive = await self._instance.find_living()
        here = (MessageRow.platform == platform) & (MessageRow.server == server) & (MessageRow.role == "assistant")
        making = here & MessageRow.state.in_(UNFINISHED) & MessageRow.instance.in_(alive)
        async with self._database.reading() as session:
            return list(await session.scalars(select(MessageRow).where(making).order_by(MessageRow.id)))

    async def is_in_progress(self, row: MessageRow) -> bool:
        """Whether a living process makes an answer; one that it was taken away from may not have heard so yet."""
        return row.state in UNFINISHED and row.instance in {"", *await self._instance.find_living()}

    async def request_stop(self, row: MessageRow, entry: AuditEntry | None = None) -> None:
        """Let the process that makes an answer know by and by that it shall not.

        `entry` is what is noted of it in the audit, if somebody else than the asker wanted it so.
        """
        async with self._database.writing() as session:
            await session.execute(update(MessageRow).where(MessageRow.id == row.id).values(instance=""))
            if entry is not None:
                add_entry(session, entry)

    async def find_stopped(self, answers: Sequence[int]) -> list[int]:
        """Which of the answers that this process makes it shall make no longer: cancelled or deleted elsewhere."""
        if not answers:
            return []
        mine = (MessageRow.instance == self._instance.id) & (MessageRow.state != "deleted")
        async with self._database.reading() as session:
            left = set(await session.scalars(select(MessageRow.id).where(MessageRow.id.in_(answers), mine)))
        return [answer for answer in answers if answer not in left]

    async def mark_interrupted(self, platforms: Sequence[str]) -> list[MessageRow]:
        """Mark what dead processes left unfinished on these platforms as interrupted, and give it back."""
        alive = await self._instance.find_living()
        left = MessageRow.state.in_(UNFINISHED) & MessageRow.platform.in_(platforms) & MessageRow.instance.not_in(alive)
        async with self._database.writing() as session:
            rows = list(await session.scalars(select(MessageRow).where(left).order_by(MessageRow.id)))
            for row in rows:
                row.state = "interrupted"
        return rows


async def _count_use(session: AsyncSession, row: MessageRow, state: str, waited: float | None) -> None:
    day = counters.day_of(now())
    await _count(session, row, counters.USE, state, day)
    if waited is not None:
        await _count(session, row, counters.WAIT, counters.wait_bucket(waited), day)


async def _count(session: AsyncSession, row: MessageRow, kind: str, value: str, day: str, by: int = 1) -> None:
    await counters.count(session, (row.platform, row.server), kind, row.command, value, day, by)


def _in(place: Place) -> ColumnElement[bool]:
    """Rows of a channel, whichever thread they are in."""
    server = (MessageRow.platform == place.platform) & (MessageRow.server == place.server)
    return server & (MessageRow.channel == place.channel)


def _external(place: Place, external: str) -> Any:
    asked = select(MessageRow.id).where(
        MessageRow.platform == place.platform,
        MessageRow.channel == place.channel,
        MessageRow.external == external,
        MessageRow.state != "deleted",
    )
    shown = select(DeliveryRow.message).where(
        DeliveryRow.platform == place.platform,
        DeliveryRow.channel == place.channel,
        DeliveryRow.external == external,
    )
    found = union_all(asked, shown).subquery()
    return select(func.max(found.c.id))
