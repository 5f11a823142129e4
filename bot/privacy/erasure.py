"""Deletes one person from all tables.

What they wrote and received is deleted; records that others are responsible for get a pseudonym instead.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, cast, delete, null, or_, select, union, update

from bot.access.timeouts import TimeOutRow
from bot.moderation.audit_view import MARKDOWN_LOOKALIKES
from bot.privacy.conditions import is_message_of, is_not_of_question, is_on_platform, is_stored_under, is_vote_of
from bot.safety.errors import SENSITIVE_CODES
from bot.settings.scopes import SettingRow
from bot.storage.audit import APPEAL, REFUSAL, AuditRow
from bot.storage.changes import DEFAULTS, SETTINGS, number_change
from bot.storage.database import AttachmentRow, MessageRow, PluginRow, VoteRow
from bot.storage.key_value import BlobRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.core.messages import Person, User
    from bot.storage.database import Database

MIN_PHRASE_CHARACTERS, MAX_SHOWN_CHARACTERS = 4, 39
"""Shorter texts identify nobody, and of longer ones lists show only the beginning."""
LOOKALIKES = frozenset(MARKDOWN_LOOKALIKES.values())
"""Unicode counts some of these as letters, but in a list they stand for punctuation."""
OF_A_PERSON = frozenset({"reason", "name"})
"""The keys of a moderator's reason and of a name that a moderator gave, in entries of the audit about somebody."""


