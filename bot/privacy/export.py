"""Exports everything that is stored about one person as files, or deletes it."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select

from bot.access.timeouts import TimeOutRow
from bot.core.i18n import Sentence
from bot.core.messages import Attachment, Person, StoredQuestion
from bot.privacy.conditions import is_message_of, is_not_of_question, is_on_platform, is_stored_under, is_vote_of
from bot.privacy.erasure import Erasure
from bot.settings.scopes import SettingRow
from bot.storage.audit import REFUSAL, AuditRow
from bot.storage.database import AttachmentRow, DeliveryRow, MessageRow, PluginRow, TokensRow, VoteRow, now
from bot.storage.key_value import BlobRow
from bot.storage.tokens import unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.access.timeouts import TimeOuts
    from bot.core.adapters import Adapters
    from bot.core.caller import Caller
    from bot.core.messages import Place, User
    from bot.moderation.actions import Moderation
    from bot.plugin_host.registry import Registry
    from bot.settings.resolver import Settings
    from bot.settings.user_defaults import Defaults
    from bot.storage.database import Database

FILE_BYTES = 6 * 2**20
"""The largest file of an export, so that every platform accepts it."""
IN_PIECES = Sentence(
    "What is too large for one file comes in pieces. Put them together in their order: the text of each “json”, or the "
    "bytes that each “base64” stands for."
)


class PrivacyService:
    """Exports and deletes the data of the caller."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        settings: Settings,
        defaults: Defaults,
        timeouts: TimeOuts,
        moderation: Moderation,
        adapters: Adapters,
    ) -> None:
        self._database = database
        self._registry = registry
        self._settings = settings
        self._defaults = defaults
        self._timeouts = timeouts
        self._moderation = moderation
        self._adapters = adapters

    async def export(self, caller: Caller, question: int = 0) -> Sequence[Attachment]:
        """Return all that is stored about the caller on their platform, as JSON files of at most `FILE_BYTES`.

        `question` is the row of the question that asks for it, which is left out.
        """
        user, person = caller.user, await self._person(caller.user, caller.place)
        async with self._database.reading() as session:
            messages = await self._messages(session, person, question)
            files = await _rows_of_messages(session, AttachmentRow, messages)
            tokens = await _rows_of_messages(session, TokensRow, messages)
            sections = {
                "messages": _as_json_rows(messages),
                "deliveries": _as_json_rows(await _rows_of_messages(session, DeliveryRow, messages)),
                "votes": _as_json_rows(await self._votes(session, person)),
                "audit": _as_json_rows(await self._audit(session, user, person)),
                "settings": _as_json_rows(await self._settings_of(session, user, person)),
                "timeouts": _as_json_rows(await self._timeouts_of(session, user, person)),
                "plugin_data": _as_json_rows(
                    await session.scalars(select(PluginRow).where(is_stored_under(PluginRow, person)))
                ),
            }
            blobs = list(await session.scalars(select(BlobRow).where(is_stored_under(BlobRow, person))))
        sections["plugins"] = [
            {"plugin": plugin.name, "stored": stored}
            for plugin in self._registry.plugins
            if (stored := await plugin.stored(person)) is not None
        ]
        about = {"platform": person.platform, "id": person.id, "name": person.name, "exported": now()}
        note = IN_PIECES.in_language(user.locale)
        return await asyncio.to_thread(
            lambda: _make_files(
                about, note, {**sections, "tokens": _token_rows(tokens), "files": _file_rows([*files, *blobs])}
            )
        )

    async def delete(self, caller: Caller, question: int = 0) -> None:
        """Delete all that is stored about the caller on their platform, except a time-out that is in force.

        Records that others are responsible for, such as audit entries, get a pseudonym. `question` is the row of the
        question that asks for the deletion, which is deleted once it is answered.
        """
        user, person = caller.user, await self._person(caller.user, caller.place)
        for plugin in self._registry.plugins:
            await plugin.forget(person)
        moderators = {command.name for command in self._registry.all_commands if command.moderator}
        people = {setting.name for setting in self._settings.declared if setting.ids == "users"}
        person_hash = self._timeouts.hash_person(person.platform, person.id)
        erasure = Erasure(
            user, person, person_hash, moderator_commands=moderators, people_settings=people, spared_question=question
        )
        deleted = await erasure.run(self._database)
        await self._defaults.refresh()
        await self._settings.refresh()
        await self._timeouts.refresh()
        await self._moderation.stop_requested_runs()
        if (adapter := self._adapters.get(person.platform)) is not None:
            await adapter.forget_user(person.id, deleted)

    async def _person(self, user: User, place: Place) -> Person:
        mine = (MessageRow.platform == place.platform) & (MessageRow.author == user.id)
        async with self._database.reading() as session:
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

    async def _messages(self, session: AsyncSession, person: Person, question: int) -> list[MessageRow]:
        found = select(MessageRow).where(is_message_of(person), is_not_of_question(question)).order_by(MessageRow.id)
        return list(await session.scalars(found))

    async def _votes(self, session: AsyncSession, person: Person) -> list[VoteRow]:
        return list(await session.scalars(select(VoteRow).where(is_vote_of(person))))

    async def _audit(self, session: AsyncSession, user: User, person: Person) -> list[AuditRow]:
        about = or_(AuditRow.actor == person.id, AuditRow.subject == person.id)
        here = is_on_platform(AuditRow.platform, user, person)
        return list(await session.scalars(select(AuditRow).where(about, here).order_by(AuditRow.id)))

    async def _settings_of(self, session: AsyncSession, user: User, person: Person) -> list[SettingRow]:
        here = is_on_platform(SettingRow.platform, user, person)
        return list(await session.scalars(select(SettingRow).where(SettingRow.actor == person.id, here)))

    async def _timeouts_of(self, session: AsyncSession, user: User, person: Person) -> list[TimeOutRow]:
        person_hash = self._timeouts.hash_person(person.platform, person.id)
        imposed = (TimeOutRow.actor == person.id) & is_on_platform(TimeOutRow.platform, user, person)
        return list(await session.scalars(select(TimeOutRow).where(or_(TimeOutRow.person == person_hash, imposed))))


