"""Where an answer goes that not everybody can be shown: to the asker alone, or through a response_url."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.core.i18n import Sentence, translate
from bot.core.messages import Attachment
from bot.platforms.slack.api.api import SlackError, TokenInvalid
from bot.platforms.slack.api.message_format import SlackMessage, note, rendered, small_print

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.core.messages import Reply
    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.api.message_format import Rendered
    from bot.platforms.slack.convert.requests import AnswerPlace

log = logging.getLogger(__name__)

MOST_RESPONSES = 4
"""A response_url can be used five times, once of them to say that it takes a while."""
WHOLE_FILE = "answer.md"


class EphemeralView:
    """Shows an answer to the asker alone, whole, once it is there. Its files go to their direct messages."""

    def __init__(self, web: SlackApi, where: AnswerPlace) -> None:
        self.row = 0
        self.final = False
        self.where = where
        self._web = web
        self._done = _Done()

    def allowance(self) -> float:
        """Seconds until a snapshot that is not the last can be shown; it does not matter here."""
        return 0.0

    async def show(self, reply: Reply) -> None:
        """Show the last snapshot. Raises SlackError if nobody could hear it."""
        self.row = reply.row or self.row
        if not reply.final:
            return
        if not reply.deleted:
            messages, files = _in_order(rendered(reply, locale=self.where.locale))
            if files:
                messages[-1] = _with_note(messages[-1], await self._done.send(self._web, self.where, files))
            for message in self._done.left(messages):
                await self._say(message)
                self._done.messages += 1
        self.final = True

    async def tell(self, sentence: Sentence) -> None:
        """Say something to the asker; what keeps it from being heard is logged."""
        try:
            await self._say(note(sentence.in_language(self.where.locale)))
        except SlackError as error:
            log.info("The asker could not be told something: %s", error)

    async def remove(self) -> None:
        """What only one sees goes by itself."""

    async def _say(self, message: SlackMessage) -> None:
        where = self.where
        try:
            await self._web.whisper(where.channel, where.user, message, where.aside)
        except TokenInvalid:
            raise
        except SlackError:
            if where.response_url:
                await self._web.respond(where.response_url, message, thread=where.aside)
            else:
                await self._web.post(await self._web.direct(where.user), message)


class ResponseUrlView:
    """Shows an answer to all where the bot is not in the channel: whole, at the end, and without files."""

    def __init__(self, web: SlackApi, where: AnswerPlace, *, aside: EphemeralView, name: str) -> None:
        self.row = 0
        self.final = False
        self.where = where
        self._web = web
        self._aside = aside
        self._name = name
        self._said = False
        self._done = _Done()

    def allowance(self) -> float:
        """Seconds until a snapshot that is not the last can be shown; only the first of them is."""
        return 0.0

    async def show(self, reply: Reply) -> None:
        """Show the last snapshot, and before it once that it takes a while. Raises SlackError."""
        self.row = reply.row or self.row
        if reply.deleted:
            return
        if reply.private:
            await self._aside.show(reply)
        elif reply.final:
            await self._finish(reply)
        elif not self._said:
            self._said = True
            await self._web.respond(self.where.response_url, note(translate("Working on it …", self.where.locale)))
        self.final = reply.final

    async def tell(self, sentence: Sentence) -> None:
        """Say something to the asker; what keeps it from being heard is logged."""
        await self._aside.tell(sentence)

    async def remove(self) -> None:
        """The bot cannot take away what it said through a response_url."""

    async def _finish(self, reply: Reply) -> None:
        messages, files = _in_order(rendered(reply, locale=self.where.locale))
        if len(messages) > MOST_RESPONSES:
            messages[MOST_RESPONSES - 1 :] = [SlackMessage(below=messages[-1].below)]
            files = (*files, Attachment(WHOLE_FILE, reply.text.encode("utf-8", "replace"), "text/markdown"))
        invitation = "I am not in this channel, so I answer here in one piece. /invite @{name} brings me in."
        small = translate(invitation, self.where.locale, name=self._name)
        if files:
            small = f"{await self._done.send(self._web, self.where, files)} {small}"
        for message in self._done.left([*messages[:-1], _with_note(messages[-1], small)]):
            await self._web.respond(self.where.response_url, message, public=True)
            self._done.messages += 1


def _in_order(shown: Rendered) -> tuple[list[SlackMessage], tuple[Attachment, ...]]:
    """All messages, one at least, and the files that go elsewhere."""
    return [*shown.messages, *([shown.tail] if shown.tail else [])] or [SlackMessage()], shown.files


class _Done:
    """What of an answer was shown already, and is not to be shown twice where the rest has to be tried again."""

    def __init__(self) -> None:
        self.messages = 0
        self._sent = ""

    def left(self, messages: Sequence[SlackMessage]) -> Sequence[SlackMessage]:
        """Those that were not shown yet."""
        return messages[self.messages :]

    async def send(self, web: SlackApi, where: AnswerPlace, files: Sequence[Attachment]) -> str:
        """Send files to the asker's direct messages, once; a sentence about that for where they asked."""
        self._sent = self._sent or await _send_directly(web, where, files)
        return self._sent


async def _send_directly(web: SlackApi, where: AnswerPlace, files: Sequence[Attachment]) -> str:
    """Send files to the asker's direct messages; a sentence about that for where they asked."""
    try:
        channel = await web.direct(where.user)
        [first, *_] = await web.share(channel, files)
        # Or it would be said where they are before they are there.
        await web.shared(channel, first)
    except TokenInvalid:
        raise
    except SlackError as error:
        log.warning("A file could not be sent directly: %s", error)
        return translate("The file could not be sent to your direct messages.", where.locale)
    if any(not file.media_type.startswith("image/") for file in files):
        return translate("The whole answer is in your direct messages.", where.locale)
    return translate("The pictures are in your direct messages.", where.locale)


def _with_note(message: SlackMessage, text: str) -> SlackMessage:
    return replace(message, below=(*small_print([text]), *message.below), fallback=message.fallback or text)
