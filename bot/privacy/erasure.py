"""One person deleted from all tables: what they wrote and got goes, what others answer for gets a pseudonym."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, cast, delete, null, or_, select, true, union, update

from bot.access.timeouts import TimeOutRow
from bot.moderation.audit_view import PLAIN
from bot.settings.scopes import SettingRow
from bot.storage.audit import APPEAL, REFUSAL, AuditRow
from bot.storage.database import AttachmentRow, MessageRow, PluginRow, VoteRow
from bot.storage.key_value import BlobRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.core.messages import Person, User
    from bot.storage.database import Database

LEAST, SHOWN = 4, 39
"""Characters: shorter texts say nothing about anybody, and of longer ones and of names lists show the beginning."""
LOOKALIKES = frozenset(PLAIN.values())
"""Some of these are letters to Unicode, but marks to whoever reads a list."""
REASON = "reason"


class Erasure:
    """One deletion, in one transaction. `of_moderators` are the commands whose answers tell of other people."""

    def __init__(
        self,
        user: User,
        person: Person,
        hashed: str,
        *,
        of_moderators: Collection[str],
        of_people: Collection[str],
        spared: int,
    ) -> None:
        """`hashed` is what the person is called among time-outs; `of_people` are the settings that are lists of people,
        and `spared` is the question that asks for the deletion.
        """
        self._user = user
        self._person = person
        self._hashed = hashed
        self._of_moderators = of_moderators
        self._of_people = of_people
        self._spared = spared
        self._pseudonym = f"deleted-{secrets.token_hex(4)}"
        self._id = re.compile(rf"(?<!\w){re.escape(person.id)}(?!\w)")

    async def run(self, database: Database) -> frozenset[int]:
        """Do it, and return the ids of all messages that are gone, those of others among them."""
        async with database.writing() as session:
            gone = [*await self._lists(session), *await self._messages(session)]
            await self._mentions(session)
            await self._audit(session)
            await self._settings(session)
            await self._timeouts(session)
            for table in (PluginRow, BlobRow):
                mine = [self._person.id, f"{self._person.platform}:{self._person.id}"]
                await session.execute(delete(table).where(or_(table.scope.in_(mine), table.key.in_(mine))))
        await database.truncate_wal()
        return frozenset(gone)

    def _here(self, column: Any) -> ColumnElement[bool]:
        """On the platform of the person; whoever runs the bot has one id on all of them."""
        return true() if self._user.is_operator else column == self._person.platform

    # Messages

    async def _messages(self, session: AsyncSession) -> list[int]:
        """Delete what they asked and what was answered, what grew out of that, and what others did that named them."""
        mine = (MessageRow.platform == self._person.platform) & (MessageRow.author == self._person.id)
        named = await self._naming(session)
        not_this = (MessageRow.id != self._spared) & or_(MessageRow.parent.is_(None), MessageRow.parent != self._spared)
        doomed = (
            select(MessageRow.id).where(or_(mine, MessageRow.id.in_(named)), not_this).cte("doomed", recursive=True)
        )
        answers = (MessageRow.parent == doomed.c.id) & (MessageRow.role == "assistant")
        grown = select(MessageRow.id).join(doomed, or_(MessageRow.source == doomed.c.id, answers)).where(not_this)
        doomed = doomed.union(grown)
        all_of_it = delete(MessageRow).where(MessageRow.id.in_(select(doomed.c.id)))
        gone = list(await session.scalars(all_of_it.returning(MessageRow.id)))
        there = select(MessageRow.id).where(MessageRow.platform == self._person.platform)
        await session.execute(delete(VoteRow).where(VoteRow.user == self._person.id, VoteRow.message.in_(there)))
        return gone

    async def _naming(self, session: AsyncSession) -> list[int]:
        """Rows of others that have the person as an option."""
        found = select(MessageRow.id, MessageRow.options).where(self._holds(MessageRow.options))
        rows = await session.execute(found.where(MessageRow.platform == self._person.platform))
        return [row.id for row in rows if self._person.id in row.options.values()]

    async def _lists(self, session: AsyncSession) -> list[int]:
        """Delete what moderators were told that has the person's id in it or, where they were, their name or words."""
        told = select(MessageRow).where(
            MessageRow.platform == self._person.platform,
            MessageRow.role == "assistant",
            MessageRow.command.in_(self._of_moderators),
        )
        by_id, by_words = [_needle(self._person.id)], self._needles()
        named = await self._named(session)
        gone = []
        for row in await session.scalars(told):
            by_names = [*by_words, *named[row.server]] if row.server in named else []
            if await self._tells(session, row, [*by_id, *by_names]):
                await session.execute(delete(MessageRow).where(MessageRow.id.in_([row.id, row.parent])))
                gone.append(row.id)
        return gone

    async def _named(self, session: AsyncSession) -> dict[str, set[str]]:
        """What shows the names that they have had, by server; where nothing is theirs, those are of somebody else."""
        person = self._person.id
        traces = [
            select(table.server, name).where(table.platform == self._person.platform, is_theirs)
            for table, name, is_theirs in (
                (MessageRow, MessageRow.author_name, MessageRow.author == person),
                (AuditRow, AuditRow.actor_name, AuditRow.actor == person),
                (AuditRow, AuditRow.subject_name, AuditRow.subject == person),
                (TimeOutRow, TimeOutRow.name, TimeOutRow.person == self._hashed),
                (TimeOutRow, TimeOutRow.actor_name, TimeOutRow.actor == person),
            )
        ]
        named = defaultdict[str, set[str]](set)
        for server, name in await session.execute(union(*traces)):
            named[server] |= {needle for needle in (_needle(name or ""),) if needle.strip()}
        return named

    async def _tells(self, session: AsyncSession, row: MessageRow, needles: Iterable[str]) -> bool:
        files = await session.scalars(select(AttachmentRow.data).where(AttachmentRow.message == row.id))
        told = [_words(text) for text in (row.text, *map(_readable, files))]
        return any(needle in words for words in told for needle in needles)

    def _needles(self) -> list[str]:
        written = [_needle(asked.text) for asked in self._person.asked]
        name = _needle(self._person.name)
        return [*([name] if name.strip() else []), *(one for one in written if len(one.strip()) >= LEAST)]

    async def _mentions(self, session: AsyncSession) -> None:
        """Put the pseudonym in the place of the id wherever else it stands in messages, where it is surely an id."""
        if not (len(self._person.id) >= 8 and any(map(str.isdigit, self._person.id))):
            return
        columns = (MessageRow.text, MessageRow.options, MessageRow.card, MessageRow.buttons, MessageRow.resume)
        there = MessageRow.platform == self._person.platform
        for row in await session.scalars(select(MessageRow).where(there, or_(*map(self._holds, columns)))):
            for name in ("text", "options", "card", "buttons", "resume"):
                setattr(row, name, self._replaced(getattr(row, name)))
        described = select(AttachmentRow.id, AttachmentRow.alt).where(self._holds(AttachmentRow.alt))
        described = described.join(MessageRow, AttachmentRow.message == MessageRow.id).where(there)
        for file, alt in (await session.execute(described)).all():
            this = update(AttachmentRow).where(AttachmentRow.id == file)
            await session.execute(this.values(alt=self._replaced(alt)))

    # What others answer for

    async def _audit(self, session: AsyncSession) -> None:
        about = or_(AuditRow.actor == self._person.id, AuditRow.subject == self._person.id)
        held = or_(self._holds(AuditRow.before), self._holds(AuditRow.after))
        for row in await session.scalars(select(AuditRow).where(self._here(AuditRow.platform), or_(about, held))):
            row.before, row.after = self._replaced(row.before), self._replaced(row.after)
            if row.actor == self._person.id:
                row.actor = row.actor_name = self._pseudonym
                if row.kind in (REFUSAL, APPEAL):
                    row.before = null()
            if row.subject == self._person.id:
                row.subject = row.subject_name = self._pseudonym
                row.before, row.after = _without_reason(row.before), _without_reason(row.after)

    async def _settings(self, session: AsyncSession) -> None:
        listed = SettingRow.name.in_(self._of_people) & self._holds(SettingRow.value)
        mine = or_(SettingRow.actor == self._person.id, listed)
        for row in await session.scalars(select(SettingRow).where(self._here(SettingRow.platform), mine)):
            if row.actor == self._person.id:
                row.actor = row.actor_name = self._pseudonym
            if row.name in self._of_people and self._person.id in row.value.split():
                row.value = " ".join(one for one in row.value.split() if one != self._person.id)

    async def _timeouts(self, session: AsyncSession) -> None:
        """What is in force stays in force, for a hash that says nothing of them."""
        mine = TimeOutRow.person == self._hashed
        await session.execute(update(TimeOutRow).where(mine).values(user="", name="", reason=""))
        given = (TimeOutRow.actor == self._person.id) & self._here(TimeOutRow.platform)
        await session.execute(update(TimeOutRow).where(given).values(actor=self._pseudonym, actor_name=self._pseudonym))

    # Ids in texts and in JSON

    def _holds(self, column: Any) -> ColumnElement[bool]:
        return cast(column, Text).contains(self._person.id, autoescape=True)

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._id.sub(self._pseudonym, value)
        if isinstance(value, dict):
            return {self._replaced(name): self._replaced(one) for name, one in value.items()}
        return [self._replaced(one) for one in value] if isinstance(value, list) else value