@dataclass(kw_only=True, eq=False)
class Erasure:
    """The deletion of one person in one transaction."""

    user: User
    person: Person
    person_hash: str
    """Their hash among time-outs."""
    moderator_commands: Collection[str]
    """Commands whose answers may mention others."""
    people_settings: Collection[str]
    """Settings that are lists of people."""
    naming_answers: Collection[int]
    """The rows of answers that name the person."""
    spared_question: int
    """The row of the question that asks for the deletion, which stays until it is answered."""

    def __post_init__(self) -> None:
        self._pseudonym = f"deleted-{secrets.token_hex(4)}"
        self._id = re.compile(rf"(?<!\w){re.escape(self.person.id)}(?!\w)")

    async def run(self, database: Database) -> frozenset[int]:
        """Delete the person, and return the ids of all deleted messages, of which some may be other people's."""
        async with database.writing() as session:
            deleted = [*await self._delete_lists(session), *await self._delete_messages(session)]
            await self._replace_mentions(session)
            await self._pseudonymise_audit(session)
            await self._pseudonymise_settings(session)
            await self._pseudonymise_timeouts(session)
            for table in (PluginRow, BlobRow):
                await session.execute(delete(table).where(is_stored_under(table, self.person)))
            await number_change(session, DEFAULTS, removes=True)
        await database.truncate_wal()
        return frozenset(deleted)

    def _on_platform(self, column: Any) -> ColumnElement[bool]:
        return is_on_platform(column, self.user, self.person)

    # Messages

    async def _delete_messages(self, session: AsyncSession) -> list[int]:
        """Delete their questions, other people's questions that name them, and all that followed from these."""
        named = await self._rows_naming(session)
        not_this = is_not_of_question(self.spared_question)
        first = select(MessageRow.id).where(or_(is_message_of(self.person), MessageRow.id.in_(named)), not_this)
        tree = first.cte("tree", recursive=True)
        answers = (MessageRow.parent == tree.c.id) & (MessageRow.role == "assistant")
        following = select(MessageRow.id).join(tree, or_(MessageRow.source == tree.c.id, answers)).where(not_this)
        tree = tree.union(following)
        deletion = delete(MessageRow).where(MessageRow.id.in_(select(tree.c.id)))
        deleted = list(await session.scalars(deletion.returning(MessageRow.id)))
        deleted += await self._delete_naming_answers(session)
        await session.execute(delete(VoteRow).where(is_vote_of(self.person)))
        return deleted

    async def _delete_naming_answers(self, session: AsyncSession) -> list[int]:
        """Delete the answers that name them, but not what followed from these, and questions without another answer."""
        naming = MessageRow.id.in_(self.naming_answers) & is_not_of_question(self.spared_question)
        deletion = delete(MessageRow).where(naming).returning(MessageRow.id, MessageRow.parent)
        found = (await session.execute(deletion)).all()
        parents = MessageRow.parent.in_([parent for _, parent in found])
        answered = select(MessageRow.parent).where(
            parents, MessageRow.role == "assistant", MessageRow.state != "deleted"
        )
        unanswered = MessageRow.id.in_([parent for _, parent in found]) & MessageRow.id.not_in(answered)
        questions = await session.scalars(delete(MessageRow).where(unanswered).returning(MessageRow.id))
        return [*(answer for answer, _ in found), *questions]

    async def _rows_naming(self, session: AsyncSession) -> list[int]:
        """Return the rows that have the person's id as an option."""
        candidates = select(MessageRow.id, MessageRow.options).where(self._contains_id(MessageRow.options))
        rows = await session.execute(candidates.where(MessageRow.platform == self.person.platform))
        return [row.id for row in rows if self.person.id in row.options.values()]

    async def _delete_lists(self, session: AsyncSession) -> list[int]:
        """Delete moderators' answers that show the person's id or, in servers where they were, their name or words."""
        answers = select(MessageRow).where(
            MessageRow.platform == self.person.platform,
            MessageRow.role == "assistant",
            MessageRow.command.in_(self.moderator_commands),
        )
        by_id, own_phrases = [_make_phrase(self.person.id)], self._own_phrases()
        named = await self._names_by_server(session)
        deleted = []
        for row in await session.scalars(answers):
            phrases_here = [*own_phrases, *named[row.server]] if row.server in named else []
            if await self._shows_any(session, row, [*by_id, *phrases_here]):
                await session.execute(delete(MessageRow).where(MessageRow.id.in_([row.id, row.parent])))
                deleted.append(row.id)
        return deleted

    async def _names_by_server(self, session: AsyncSession) -> dict[str, set[str]]:
        """Return the phrases that show the names they have had, by server.

        In a server where nothing is theirs, the same name is somebody else's.
        """
        person = self.person.id
        traces = [
            select(table.server, name).where(table.platform == self.person.platform, is_theirs)
            for table, name, is_theirs in (
                (MessageRow, MessageRow.author_name, MessageRow.author == person),
                (AuditRow, AuditRow.actor_name, AuditRow.actor == person),
                (AuditRow, AuditRow.subject_name, AuditRow.subject == person),
                (TimeOutRow, TimeOutRow.name, TimeOutRow.person == self.person_hash),
                (TimeOutRow, TimeOutRow.actor_name, TimeOutRow.actor == person),
            )
        ]
        named = defaultdict[str, set[str]](set)
        for server, name in await session.execute(union(*traces)):
            named[server] |= {phrase for phrase in (_make_phrase(name or ""),) if phrase.strip()}
        return named

    async def _shows_any(self, session: AsyncSession, row: MessageRow, phrases: Iterable[str]) -> bool:
        """Return whether an answer or one of its files has one of these phrases."""
        files = await session.scalars(select(AttachmentRow.data).where(AttachmentRow.message == row.id))
        texts = [_normalise(text) for text in (row.text, *map(_decode, files))]
        return any(phrase in text for text in texts for phrase in phrases)

    def _own_phrases(self) -> list[str]:
        written = [_make_phrase(asked.text) for asked in self.person.asked]
        name = _make_phrase(self.person.name)
        return [
            *([name] if name.strip() else []),
            *(phrase for phrase in written if len(phrase.strip()) >= MIN_PHRASE_CHARACTERS),
        ]

    async def _replace_mentions(self, session: AsyncSession) -> None:
        """Replace the id by the pseudonym wherever else it is in messages, if it can be nothing but an id."""
        if not (len(self.person.id) >= 8 and any(map(str.isdigit, self.person.id))):
            return
        columns = (MessageRow.text, MessageRow.options, MessageRow.card, MessageRow.buttons, MessageRow.resume)
        on_platform = MessageRow.platform == self.person.platform
        for row in await session.scalars(select(MessageRow).where(on_platform, or_(*map(self._contains_id, columns)))):
            for name in ("text", "options", "card", "buttons", "resume"):
                setattr(row, name, self._replace_id(getattr(row, name)))
        described = select(AttachmentRow.id, AttachmentRow.alt).where(self._contains_id(AttachmentRow.alt))
        described = described.join(MessageRow, AttachmentRow.message == MessageRow.id).where(on_platform)
        for file, alt in (await session.execute(described)).all():
            this = update(AttachmentRow).where(AttachmentRow.id == file)
            await session.execute(this.values(alt=self._replace_id(alt)))

    # Records that others are responsible for

    async def _pseudonymise_audit(self, session: AsyncSession) -> None:
        about = or_(AuditRow.actor == self.person.id, AuditRow.subject == self.person.id)
        held = or_(self._contains_id(AuditRow.before), self._contains_id(AuditRow.after))
        for row in await session.scalars(
            select(AuditRow).where(self._on_platform(AuditRow.platform), or_(about, held))
        ):
            row.before, row.after = self._replace_id(row.before), self._replace_id(row.after)
            if row.actor == self.person.id:
                row.actor = row.actor_name = self._pseudonym
                if row.kind in (REFUSAL, APPEAL):
                    row.before, row.reason = null(), SENSITIVE_CODES.get(row.reason, row.reason)
            if row.subject == self.person.id:
                row.subject = row.subject_name = self._pseudonym
                row.before, row.after = _without_words(row.before), _without_words(row.after)

    async def _pseudonymise_settings(self, session: AsyncSession) -> None:
        listed = SettingRow.name.in_(self.people_settings) & self._contains_id(SettingRow.value)
        affected = or_(SettingRow.actor == self.person.id, listed)
        number = await number_change(session, SETTINGS)
        for row in await session.scalars(select(SettingRow).where(self._on_platform(SettingRow.platform), affected)):
            row.change_number = number
            if row.actor == self.person.id:
                row.actor = row.actor_name = self._pseudonym
            if row.name in self.people_settings and self.person.id in row.value.split():
                row.value = " ".join(user for user in row.value.split() if user != self.person.id)

    async def _pseudonymise_timeouts(self, session: AsyncSession) -> None:
        """Keep the time-outs in force, with nothing but the person's hash."""
        own = TimeOutRow.person == self.person_hash
        await session.execute(update(TimeOutRow).where(own).values(user="", name="", reason=""))
        imposed = (TimeOutRow.actor == self.person.id) & self._on_platform(TimeOutRow.platform)
        await session.execute(
            update(TimeOutRow).where(imposed).values(actor=self._pseudonym, actor_name=self._pseudonym)
        )

    # Ids in texts and in JSON

    def _contains_id(self, column: Any) -> ColumnElement[bool]:
        return cast(column, Text).contains(self.person.id, autoescape=True)

    def _replace_id(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._id.sub(self._pseudonym, value)
        if isinstance(value, dict):
            return {self._replace_id(name): self._replace_id(inner) for name, inner in value.items()}
        return [self._replace_id(item) for item in value] if isinstance(value, list) else value


@lru_cache(4096)
def _word_character(char: str) -> str:
    """Return a character of a word as it is, and a space for any other: lists change punctuation."""
    category = unicodedata.category(char)
    # A name can be an emoji alone.
    is_of_word = category[0] in "LMN" or category == "So"
    return char if is_of_word and char not in LOOKALIKES else " "


def _normalise(text: str) -> str:
    """Return the words of a text in lower case, with a space before each and after the last."""
    return f" {' '.join(''.join(map(_word_character, text.casefold())).split())} "


def _make_phrase(text: str) -> str:
    """Return what the normalised text of a list contains if it shows `text`; blank for punctuation alone."""
    shown = " ".join(text.split())
    return (
        _normalise(shown) if len(shown) <= MAX_SHOWN_CHARACTERS else _normalise(shown[:MAX_SHOWN_CHARACTERS]).rstrip()
    )


def _decode(data: bytes) -> str:
    """Return the text of a file; "" for a picture, whose bytes could contain any short name."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""


def _without_words(value: Any) -> Any:
    """Return the value of an audit entry without what a moderator wrote about somebody."""
    return (
        {name: inner for name, inner in value.items() if name not in OF_A_PERSON} if isinstance(value, dict) else value
    )
