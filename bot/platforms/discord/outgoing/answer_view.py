"""Where an answer is shown: in an interaction's messages while its token lives, then and otherwise in a channel."""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import discord

from bot.core.i18n import Sentence, translate
from bot.platforms.discord.outgoing import render
from bot.platforms.discord.outgoing.render import RenderedMessage
from bot.platforms.discord.outgoing.targets import (
    FAILURES,
    MessageGone,
    NoFiles,
    PermissionLost,
    ThreadFull,
    TokenExpired,
)
from bot.platforms.discord.outgoing.thread import NOT_OPENED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.app import Bot
    from bot.core.messages import Reply
    from bot.platforms.discord.outgoing.targets import MessageTarget
    from bot.platforms.discord.outgoing.thread import Thread

log = logging.getLogger(__name__)

WAITING = RenderedMessage("")
"""How a response looks that was only promised: Discord shows that the bot is thinking."""

TOO_LATE = "Discord lets me write here for 15 minutes only, so your answer ends here."
TOO_LATE_AGAIN = "Discord lets me write here for 15 minutes only, so your answer ends here. “{again}” asks once more."
NO_ROOM = Sentence("Discord takes no more messages from me here, so your answer ends here.")
MANY = 100
"""Messages, where a long answer cannot be a file: more than any has."""


@dataclass(slots=True)
class SentMessage:
    """A message that was written, and how it looked last; None if nobody knows."""

    id: int
    message: RenderedMessage | None = None


