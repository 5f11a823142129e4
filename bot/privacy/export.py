"""What is stored about one person: all of it as files, or all of it deleted."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select

from bot.access.timeouts import TimeOutRow
from bot.core.i18n import Sentence
from bot.core.messages import Attachment, Person, StoredQuestion
from bot.privacy.erasure import Erasure, rows
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
"""Of one file of an export, so that every platform takes it."""
IN_PIECES = Sentence(
    "What is too large for one file comes in pieces. Put them together in their order: the text of each “json”, or the "
    "bytes that each “base64” stands for."
)


class PrivacyService:
    """For everybody, each for themselves."""

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

    async def export(self, caller: Caller, asking: int = 0) -> Sequence[Attachment]:
        """Return all that is stored about the caller on their platform, as JSON; `asking` is the row of the question.

        It is in as many files as it takes for each to be one that every platform takes.
        """
        user, person = caller.user, await self._person(caller.user, caller.place)
        async with self._database.reading() as session:
            messages = await self._messages(session, person, asking)
            files = await _of(session, AttachmentRow, messages)
            tokens = await _of(session, TokensRow, messages)
            mine = [person.id, f"{person.platform}:{person.id}"]
            sections = {
                "messages": rows(messages),
                "deliveries": rows(await _of(session, DeliveryRow, messages)),
                "votes": rows(await self._votes(session, person)),
                "audit": rows(await self._audit(session, user, person)),
                "settings": rows(await self._settings_of(session, user, person)),
                "timeouts": rows(await self._timeouts_of(session, user, person)),
                "plugin_data": rows(
                    list(
                        await session.scalars(
                            select(PluginRow).where(or_(PluginRow.key.in_(mine), PluginRow.scope.in_(mine)))
                        )
                    )
                ),
            }
            blobs = list(
                await session.scalars(select(BlobRow).where(or_(BlobRow.key.in_(mine), BlobRow.scope.in_(mine))))
            )
        sections["plugins"] = [
            {"plugin": plugin.name, "stored": told}
            for plugin in self._registry.plugins
            if (told := await plugin.stored(person)) is not None
        ]
        about = {"platform": person.platform, "id": person.id, "name": person.name, "exported": now()}
        note = IN_PIECES.in_language(user.locale)
        return await asyncio.to_thread(
            lambda: _written(about, note, {**sections, "tokens": _told(tokens), "files": _pieces([*files, *blobs])})
        )

    async def delete(self, caller: Caller, asking: int = 0) -> None:
        """Delete all that is stored about the caller on their platform, but a time-out that is in force.

        What others answer for, as the audit's entries, has a pseudonym in their place from now on. `asking` is the
        question that asks so, which is forgotten once it is answered.
        """
        user, person = caller.user, await self._person(caller.user, caller.place)
        for plugin in self._registry.plugins:
            await plugin.forget(person)
        moderators = {command.name for command in self._registry.all if command.moderator}
        people = {setting.name for setting in self._settings.declared if setting.ids == "users"}
        hashed = self._timeouts.person(person.platform, person.id)
        forgetting = Erasure(user, person, hashed, of_moderators=moderators, of_people=people, spared=asking)
        gone = await forgetting.run(self._database)
        await self._defaults.refresh()
        await self._settings.refresh()
        await self._timeouts.refresh()
        await self._moderation.heed()
        if (adapter := self._adapters.get(person.platform)) is not None:
            await adapter.forget_user(person.id, gone)

    async def _person(self, user: User, place: Place) -> Person:
        mine = (MessageRow.platform == place.platform) & (MessageRow.author == user.id)
        async with self._database.reading() as session:
            questions = await session.scalars(select(MessageRow).where(mine, MessageRow.role == "user"))
            refused = (AuditRow.platform == place.platform) & (AuditRow.actor == user.id) & (AuditRow.kind == REFUSAL)
            refusals = await session.scalars(select(AuditRow).where(refused))
            asked = [
                StoredQuestion(row.server, row.command, text)
                for row in questions
                for text in {row.text, *(one for one in row.options.values() if isinstance(one, str))}
                if text
            ]
            asked += [
                StoredQuestion(row.server, row.what, row.before) for row in refusals if isinstance(row.before, str)
            ]
        return Person(place.platform, user.id, user.name, tuple(asked))

    async def _messages(self, session: AsyncSession, person: Person, asking: int) -> list[MessageRow]:
        mine = (MessageRow.platform == person.platform) & (MessageRow.author == person.id)
        others = (MessageRow.id != asking) & or_(MessageRow.parent.is_(None), MessageRow.parent != asking)
        return list(await session.scalars(select(MessageRow).where(mine, others).order_by(MessageRow.id)))

    async def _votes(self, session: AsyncSession, person: Person) -> list[VoteRow]:
        there = select(MessageRow.id).where(MessageRow.platform == person.platform)
        return list(await session.scalars(select(VoteRow).where(VoteRow.user == person.id, VoteRow.message.in_(there))))

    async def _audit(self, session: AsyncSession, user: User, person: Person) -> list[AuditRow]:
        about = or_(AuditRow.actor == person.id, AuditRow.subject == person.id)
        found = select(AuditRow).where(about).order_by(AuditRow.id)
        return list(await session.scalars(found if user.is_operator else found.where(_on(AuditRow, person))))

    async def _settings_of(self, session: AsyncSession, user: User, person: Person) -> list[SettingRow]:
        found = select(SettingRow).where(SettingRow.actor == person.id)
        return list(await session.scalars(found if user.is_operator else found.where(_on(SettingRow, person))))

    async def _timeouts_of(self, session: AsyncSession, user: User, person: Person) -> list[TimeOutRow]:
        hashed = self._timeouts.person(person.platform, person.id)
        given = TimeOutRow.actor == person.id
        mine = or_(TimeOutRow.person == hashed, given if user.is_operator else given & _on(TimeOutRow, person))
        return list(await session.scalars(select(TimeOutRow).where(mine)))


def _on(table: Any, person: Person) -> Any:
    return table.platform == person.platform


async def _of(session: AsyncSession, table: Any, messages: Sequence[MessageRow]) -> list[Any]:
    """What hangs on messages, in their order."""
    found: list[Any] = []
    for row in messages:
        found += await session.scalars(select(table).where(table.message == row.id))
    return found


def _told(tokens: Iterable[TokensRow]) -> Iterator[dict[str, Any]]:
    """The tokens of each answer with their probabilities, in as many digits as are kept of them."""
    for row in tokens:
        told = [[one.text, float(f"{one.probability:.4g}")] for one in unpack(row.data)]
        yield {"message": row.message, "tokens": told}


def _pieces(found: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Rows that hold bytes, these as base64; what is too large for a file comes in several that say so."""
    # As base64 it is a third longer, and fits.
    length = FILE_BYTES // 2
    for row in found:
        starts = range(0, len(row.data), length) or range(1)
        for number, start in enumerate(starts, 1):
            data = base64.b64encode(row.data[start : start + length]).decode()
            of_several = {"piece": number, "pieces": len(starts)} if len(starts) > 1 else {}
            yield rows([row])[0] | of_several | {"base64": data}


