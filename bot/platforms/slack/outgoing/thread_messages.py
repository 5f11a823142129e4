"""The messages and files that show one answer in a thread: writes them, deletes them, and stores their ids."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.platforms.slack.api import budgets
from bot.platforms.slack.api.api import is_file
from bot.platforms.slack.api.errors import MessageGone
from bot.platforms.slack.outgoing.previews import Previews

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.app import Bot
    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.api.message_format import SlackMessage
    from bot.platforms.slack.convert.requests import AnswerPlace


@dataclass(slots=True)
class SentMessage:
    """A message in the thread and its content; None if the content is not known exactly."""

    ts: str
    message: SlackMessage | None = None


class ThreadMessages:
    """The messages of one answer in a thread.

    `row` is the answer's database row, 0 while there is none. `sent` are the messages in order, `files` the final
    files, `previews` those of a picture in progress, and `changed_at` is the monotonic time of the last change.
    `shown` are the ids of messages and files that show the answer already.
    """

    def __init__(self, api: SlackApi, bot: Bot, place: AnswerPlace, shown: Sequence[str]) -> None:
        self.row = 0
        self.sent = [SentMessage(ts) for ts in shown if not is_file(ts)]
        self.files: list[str] = []
        self.previews = Previews(api, place.channel, filter(is_file, shown))
        self.changed_at = -math.inf
        self._api = api
        self._bot = bot
        self._place = place
        self._obsolete: list[str] = []
        self._stored_ids: list[str] = []

    @property
    def ids(self) -> list[str]:
        """Ids of the messages that show the answer, in order, and of their files."""
        return [*(sent.ts for sent in self.sent), *self.previews.files, *self.files]

    def edit_delay(self) -> float:
        """Return the seconds until the messages can be edited, and the first one posted; 0 means now."""
        delay = self._api.budgets.method_budget(budgets.UPDATE).delay(final=False)
        return delay if self.sent else max(delay, self._api.budgets.channel_queue(self._place.channel).delay())

    def mark_changed(self) -> None:
        """Note that the answer looks different from now on."""
        self.changed_at = time.monotonic()

    async def post(self, message: SlackMessage) -> SentMessage:
        """Post a message in the thread and return it; the caller adds it to `sent`. Raises SlackError."""
        return SentMessage(await self._api.post(self._place.channel, message, self._place.thread), message)

    async def write(self, wanted: Sequence[SlackMessage]) -> None:
        """Edit, post and delete until the messages are `wanted`. Raises SlackError."""
        for index, message in enumerate(wanted):
            if index == len(self.sent):
                # The button Delete, under the last message, must find those above it.
                await self.store_ids()
                self.sent.append(await self.post(message))
                continue
            sent = self.sent[index]
            if sent.message != message:
                await self._api.update(self._place.channel, sent.ts, message)
                sent.message = message
        self.mark_changed()
        surplus = self.sent[len(wanted) :]
        del self.sent[len(wanted) :]
        await self.delete(surplus)

    async def replace_all(self, messages: Sequence[SentMessage]) -> None:
        """Show the answer with `messages`, which are posted already, and delete the others."""
        kept = [sent.ts for sent in messages]
        surplus = [sent for sent in self.sent if sent.ts not in kept]
        self.sent = list(messages)
        self.mark_changed()
        await self.delete(surplus)

    async def delete(self, messages: Sequence[SentMessage] = ()) -> None:
        """Delete messages that are not in `sent` any more, and previews that no message shows. Raises SlackError."""
        # What cannot be deleted now is tried again with the next change.
        self._obsolete += [sent.ts for sent in messages]
        # The ids are stored before the deletion, so that it is not taken for a user's.
        await self.store_ids()
        while self._obsolete:
            with suppress(MessageGone):
                await self._api.delete(self._place.channel, self._obsolete[0])
            del self._obsolete[0]
        await self.previews.delete_files(
            keep=[file for sent in self.sent if sent.message for file in sent.message.pictures]
        )

    async def delete_all(self) -> list[str]:
        """Delete all messages and files, log failures, and return the ids."""
        ids, self.sent, self.files = [*self._obsolete, *self.ids], [], []
        self._obsolete, self.previews.files = [], []
        try:
            await self.store_ids()
        finally:
            # What nobody else should read has to go, whether the database knows it or not.
            await self._api.delete_all(self._place.channel, ids)
        return ids

    async def store_ids(self) -> None:
        """Store which messages show the answer."""
        ids = self.ids
        if self.row and ids != self._stored_ids:
            await self._bot.messages.set_external_ids(self.row, ids)
            self._stored_ids = ids
