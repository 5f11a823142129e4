"""The log channel: what is noted in the audit is told in the channel that the moderators of a server chose for it.

The platform's adapter posts it. What nobody could write is still in the audit; that a channel cannot be written to
keeps nothing else from being done, and moderators are told once.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.core.background import repeated
from bot.core.errors import BotError, CannotPost, OptionError
from bot.core.i18n import Sentence, translate
from bot.core.messages import Place
from bot.moderation.audit_view import line
from bot.settings.builtin import LOG_CHANNEL
from bot.storage.key_value import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bot.core.adapters import Adapters, Capabilities, PlatformAdapter
    from bot.settings.resolver import Settings
    from bot.settings.setting import Scope
    from bot.storage.audit import Audit, AuditRow
    from bot.storage.database import Database

log = logging.getLogger(__name__)

SECONDS = 2.0
"""How often it is looked for something new: what comes meanwhile is one message, so that nothing floods a channel."""
POST_SECONDS = 20.0
AT_ONCE = 200
MAX_CHARACTERS = 1800
"""Of a message, so that every platform takes it; the lines that do not fit are counted."""
POSTED, TROUBLE = "posted", "trouble"
TOO_SLOW = Sentence("it takes too long.")
BROKEN = Sentence("something went wrong; the log of the bot says more.")


class LogChannel:
    """The log channels of all servers."""

    def __init__(self, database: Database, settings: Settings, audit: Audit, adapters: Adapters) -> None:
        self._settings = settings
        self._audit = audit
        self._adapters = adapters
        self._store = Store(database, "log channel")
        settings.guards[LOG_CHANNEL] = self.try_out

    @asynccontextmanager
    async def following(self, platform: str) -> AsyncIterator[None]:
        """Post what happens on a platform, whose adapter is registered, for as long as the context lasts."""
        async with repeated(partial(self._round, platform), SECONDS, at_once=True):
            yield

    async def try_out(self, scope: Scope, channel: str | None) -> None:
        """Post in a channel what it will be used for, before it is set. Raises OptionError if that cannot be done."""
        adapter = self._adapters.get(scope.platform)
        if adapter is None or not channel:
            return
        hello = translate(
            "From now on I tell here what moderators change and do, what is refused, and who appeals against it.",
            self._locale(adapter, scope.platform, scope.server),
        )
        try:
            await self._post(adapter, scope.server, channel, hello)
        except CannotPost as error:
            sentence = "{name}: I cannot write to {channel}: {reason}"
            raise OptionError(LOG_CHANNEL, sentence, name=LOG_CHANNEL, channel=channel, reason=error.reason) from error

    async def untold(self, place: Place) -> Sentence | None:
        """What the moderators of a server have to be told of their log channel. Asking counts as telling."""
        key, channel = _key(place.platform, place.server), self._channel(place.platform, place.server)
        known = await self._store.get(key, scope=TROUBLE)
        if not known or known["told"] or known["channel"] != channel:
            return None
        await self._store.set(key, known | {"told": True}, scope=TROUBLE)
        return Sentence(
            "I could not write to the log channel {channel}: {reason} Moderators can change that: {setting}",
            {"channel": channel, "reason": Sentence(known["reason"], known["values"]), "setting": f"`{LOG_CHANNEL}`"},
        )

    def _channel(self, platform: str, server: str) -> str:
        """The log channel of a server; "" for none."""
        return str(self._settings.value(LOG_CHANNEL, Place(platform, "", server))) if server else ""

    def _locale(self, adapter: PlatformAdapter, platform: str, server: str) -> str:
        chosen = str(self._settings.value("answers.language", Place(platform, "", server)))
        return adapter.locale(server) if chosen == "each" else chosen

    async def _round(self, platform: str) -> None:
        """Post what is new, for each server in its channel. Of several processes one does so."""
        if (adapter := self._adapters.get(platform)) is None:
            return
        before = await self._store.get(platform, scope=POSTED)
        if before is None:
            await self._store.set(platform, await self._audit.newest_id(), scope=POSTED)
            return
        if not (rows := await self._audit.find_after(platform, before, AT_ONCE)):
            return
        try:
            await self._store.change(platform, partial(_advance, before, rows[-1].id), scope=POSTED)
        except _PostedElsewhere:
            return
        channels: dict[tuple[str, str], list[AuditRow]] = {}
        for row in rows:
            if channel := self._channel(platform, row.server):
                channels.setdefault((row.server, channel), []).append(row)
        await asyncio.gather(*(self._post_rows(adapter, platform, *where, told) for where, told in channels.items()))

    async def _post_rows(
        self, adapter: PlatformAdapter, platform: str, server: str, channel: str, rows: Sequence[AuditRow]
    ) -> None:
        key = _key(platform, server)
        known = await self._store.get(key, scope=TROUBLE)
        try:
            text = _text(rows, self._locale(adapter, platform, server), adapter.capabilities)
            await self._post(adapter, server, channel, text)
        except CannotPost as error:
            log.info("The log channel %s of %s cannot be written to: %s", channel, key, error)
            if not known or known["channel"] != channel:
                reason = {"reason": error.reason.text, "values": dict(error.reason.values)}
                await self._store.set(key, {"channel": channel, "told": False, **reason}, scope=TROUBLE)
        else:
            if known:
                await self._store.delete(key, scope=TROUBLE)

    async def _post(self, adapter: PlatformAdapter, server: str, channel: str, text: str) -> None:
        """Post it in time, or raise CannotPost, whatever an adapter or its library runs into."""
        try:
            async with asyncio.timeout(POST_SECONDS):
                await adapter.post(server, channel, text)
        except CannotPost:
            raise
        except TimeoutError as error:
            raise CannotPost(TOO_SLOW) from error
        except Exception as error:
            log.exception("The log channel %s could not be written to", channel)
            raise CannotPost(BROKEN) from error


class _PostedElsewhere(BotError):
    """Another process posts it."""


def _advance(before: int, last: int, now: Any) -> int:
    if now != before:
        raise _PostedElsewhere
    return last


def _key(platform: str, server: str) -> str:
    return f"{platform}:{server}"


def _text(rows: Sequence[AuditRow], locale: str, capabilities: Capabilities) -> str:
    """A line for each entry, as far as there is room, and how many more there are."""
    lines, size = list[str](), 0
    for row in rows:
        told = line(row, locale, capabilities)
        if size + len(told) > MAX_CHARACTERS - 100:
            more = translate("… and {count} more; /audit lists them.", locale, count=len(rows) - len(lines))
            return "\n".join([*lines, more])
        lines.append(told)
        size += len(told) + 1
    return "\n".join(lines)
