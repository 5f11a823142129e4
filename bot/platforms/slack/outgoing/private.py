"""Shows answers outside a thread of the bot: to the asker only, or through a response_url."""

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
"""Messages of an answer: a response_url can be used five times, and one use says that the answer takes a while."""
ANSWER_FILENAME = "answer.md"


class EphemeralView:
    """Shows a complete answer to the asker only. Its files go to their direct messages."""

    def __init__(self, api: SlackApi, place: AnswerPlace) -> None:
        self.row = 0
        self.final = False
        self.place = place
        self._api = api
        self._progress = _Progress()

    def snapshot_delay(self) -> float:
        """Return 0, because only the final snapshot is shown."""
        return 0.0

    async def show(self, reply: Reply) -> None:
        """Show the final snapshot. Raises SlackError if the asker cannot be reached."""
        self.row = reply.row or self.row
        if not reply.final:
            return
        if not reply.deleted:
            messages, files = _split_rendered(render(reply, locale=self.place.locale))
            if files:
                messages[-1] = _add_small_print(
                    messages[-1], await self._progress.send_files(self._api, self.place, files)
                )
            for message in self._progress.remaining(messages):
                await self._post(message)
                self._progress.messages += 1
        self.final = True

    async def notify_asker(self, sentence: Sentence) -> None:
        """Send a sentence to the asker; a failure is logged."""
        try:
            await self._post(note_message(sentence.in_language(self.place.locale)))
        except SlackError as error:
            log.info("A sentence could not be sent to the asker: %s", error)

    async def remove(self) -> None:
        """Do nothing: ephemeral messages disappear by themselves."""

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
    """Shows a complete answer to everybody in a channel that the bot is not in; files go to the asker."""

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
        """Return 0, because only the first and the final snapshot are shown."""
        return 0.0

    async def show(self, reply: Reply) -> None:
        """Show the final snapshot; at the first one, say that the answer takes a while. Raises SlackError."""
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

    async def notify_asker(self, sentence: Sentence) -> None:
        """Send a sentence to the asker; a failure is logged."""
        await self._ephemeral.notify_asker(sentence)

    async def remove(self) -> None:
        """Do nothing: messages through a response_url cannot be deleted."""

    async def _finish(self, reply: Reply) -> None:
        messages, files = _split_rendered(render(reply, locale=self.place.locale))
        if len(messages) > MAX_RESPONSES:
            messages[MAX_RESPONSES - 1 :] = [SlackMessage(blocks=messages[-1].blocks)]
            files = (*files, Attachment(ANSWER_FILENAME, reply.text.encode("utf-8", "replace"), "text/markdown"))
        invitation = "I am not in this channel, so I answer here in one piece. /invite @{name} brings me in."
        small = translate(invitation, self.place.locale, name=self._name)
        if files:
            small = f"{await self._progress.send_files(self._api, self.place, files)} {small}"
        for message in self._progress.remaining([*messages[:-1], _add_small_print(messages[-1], small)]):
            await self._api.respond(self.place.response_url, message, public=True)
            self._progress.messages += 1


def _split_rendered(shown: RenderedReply) -> tuple[list[SlackMessage], tuple[Attachment, ...]]:
    """Return all messages, at least one, and the files."""
    return [*shown.messages, *([shown.tail] if shown.tail else [])] or [SlackMessage()], shown.files


class _Progress:
    """Remembers which parts of an answer were sent, so that another attempt does not repeat them."""

    def __init__(self) -> None:
        self.messages = 0
        self._files_note = ""

    def remaining(self, messages: Sequence[SlackMessage]) -> Sequence[SlackMessage]:
        """Return the messages that were not sent yet."""
        return messages[self.messages :]

    async def send_files(self, api: SlackApi, place: AnswerPlace, files: Sequence[Attachment]) -> str:
        """Send files to the asker's direct messages, once. Return a sentence about it for the place of the question."""
        self._files_note = self._files_note or await _send_by_direct_message(api, place, files)
        return self._files_note


async def _send_by_direct_message(api: SlackApi, place: AnswerPlace, files: Sequence[Attachment]) -> str:
    """Send files to the asker's direct messages. Return a sentence about it for the place of the question."""
    try:
        channel = await api.open_direct_messages(place.user)
        [first, *_] = await api.share_files(channel, files)
        # The sentence must not appear before the files do.
        await api.find_share(channel, first)
    except TokenInvalid:
        raise
    except SlackError as error:
        log.warning("A file could not be sent to direct messages: %s", error)
        return translate("The file could not be sent to your direct messages.", place.locale)
    if any(not file.media_type.startswith("image/") for file in files):
        return translate("The whole answer is in your direct messages.", place.locale)
    return translate("The pictures are in your direct messages.", place.locale)


def _add_small_print(message: SlackMessage, text: str) -> SlackMessage:
    return replace(message, blocks=(*small_print([text]), *message.blocks), fallback=message.fallback or text)