class AnswerView:
    """The messages that show one answer, made to look like its newest snapshot.

    `aside` is for what turns out to be private; without it, everything may be said where the answer is. `later` goes
    on where the carrier's token ends, after `seconds`; without it the answer has to end then. `direct` reaches the
    asker when nothing else does. `shown` are messages that are there already, `quoted` says whether the question
    stands in the answer, and `note` is told in the end's small print. `thread` is where it goes on once it
    begins to be told; the question stands above it.
    """

    def __init__(
        self,
        bot: Bot,
        carrier: MessageTarget,
        *,
        direct: MessageTarget,
        locale: str,
        aside: MessageTarget | None = None,
        later: MessageTarget | None = None,
        seconds: float = math.inf,
        shown: Sequence[SentMessage] = (),
        quoted: bool = True,
        note: str = "",
        thread: Thread | None = None,
    ) -> None:
        self.row = 0
        self.final = False
        self.locale = locale
        self.token_ends = asyncio.get_running_loop().time() + seconds
        self._bot = bot
        self._carrier = carrier
        self._direct = direct
        self._aside = aside
        self._later = later
        self._shown = list(shown)
        self._quoted = quoted and thread is None
        self._note = note
        self._thread = thread
        self._most = render.LIMITS.messages
        self._takes_files = True
        self._expired = False
        self._removed = False
        self._told: tuple[int, list[str]] = (0, [])
        self._writing = asyncio.Lock()

    @property
    def ids(self) -> list[str]:
        """The messages that show the answer, in order."""
        return [str(shown.id) for shown in self._shown]

    @property
    def must_end(self) -> bool:
        """Whether the answer cannot go on when the token ends."""
        return self._later is None and self.token_ends < math.inf

    def expire(self) -> None:
        """Let the answer end with what it has, while that can still be shown."""
        self._expired = self._bot.stop(self.row)

    async def show(self, reply: Reply) -> None:
        """Make the messages look like `reply`. Raises Gone or Lost where they cannot be.

        What is not the last one is left out while the channel is busy with another answer.
        """
        if reply.deleted:
            await self.remove()
            return
        async with self._writing:
            if self._removed:
                return
            if reply.final or not self._shown:
                await self._show(reply)
            elif not (turn := self._carrier.turn).locked():
                async with turn:
                    await self._show(reply)

    async def give_up(self, sentence: Sentence) -> None:
        """End here. Nothing stays that looks as if it went on, where that can be changed, and the asker hears why."""
        async with self._writing:
            self.final = True
            with suppress(*FAILURES):
                await self._let_go()
        await self.tell(sentence)

    async def _let_go(self) -> None:
        if self._shown and self._shown[-1].message == WAITING:
            # First, since otherwise what is told next would take its place, for all to read.
            await self._carrier.delete(self._shown[-1].id)
        elif self._shown and (last := self._shown[-1]).message is not None:
            await self._carrier.edit(last.id, replace(last.message, buttons=()), files=False)

    async def tell(self, sentence: Sentence) -> None:
        """Say something to the asker alone, wherever that can still be heard."""
        said = RenderedMessage(sentence.in_language(self.locale))
        for carrier in filter(None, (self._aside, self._direct)):
            try:
                await carrier.post(said)
            except FAILURES as error:
                log.info("The asker could not be told that an answer ended: %s", error)
            else:
                return

    async def remove(self) -> None:
        """Delete all messages, and show no more; what is gone already is none to worry about."""
        async with self._writing:
            self.final = self._removed = True
            shown, self._shown = self._shown, []
            for message in shown:
                with suppress(*FAILURES):
                    await self._carrier.delete(message.id)

    async def _show(self, reply: Reply) -> None:
        self.row = reply.row or self.row
        if reply.private and self._aside is not None:
            await self._step_aside(self._aside)
        if render.is_blank(reply) and self._shown and self._shown[0].message == WAITING:
            # Discord shows by itself that something is coming.
            await self._note_ids()
            return
        has_begun = reply.text or reply.attachments or reply.final
        if has_begun and self._thread is not None and not self._thread.is_open:
            await self._move(self._thread, reply.quote)
        reply = self._in_place(reply)
        if self._later is not None and asyncio.get_running_loop().time() > self.token_ends:
            await self._go_on(self._later, reply)
        else:
            try:
                await self._fit_in(reply)
            except TokenExpired:
                if self._later is None:
                    raise PermissionLost(Sentence(TOO_LATE)) from None
                await self._go_on(self._later, reply)
        self.final = reply.final

    def _in_place(self, reply: Reply) -> Reply:
        """The reply with what only this place knows."""
        if not self._quoted:
            reply = replace(reply, quote="")
        if not reply.final:
            return reply
        status = reply.status
        if self._expired:
            can_repeat = any(button.action == "again" for button in reply.buttons)
            sentence = TOO_LATE_AGAIN if can_repeat else TOO_LATE
            status = translate(sentence, self.locale, again=translate("Again", self.locale))
        return replace(reply, status=" ".join(filter(None, (status, self._note))))

    async def _fit_in(self, reply: Reply) -> None:
        """Show the reply with what Discord takes here; some of that it tells only when it is tried."""
        while True:
            bytes_each = self._carrier.bytes_each if self._takes_files else 0
            wanted = render.messages(reply, locale=self.locale, bytes_each=bytes_each, most=self._most)
            try:
                return await self._make(wanted)
            except NoFiles as error:
                log.info("An answer goes without its files: %s", error)
                self._takes_files, self._most = False, MANY
            except ThreadFull as error:
                if not self._shown:
                    raise PermissionLost(NO_ROOM) from None
                log.info("An answer makes do with %d messages: %s", len(self._shown), error)
                self._most = len(self._shown)

    async def _make(self, wanted: Sequence[RenderedMessage]) -> None:
        for number, message in enumerate(wanted):
            if number == len(self._shown):
                self._shown.append(SentMessage(await self._carrier.post(message), message))
                continue
            shown = self._shown[number]
            if shown.message != message:
                files = shown.message is None or shown.message.files != message.files
                await self._carrier.edit(shown.id, message, files=files)
                shown.message = message
        surplus = self._shown[len(wanted) :]
        del self._shown[len(wanted) :]
        # Before they are deleted, so that this is not taken for somebody else's doing.
        await self._note_ids()
        for shown in surplus:
            with suppress(MessageGone):
                await self._carrier.delete(shown.id)

    async def _note_ids(self) -> None:
        """Let the core know which messages show the answer."""
        now = self.row, self.ids
        if self.row and now != self._told:
            await self._bot.sent(*now)
            self._told = now

    async def _go_on(self, later: MessageTarget, reply: Reply) -> None:
        """Edit the same messages without the token; where Discord refuses that, send new ones."""
        self._carrier, self._later, self._aside = later, None, self._aside and self._direct
        self.token_ends = math.inf
        try:
            await self._fit_in(reply)
        except (MessageGone, PermissionLost, discord.Forbidden, discord.NotFound):
            self._shown = []
            await self._fit_in(reply)

    async def _move(self, thread: Thread, question: str) -> None:
        """Go on in a thread under the question; where none can be opened, stay, and say so."""
        if await thread.open(question):
            self._carrier, self._later, self._shown = thread.room, None, []
            self.token_ends = math.inf
        else:
            self._note = NOT_OPENED.in_language(self.locale)
            await self._stay()

    async def _stay(self) -> None:
        """Open no thread."""
        self._thread, self._quoted = None, True
        await self._bot.messages.move_out_of_thread(self.row)

    async def _step_aside(self, aside: MessageTarget) -> None:
        """Take away what all can see, and go on where the asker alone reads it."""
        carrier, self._carrier = self._carrier, aside
        shown, self._shown = self._shown, []
        self._aside = self._later = None
        await self._note_ids()
        for message in shown:
            with suppress(*FAILURES):
                await carrier.delete(message.id)
        if self._thread is not None and self._thread.is_open:
            await self._thread.withdraw()
        elif self._thread is not None:
            await self._stay()
