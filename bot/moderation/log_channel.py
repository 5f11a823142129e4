"""The log channel: new audit entries are posted in the channel that the moderators of a server chose for them.

The platform's adapter posts them. An entry that cannot be posted is still in the audit. A channel that cannot be
written to disturbs nothing else, and moderators are told once.
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

ROUND_SECONDS = 2.0
"""How often new entries are posted: those of one round are one message, so that they do not flood a channel."""
POST_SECONDS = 20.0
MAX_ROWS = 200
MAX_MESSAGE_CHARACTERS = 1800
"""The length of a message that every platform accepts; lines that do not fit are only counted."""
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
        settings.guards[LOG_CHANNEL] = self.check_channel

    @asynccontextmanager
    async def post_entries(self, platform: str) -> AsyncIterator[None]:
        """Post the new entries of a platform, whose adapter is registered, for as long as the context lasts."""
        async with repeated(partial(self._post_new_entries, platform), ROUND_SECONDS, at_once=True):
            yield

    async def check_channel(self, scope: Scope, channel: str | None) -> None:
        """Post in a channel what it will be used for, before it is set. Raises OptionError if that fails."""
        adapter = self._adapters.get(scope.platform)
        if adapter is None or not channel:
            return
        hello = translate(
            "From now on I tell here what moderators change and do, what is refused, and who appeals against it.",
            await self._locale(adapter, scope.platform, scope.server),
        )
        try:
            await self._post(adapter, scope.server, channel, hello)
        except CannotPost as error:
            sentence = "{name}: I cannot write to {channel}: {reason}"
            raise OptionError(LOG_CHANNEL, sentence, name=LOG_CHANNEL, channel=channel, reason=error.reason) from error

    async def take_warning(self, place: Place) -> Sentence | None:
        """Return, once, the warning that the log channel cannot be written to; None if there is none."""
        key, channel = _server_key(place.platform, place.server), self._channel_of(place.platform, place.server)
        known = await self._store.get(key, scope=TROUBLE)
        if not known or known["told"] or known["channel"] != channel:
            return None
        await self._store.set(key, known | {"told": True}, scope=TROUBLE)
        return Sentence(
            "I could not write to the log channel {channel}: {reason} Moderators can change that: {setting}",
            {"channel": channel, "reason": Sentence(known["reason"], known["values"]), "setting": f"`{LOG_CHANNEL}`"},
        )

    def _channel_of(self, platform: str, server: str) -> str:
        """Return the log channel of a server; "" for none."""
        return str(self._settings.value(LOG_CHANNEL, Place(platform, "", server))) if server else ""

    async def _locale(self, adapter: PlatformAdapter, platform: str, server: str) -> str:
        return self._settings.language(Place(platform, "", server), await adapter.locale(server))

    async def _post_new_entries(self, platform: str) -> None:
        """Post the new entries of each server in its log channel. One of several processes does so."""
        if (adapter := self._adapters.get(platform)) is None:
            return
        before = await self._store.get(platform, scope=POSTED)
        if before is None:
            await self._store.set(platform, await self._audit.newest_id(), scope=POSTED)
            return
        if not (rows := await self._audit.find_after(platform, before, MAX_ROWS)):
            return
        # The change that names a log channel is one of its first lines, whichever process made it.
        await self._settings.refresh()
        try:
            await self._store.change(platform, partial(_advance, before, rows[-1].id), scope=POSTED)
        except _PostedElsewhere:
            return
        channels: dict[tuple[str, str], list[AuditRow]] = {}
        for row in rows:
            if channel := self._channel_of(platform, row.server):
                channels.setdefault((row.server, channel), []).append(row)
        await asyncio.gather(
            *(self._post_rows(adapter, platform, *where, entries) for where, entries in channels.items())
        )

    async def _post_rows(
        self, adapter: PlatformAdapter, platform: str, server: str, channel: str, rows: Sequence[AuditRow]
    ) -> None:
        key = _server_key(platform, server)
        known = await self._store.get(key, scope=TROUBLE)
        try:
            text = _format_entries(rows, await self._locale(adapter, platform, server), adapter.capabilities)
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
        """Post a text within the time limit; every failure of the adapter or its library becomes CannotPost."""
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
    """Another process has posted these entries."""


def _advance(before: int, last: int, now: Any) -> int:
    if now != before:
        raise _PostedElsewhere
    return last


def _server_key(platform: str, server: str) -> str:
    return f"{platform}:{server}"


def _format_entries(rows: Sequence[AuditRow], locale: str, capabilities: Capabilities) -> str:
    """Return a line for each entry as far as there is room, and how many more there are."""
    lines, size = list[str](), 0
    for row in rows:
        entry = line(row, locale, capabilities)
        if size + len(entry) > MAX_MESSAGE_CHARACTERS - 100:
            one = "… and 1 more; /audit lists it."
            more = translate(one, locale, "… and {count} more; /audit lists them.", count=len(rows) - len(lines))
            return "\n".join([*lines, more])
        lines.append(entry)
        size += len(entry) + 1
    return "\n".join(lines)