async def _rows_of_messages(session: AsyncSession, table: Any, messages: Sequence[MessageRow]) -> list[Any]:
    """Return the rows of a table that belong to these messages, in the order of the messages."""
    rows: list[Any] = []
    for message in messages:
        rows += await session.scalars(select(table).where(table.message == message.id))
    return rows


def _as_json_rows(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Return database rows as JSON objects; columns of bytes are left out."""
    return [
        {
            column.key: value
            for column in row.__table__.columns
            if not isinstance(value := getattr(row, column.key), bytes)
        }
        for row in rows
    ]


def _token_rows(tokens: Iterable[TokensRow]) -> Iterator[dict[str, Any]]:
    """Yield the tokens of each answer with their probabilities, to four significant digits, as they are stored."""
    for row in tokens:
        pairs = [[token.text, float(f"{token.probability:.4g}")] for token in unpack(row.data)]
        yield {"message": row.message, "tokens": pairs}


def _file_rows(rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield rows with their bytes as base64; bytes too large for one file are split into numbered pieces."""
    # Base64 is a third longer, and still fits.
    length = FILE_BYTES // 2
    for row in rows:
        starts = range(0, len(row.data), length) or range(1)
        for number, start in enumerate(starts, 1):
            data = base64.b64encode(row.data[start : start + length]).decode()
            of_several = {"piece": number, "pieces": len(starts)} if len(starts) > 1 else {}
            yield _as_json_rows([row])[0] | of_several | {"base64": data}


def _make_files(about: dict[str, Any], note: str, sections: Mapping[str, Iterable[Any]]) -> list[Attachment]:
    """Return the files of an export: one row in each line, as many in each file as fit; `note` explains pieces."""
    contents: list[dict[str, list[str]]] = [{name: [] for name in sections}]
    notes: list[dict[str, str]] = [{}]
    size = 0
    for name, rows in sections.items():
        for row in (part for whole in rows for part in _split_row(whole)):
            line = _json(row)
            length = _byte_length(f"{line},\n")
            if size and size + length > FILE_BYTES:
                contents.append({})
                notes.append({})
                size = 0
            contents[-1].setdefault(name, []).append(line)
            size += length
            if "pieces" in row:
                notes[-1] = {"pieces": note}
    return [
        _make_file(number, about | {"file": number, "files": len(contents)} | file_note, content)
        for number, (file_note, content) in enumerate(zip(notes, contents, strict=True), 1)
    ]


def _split_row(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row, or pieces of its JSON if it is too large for one file."""
    line = _json(row)
    if _byte_length(line) <= FILE_BYTES:
        yield row
        return
    # A character has at most four bytes; one that is escaped again has two.
    length = FILE_BYTES // 4
    starts = range(0, len(line), length)
    for number, start in enumerate(starts, 1):
        yield {"piece": number, "pieces": len(starts), "json": line[start : start + length]}


def _make_file(number: int, about: dict[str, Any], content: Mapping[str, Sequence[str]]) -> Attachment:
    sections = [_section(name, lines) for name, lines in content.items()]
    text = ",\n".join([f'"about":{_json(about)}', *sections])
    name = "tempera-data.json" if number == 1 else f"tempera-data-{number}.json"
    return Attachment(name, f"{{\n{text}\n}}\n".encode("utf-8", "replace"), "application/json")


def _section(name: str, lines: Sequence[str]) -> str:
    text = ",\n".join(lines)
    return f'"{name}":[\n{text}\n]'


def _byte_length(text: str) -> int:
    """Return the number of bytes that a text has in a file."""
    return len(text.encode("utf-8", "replace"))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