def _written(about: dict[str, Any], note: str, sections: Mapping[str, Iterable[Any]]) -> list[Attachment]:
    """The files of an export: a row a line, as many in each file as fit into it; `note` tells of pieces."""
    contents: list[dict[str, list[str]]] = [{name: [] for name in sections}]
    notes: list[dict[str, str]] = [{}]
    size = 0
    for name, found in sections.items():
        for row in (fitting for one in found for fitting in _fitting(one)):
            line = _json(row)
            length = _bytes(f"{line},\n")
            if size and size + length > FILE_BYTES:
                contents.append({})
                notes.append({})
                size = 0
            contents[-1].setdefault(name, []).append(line)
            size += length
            if "pieces" in row:
                notes[-1] = {"pieces": note}
    return [
        _file(number, about | {"file": number, "files": len(contents)} | told, content)
        for number, (told, content) in enumerate(zip(notes, contents, strict=True), 1)
    ]


def _fitting(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row, or pieces of its JSON where it is too large for a file."""
    line = _json(row)
    if _bytes(line) <= FILE_BYTES:
        yield row
        return
    # A letter has four bytes at most, and those that are escaped once more, two.
    length = FILE_BYTES // 4
    starts = range(0, len(line), length)
    for number, start in enumerate(starts, 1):
        yield {"piece": number, "pieces": len(starts), "json": line[start : start + length]}


def _file(number: int, about: dict[str, Any], content: Mapping[str, Sequence[str]]) -> Attachment:
    sections = [_section(name, lines) for name, lines in content.items()]
    text = ",\n".join([f'"about":{_json(about)}', *sections])
    name = "tempera-data.json" if number == 1 else f"tempera-data-{number}.json"
    return Attachment(name, f"{{\n{text}\n}}\n".encode("utf-8", "replace"), "application/json")


def _section(name: str, lines: Sequence[str]) -> str:
    text = ",\n".join(lines)
    return f'"{name}":[\n{text}\n]'


def _bytes(text: str) -> int:
    """How many it is in a file."""
    return len(text.encode("utf-8", "replace"))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