@lru_cache(4096)
def _plain(char: str) -> str:
    """What belongs to a word, and a space for all else, as lists have other marks than people wrote."""
    category = unicodedata.category(char)
    # A name can be an emoji alone.
    is_of_word = category[0] in "LMN" or category == "So"
    return char if is_of_word and char not in LOOKALIKES else " "


def _words(text: str) -> str:
    """The words of a text, with a space before each and after the last."""
    return f" {' '.join(''.join(map(_plain, text.casefold())).split())} "


def _needle(text: str) -> str:
    """What `_words` of a list have in them where it shows the text; blank for a text of marks alone."""
    shown = " ".join(text.split())
    return _words(shown) if len(shown) <= SHOWN else _words(shown[:SHOWN]).rstrip()


def _readable(data: bytes) -> str:
    """The text of a file; none of a picture, among whose bytes any short name may be."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""


def _without_reason(value: Any) -> Any:
    """What moderators noted of somebody, without their words about them."""
    return {name: one for name, one in value.items() if name != REASON} if isinstance(value, dict) else value


def rows(found: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows as JSON has them; bytes are left out."""
    return [
        {
            column.key: value
            for column in row.__table__.columns
            if not isinstance(value := getattr(row, column.key), bytes)
        }
        for row in found
    ]
