"""The log channel: what is noted in the audit is told in the channel that the moderators of a server chose for it.

A platform's adapter lends its voice. What nobody could write is still in the audit; that a channel cannot be written to
keeps nothing else from being done, and moderators are told once.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from bot.core.background import repeated
from bot.core.errors import BotError, OptionError
from bot.core.i18n import Sentence, translate
from bot.core.messages import Place
from bot.moderation.audit_view import line
from bot.settings.builtin import LOG_CHANNEL
from bot.storage.key_value import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bot.settings.resolver import Settings
    from bot.settings.setting import Scope
    from bot.storage.audit import Audit, AuditRow
    from bot.storage.database import Database

log = logging.getLogger(__name__)

SECONDS = 2.0
"""How often it is looked for something new: what comes meanwhile is one message, so that nothing floods a channel."""
POST_SECONDS = 20.0
AT_ONCE = 200
MOST_CHARACTERS = 1800
"""Of a message; what is more is counted. Discord takes 2000."""
POSTED, TROUBLE = "posted", "trouble"
TOO_SLOW = Sentence("it takes too long.")
BROKEN = Sentence("something went wrong; the log of the bot says more.")


class CannotPost(BotError):
    """A channel cannot be written to; `reason` is the end of a sentence that says why."""

    def __init__(self, reason: Sentence) -> None:
        self.reason = reason
        super().__init__(reason.in_language("en"))


class Voice(Protocol):
    """How a platform says something in a channel without being asked."""

    def locale(self, server: str) -> str:
        """The language of a server."""

    async def say(self, server: str, channel: str, text: str) -> None:
        """Post Markdown of at most MOST_CHARACTERS that pings nobody. Raises CannotPost."""


class LogChannel:
    """The log channels of all servers."""

    def __init__(self, database: Database, settings: Settings, audit: Audit) -> None:
        self._settings = settings
        self._audit = audit
        self._store = Store(database, "log channel")
        self._voices: dict[str, Voice] = {}
        settings.guards[LOG_CHANNEL] = self.try_out

    @asynccontextmanager
    async def spoken(self, platform: str, voice: Voice) -> AsyncIterator[None]:
        """Tell what happens on a platform for as long as the context lasts."""
        self._voices[platform] = voice
        try:
            async with repeated(partial(self._round, platform), SECONDS, at_once=True):
                yield
        finally:
            del self._voices[platform]

    async def try_out(self, scope: Scope, channel: str | None) -> None:
        """Say in a channel what will be told there, before it is set. Raises OptionError if that cannot be done."""
        voice = self._voices.get(scope.platform)
        if voice is None or not channel:
            return
        hello = translate(
            "From now on I tell here what moderators change and do, what is refused, and who appeals against it.",
            self._locale(scope.platform, scope.server),
        )
        try:
            await self._say(voice, scope.server, channel, hello)
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

    def _locale(self, platform: str, server: str) -> str:
        chosen = str(self._settings.value("answers.language", Place(platform, "", server)))
        return self._voices[platform].locale(server) if chosen == "each" else chosen

    async def _round(self, platform: str) -> None:
        """Tell what is new, each server in its channel. Of several processes one tells it."""
        before = await self._store.get(platform, scope=POSTED)
        if before is None:
            await self._store.set(platform, await self._audit.newest(), scope=POSTED)
            return
        if not (rows := await self._audit.after(platform, before, AT_ONCE)):
            return
        try:
            await self._store.change(platform, partial(_taken, before, rows[-1].id), scope=POSTED)
        except _Taken:
            return
        channels: dict[tuple[str, str], list[AuditRow]] = {}
        for row in rows:
            if channel := self._channel(platform, row.server):
                channels.setdefault((row.server, channel), []).append(row)
        await asyncio.gather(*(self._tell(platform, *where, told) for where, told in channels.items()))

    async def _tell(self, platform: str, server: str, channel: str, rows: Sequence[AuditRow]) -> None:
        key = _key(platform, server)
        known = await self._store.get(key, scope=TROUBLE)
        try:
            await self._say(self._voices[platform], server, channel, _text(rows, self._locale(platform, server)))
        except CannotPost as error:
            log.info("The log channel %s of %s cannot be written to: %s", channel, key, error)
            if not known or known["channel"] != channel:
                reason = {"reason": error.reason.text, "values": dict(error.reason.values)}
                await self._store.set(key, {"channel": channel, "told": False, **reason}, scope=TROUBLE)
        else:
            if known:
                await self._store.delete(key, scope=TROUBLE)

    async def _say(self, voice: Voice, server: str, channel: str, text: str) -> None:
        """Say it in time, or raise CannotPost, whatever an adapter or its library runs into."""
        try:
            async with asyncio.timeout(POST_SECONDS):
                await voice.say(server, channel, text)
        except CannotPost:
            raise
        except TimeoutError as error:
            raise CannotPost(TOO_SLOW) from error
        except Exception as error:
            log.exception("Nothing could be said in the log channel %s", channel)
            raise CannotPost(BROKEN) from error


class _Taken(BotError):
    """Another process tells it."""


def _taken(before: int, last: int, now: Any) -> int:
    if now != before:
        raise _Taken
    return last


def _key(platform: str, server: str) -> str:
    return f"{platform}:{server}"


def _text(rows: Sequence[AuditRow], locale: str) -> str:
    """A line for each entry, as far as there is room, and how many more there are."""
    lines, size = list[str](), 0
    for row in rows:
        told = line(row, locale)
        if size + len(told) > MOST_CHARACTERS - 100:
            more = translate("… and {count} more; /audit lists them.", locale, count=len(rows) - len(lines))
            return "\n".join([*lines, more])
        lines.append(told)
        size += len(told) + 1
    return "\n".join(lines)
