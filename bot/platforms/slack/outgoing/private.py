"""Where an answer goes that not everybody can be shown: to the asker alone, or through a response_url."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.core.i18n import Sentence, translate
from bot.core.messages import Attachment
from bot.platforms.slack.api.errors import SlackError, TokenInvalid
from bot.platforms.slack.api.message_format import SlackMessage, note_message, render, small_print

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.core.messages import Reply
    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.api.message_format import RenderedReply
    from bot.platforms.slack.convert.requests import AnswerPlace

log = logging.getLogger(__name__)

MAX_RESPONSES = 4
"""A response_url can be used five times, once of them to say that it takes a while."""
ANSWER_FILENAME = "answer.md"


class EphemeralView:
    """Shows an answer to the asker alone, whole, once it is there. Its files go to their direct messages."""

    def __init__(self, api: SlackApi, place: AnswerPlace) -> None:
        self.row = 0
        self.final = False
        self.place = place
        self._api = api
        self._progress = _Progress()

    def snapshot_delay(self) -> float:
        """Seconds until a snapshot that is not the last can be shown; it does not matter here."""
        return 0.0

    async def show(self, reply: Reply) -> None:
        """Show the last snapshot. Raises SlackError if nobody could hear it."""
        self.row = reply.row or self.row
        if not reply.final:
            return
        if not reply.deleted:
            messages, files = _split_rendered(render(reply, locale=self.place.locale))
            if files:
                messages[-1] = _with_note(messages[-1], await self._progress.send_files(self._api, self.place, files))
            for message in self._progress.remaining(messages):
                await self._post(message)
                self._progress.messages += 1
        self.final = True

    async def tell(self, sentence: Sentence) -> None:
        """Say something to the asker; what keeps it from being heard is logged."""
        try:
            await self._post(note_message(sentence.in_language(self.place.locale)))
        except SlackError as error:
            log.info("The asker could not be told something: %s", error)

    async def remove(self) -> None:
        """What only one sees goes by itself."""

    async def _post(self, message: SlackMessage) -> None:
        place = self.place
        try:
            await self._api.post_ephemeral(place.channel, place.user, message, place.ephemeral_thread)
        except TokenInvalid:
            raise
        except SlackError:
            if place.response_url:
                await self._api.respond(place.response_url, message, thread=place.ephemeral_thread)
            else:
                await self._api.post(await self._api.open_direct_messages(place.user), message)


class ResponseUrlView:
    """Shows an answer to all where the bot is not in the channel: whole, at the end, and without files."""

    def __init__(self, api: SlackApi, place: AnswerPlace, *, ephemeral: EphemeralView, name: str) -> None:
        self.row = 0
        self.final = False
        self.place = place
        self._api = api
        self._ephemeral = ephemeral
        self._name = name
        self._has_announced = False
        self._progress = _Progress()

    def snapshot_delay(self) -> float:
        """Seconds until a snapshot that is not the last can be shown; only the first of them is."""
        return 0.0

    async def show(self, reply: Reply) -> None:
        """Show the last snapshot, and before it once that it takes a while. Raises SlackError."""
        self.row = reply.row or self.row
        if reply.deleted:
            return
        if reply.private:
            await self._ephemeral.show(reply)
        elif reply.final:
            await self._finish(reply)
        elif not self._has_announced:
            self._has_announced = True
            await self._api.respond(
                self.place.response_url, note_message(translate("Working on it …", self.place.locale))
            )
        self.final = reply.final

    async def tell(self, sentence: Sentence) -> None:
        """Say something to the asker; what keeps it from being heard is logged."""
        await self._ephemeral.tell(sentence)

    async def remove(self) -> None:
        """The bot cannot take away what it said through a response_url."""

    async def _finish(self, reply: Reply) -> None:
        messages, files = _split_rendered(render(reply, locale=self.place.locale))
        if len(messages) > MAX_RESPONSES:
            messages[MAX_RESPONSES - 1 :] = [SlackMessage(blocks=messages[-1].blocks)]
            files = (*files, Attachment(ANSWER_FILENAME, reply.text.encode("utf-8", "replace"), "text/markdown"))
        invitation = "I am not in this channel, so I answer here in one piece. /invite @{name} brings me in."
        small = translate(invitation, self.place.locale, name=self._name)
        if files:
            small = f"{await self._progress.send_files(self._api, self.place, files)} {small}"
        for message in self._progress.remaining([*messages[:-1], _with_note(messages[-1], small)]):
            await self._api.respond(self.place.response_url, message, public=True)
            self._progress.messages += 1


def _split_rendered(shown: RenderedReply) -> tuple[list[SlackMessage], tuple[Attachment, ...]]:
    """All messages, one at least, and the files that go elsewhere."""
    return [*shown.messages, *([shown.tail] if shown.tail else [])] or [SlackMessage()], shown.files


class _Progress:
    """What of an answer was shown already, and is not to be shown twice where the rest has to be tried again."""

    def __init__(self) -> None:
        self.messages = 0
        self._files_note = ""

    def remaining(self, messages: Sequence[SlackMessage]) -> Sequence[SlackMessage]:
        """Those that were not shown yet."""
        return messages[self.messages :]

    async def send_files(self, api: SlackApi, place: AnswerPlace, files: Sequence[Attachment]) -> str:
        """Send files to the asker's direct messages, once; a sentence about that for where they asked."""
        self._files_note = self._files_note or await _send_by_direct_message(api, place, files)
        return self._files_note


async def _send_by_direct_message(api: SlackApi, place: AnswerPlace, files: Sequence[Attachment]) -> str:
    """Send files to the asker's direct messages; a sentence about that for where they asked."""
    try:
        channel = await api.open_direct_messages(place.user)
        [first, *_] = await api.share_files(channel, files)
        # Or it would be said where they are before they are there.
        await api.find_share(channel, first)
    except TokenInvalid:
        raise
    except SlackError as error:
        log.warning("A file could not be sent directly: %s", error)
        return translate("The file could not be sent to your direct messages.", place.locale)
    if any(not file.media_type.startswith("image/") for file in files):
        return translate("The whole answer is in your direct messages.", place.locale)
    return translate("The pictures are in your direct messages.", place.locale)


def _with_note(message: SlackMessage, text: str) -> SlackMessage:
    return replace(message, blocks=(*small_print([text]), *message.blocks), fallback=message.fallback or text)
