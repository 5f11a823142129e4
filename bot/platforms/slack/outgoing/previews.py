"""Previews of a picture in progress: each is a file that one message shows, and is deleted with it."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from bot.platforms.slack.api import budgets
from bot.platforms.slack.api.errors import SlackError, TokenInvalid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from bot.core.messages import Attachment
    from bot.platforms.slack.api.api import SlackApi

log = logging.getLogger(__name__)

PREVIEW_SECONDS = 4.0
"""Shortest time between two previews: each takes seven calls and notifies people in the thread."""
CALLS = (budgets.UPLOAD, budgets.FILE, budgets.POST, budgets.DELETE, budgets.DELETE_FILE)
PICTURE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif"})


class Previews:
    """Previews of one answer. `files` are those that Slack still has; after a refusal no more are uploaded."""

    def __init__(self, api: SlackApi, channel: str, files: Iterable[str] = ()) -> None:
        self.files = list(files)
        self._api = api
        self._channel = channel
        self._next_at = -math.inf
        self._last = b""

    def is_due(self, picture: Attachment) -> bool:
        """Return whether this picture can be shown now; finished answers have priority for every call."""
        if picture.media_type not in PICTURE_TYPES or picture.data == self._last:
            return False
        is_possible = self._api.missing_methods.isdisjoint(CALLS) and time.monotonic() >= self._next_at
        return is_possible and self.is_channel_free() and not any(self._delay(call) for call in CALLS)

    def is_channel_free(self) -> bool:
        """Return whether no other message waits to be posted in the channel."""
        return not self._api.budgets.channel_queue(self._channel).delay()

    def _delay(self, call: str) -> float:
        return self._api.budgets.method_budget(call).delay(final=False)

    async def upload(self, picture: Attachment) -> str:
        """Upload a picture and return the file's id, "" if Slack refuses it."""
        self._next_at, self._last = time.monotonic() + PREVIEW_SECONDS, picture.data
        file = ""
        try:
            file = await self._api.upload(picture)
        except TokenInvalid:
            raise
        except SlackError as error:
            self.disable(error)
        else:
            self.files.append(file)
        return file

    async def is_showable(self, file: str) -> bool:
        """Return whether a message that is posted now can show the file."""
        try:
            return await self._api.is_processed(file) and self.is_channel_free()
        except TokenInvalid:
            raise
        except SlackError as error:
            self.disable(error)
        return False

    def forget_last(self) -> None:
        """Let the picture that was uploaded last be due again, as no message shows it."""
        self._last = b""

    def disable(self, error: SlackError) -> None:
        """Upload no more previews, because Slack refused one."""
        log.info("Previews of this answer are not shown any more: %s", error)
        self._next_at = math.inf

    async def delete_files(self, *, keep: Collection[str] = ()) -> None:
        """Delete the files, except those in `keep`."""
        deleted = [file for file in self.files if file not in keep]
        self.files = [file for file in self.files if file in keep]
        await self._api.delete_all(self._channel, deleted)
