"""Exports everything that is stored about one person as files, or deletes it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select

from bot.access.rate_limits import RateLimit
from bot.access.timeouts import TimeOutRow
from bot.core.errors import UserError
from bot.core.i18n import Sentence
from bot.core.messages import Person, StoredQuestion
from bot.privacy.conditions import is_message_of, is_not_of_question, is_on_platform, is_stored_under, is_vote_of
from bot.privacy.erasure import Erasure
from bot.privacy.export_files import ExportFiles, as_json_rows, file_rows, token_rows
from bot.settings.builtin import DAY_SECONDS
from bot.settings.scopes import SettingRow
from bot.storage.audit import REFUSAL, AuditRow
from bot.storage.database import AttachmentRow, DeliveryRow, MessageRow, PluginRow, TokensRow, VoteRow, now
from bot.storage.key_value import BlobRow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.access.rate_limits import RateLimiter
    from bot.access.timeouts import TimeOuts
    from bot.core.adapters import Adapters
    from bot.core.caller import Caller
    from bot.core.messages import Attachment, Place, User
    from bot.moderation.actions import Moderation
    from bot.plugin_host.registry import Registry
    from bot.settings.resolver import Settings
    from bot.settings.user_defaults import Defaults
    from bot.storage.database import Database

log = logging.getLogger(__name__)

MAX_FILES = 9
"""The most files of a part, since every platform takes that many in one message."""
MAX_EXPORTS_PER_DAY = 3
"""How often somebody may have each part of their export."""
MAX_DELETIONS_PER_DAY = 5
"""How often somebody may have their data deleted: nobody can write while all tables are searched for them."""
MAX_KNOWN_EXPORTS = 1000
"""Of how many people the number of parts is remembered."""
BATCH_ROWS = 200
SECTIONS = (
    *("messages", "deliveries", "votes", "audit", "settings", "timeouts", "plugin_data", "plugins", "tokens", "files"),
)
IN_PIECES = Sentence(
    "What is too large for one file comes in pieces. Put them together in their order: the text of each “json”, or the "
    "bytes that each “base64” stands for."
)


@dataclass(frozen=True, slots=True)
class Export:
    """One part of an export, and how many parts there are."""

    files: tuple[Attachment, ...]
    parts: int


@dataclass(kw_only=True, eq=False)
class PrivacyService:
    """Exports and deletes the data of the caller."""

    database: Database
    registry: Registry
    settings: Settings
    defaults: Defaults
    timeouts: TimeOuts
    limits: RateLimiter
    moderation: Moderation
    adapters: Adapters

    def __post_init__(self) -> None:
        self._building = asyncio.Lock()
        self._waiting: set[tuple[str, str]] = set()
        self._parts: dict[tuple[str, str], int] = {}

    async def export(self, caller: Caller, question: int = 0, part: int = 1) -> Export:
        """Return a part of all that is stored about the caller on their platform, as JSON files.

        `question` is the row of the question that asks for it, which is left out. One export is built at a time, since
        each of them reads all that is stored about somebody. Raises LimitReached if the caller had this part too often
        in the last day, and UserError if there is no such part or if an export of theirs is being built.
        """
        key = caller.place.platform, caller.user.id
        known = self._parts.get(key)
        if known is not None and part > known:
            raise _no_such_part(part, known)
        if key in self._waiting:
            raise UserError("Your export is being put together already; wait until it is there.")
        # How many parts there are is known once they are counted, so until then every part counts as the first one.
        name = "/".join((*key, "export", *([str(part)] if known is not None and part > 1 else ())))
        self._waiting.add(key)
        try:
            async with self._counted("export.day", name, MAX_EXPORTS_PER_DAY), self._building:
                export = await self._build(caller, question, part)
        finally:
            self._waiting.discard(key)
        self._parts[key] = export.parts
        if len(self._parts) > MAX_KNOWN_EXPORTS:
            del self._parts[next(iter(self._parts))]
        if part > export.parts:
            raise _no_such_part(part, export.parts)
        return export

    async def _build(self, caller: Caller, question: int, part: int) -> Export:
        user, person = caller.user, await self._person(caller.user, caller.place)
        about = {"platform": person.platform, "id": person.id, "name": person.name, "exported": now()}
        try:
            files = await asyncio.to_thread(ExportFiles, SECTIONS)
            with files:
                async with aclosing(self._sections(user, person, question)) as sections:
                    async for section, rows in sections:
                        await asyncio.to_thread(files.add, section, rows)
                note = IN_PIECES.in_language(user.locale)
                read = await asyncio.to_thread(files.read, (part - 1) * MAX_FILES, MAX_FILES, about, note)
                return Export(tuple(read), -(-len(files) // MAX_FILES))
        except OSError as error:
            log.error("An export cannot be written to a temporary file: %s", error.strerror)  # noqa: TRY400
            raise UserError("There is no room for your export at the moment; please try again later.") from None

    async def _sections(
        self, user: User, person: Person, question: int
    ) -> AsyncGenerator[tuple[str, Iterable[dict[str, Any]]], None]:
        """Yield the rows of all sections, those of each section in batches, in the order of SECTIONS."""
        mine = is_message_of(person) & is_not_of_question(question)
        async with self.database.reading() as session:
            ids = list(await session.scalars(select(MessageRow.id).where(mine).order_by(MessageRow.id)))
            for section, column in (("messages", MessageRow.id), ("deliveries", DeliveryRow.message)):
                async for rows in _rows_of_messages(session, column.class_, column, ids):
                    yield section, as_json_rows(rows)
            for section, query in self._queries(user, person):
                yield section, as_json_rows(await session.scalars(query))
        for plugin in self.registry.plugins:
            if (told := await plugin.stored(person)) is not None:
                yield "plugins", [{"plugin": plugin.name, "stored": told}]
        async with self.database.reading() as session:
            for some in _batches(ids):
                async for tokens in _rows_one_by_one(session, TokensRow, TokensRow.message.in_(some)):
                    yield "tokens", token_rows(tokens)
            for some in _batches(ids):
                async for attachments in _rows_one_by_one(session, AttachmentRow, AttachmentRow.message.in_(some)):
                    yield "files", file_rows(attachments)
            async for blobs in _rows_one_by_one(session, BlobRow, is_stored_under(BlobRow, person)):
                yield "files", file_rows(blobs)

    async def delete(self, caller: Caller, question: int = 0) -> None:
        """Delete all that is stored about the caller on their platform, except a time-out that is in force.

        Records that others are responsible for, such as audit entries, get a pseudonym. `question` is the row of the
        question that asks for the deletion, which is deleted once it is answered. Raises LimitReached if the caller had
        that done too often in the last day.
        """
        name = "/".join((caller.place.platform, caller.user.id, "delete"))
        async with self._counted("delete.day", name, MAX_DELETIONS_PER_DAY):
            await self._delete(caller, question)

    @asynccontextmanager
    async def _counted(self, code: str, name: str, most: int) -> AsyncIterator[None]:
        """Count the body of the context as one of at most `most` uses a day, unless it fails."""
        async with self.limits.count_use([RateLimit(code, name, most, DAY_SECONDS)]) as use:
            try:
                yield
            except Exception:
                use.refund()
                raise

    async def _delete(self, caller: Caller, question: int) -> None:
        user, person = caller.user, await self._person(caller.user, caller.place)
        self._parts.pop((person.platform, person.id), None)
        naming: set[int] = set()
        for plugin in self.registry.plugins:
            naming.update(await plugin.forget(person) or ())
        moderators = {command.name for command in self.registry.all_commands if command.moderator}
        people = {setting.name for setting in self.settings.declared if setting.ids == "users"}
        erasure = Erasure(
            user=user,
            person=person,
            person_hash=self.timeouts.hash_person(person.platform, person.id),
            moderator_commands=moderators,
            people_settings=people,
            naming_answers=naming,
            spared_question=question,
        )
        deleted = await erasure.run(self.database)
        await self.defaults.refresh()
        await self.settings.refresh()
        await self.timeouts.refresh()
        await self.moderation.stop_requested_runs()
        if (adapter := self.adapters.get(person.platform)) is not None:
            await adapter.forget_user(person.id, deleted)

    async def _person(self, user: User, place: Place) -> Person:
        mine = (MessageRow.platform == place.platform) & (MessageRow.author == user.id)
        async with self.database.reading() as session:
            questions = await session.scalars(select(MessageRow).where(mine, MessageRow.role == "user"))
            refused = (AuditRow.platform == place.platform) & (AuditRow.actor == user.id) & (AuditRow.kind == REFUSAL)
            refusals = await session.scalars(select(AuditRow).where(refused))
            asked = [
                StoredQuestion(row.server, row.command, text)
                for row in questions
                for text in {row.text, *(value for value in row.options.values() if isinstance(value, str))}
                if text
            ]
            asked += [
                StoredQuestion(row.server, row.what, row.before) for row in refusals if isinstance(row.before, str)
            ]
        return Person(place.platform, user.id, user.name, tuple(asked))

    def _queries(self, user: User, person: Person) -> Iterator[tuple[str, Select[Any]]]:
        """Yield the queries of the sections that are short."""
        yield "votes", select(VoteRow).where(is_vote_of(person))
        audit = or_(AuditRow.actor == person.id, AuditRow.subject == person.id)
        here = is_on_platform(AuditRow.platform, user, person)
        yield "audit", select(AuditRow).where(audit, here).order_by(AuditRow.id)
        here = is_on_platform(SettingRow.platform, user, person)
        yield "settings", select(SettingRow).where(SettingRow.actor == person.id, here)
        about = TimeOutRow.person == self.timeouts.hash_person(person.platform, person.id)
        imposed = (TimeOutRow.actor == person.id) & is_on_platform(TimeOutRow.platform, user, person)
        yield "timeouts", select(TimeOutRow).where(or_(about, imposed))
        yield "plugin_data", select(PluginRow).where(is_stored_under(PluginRow, person))


def _no_such_part(part: int, parts: int) -> UserError:
    sentence = "What is stored about you ends with part {parts}; there is no part {part}."
    return UserError(sentence, parts=parts, part=part)


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + BATCH_ROWS] for start in range(0, len(ids), BATCH_ROWS))


async def _rows_of_messages(session: AsyncSession, table: Any, column: Any, ids: Sequence[int]) -> AsyncIterator[Any]:
    """Yield the rows of a table whose `column` is one of these ids of messages, in batches and in order."""
    order = (column, *table.__table__.primary_key.columns)
    for some in _batches(ids):
        yield list(await session.scalars(select(table).where(column.in_(some)).order_by(*order)))


async def _rows_one_by_one(session: AsyncSession, table: Any, condition: ColumnElement[bool]) -> AsyncIterator[Any]:
    """Yield the rows of a table, each in a list of its own, since a single one may be large."""
    keys = table.__table__.primary_key.columns
    for key in (await session.execute(select(*keys).where(condition).order_by(*keys))).all():
        # None was deleted meanwhile.
        if (row := await session.get(table, tuple(key))) is not None:
            yield [row]
