"""Pictures that take shape: now and then Slack is brought one, a file that stands in one message and goes with it."""

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
"""A picture is followed by the next no sooner: each takes seven calls, and those in the thread are told of it."""
CALLS = (budgets.UPLOAD, budgets.FILE, budgets.POST, budgets.DELETE, budgets.DELETE_FILE)
PICTURE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif"})


class Previews:
    """The previews of one answer. `files` are those that Slack still has; where it refuses one, no more are brought."""

    def __init__(self, api: SlackApi, channel: str, files: Iterable[str] = ()) -> None:
        self.files = list(files)
        self._api = api
        self._channel = channel
        self._next_at = -math.inf
        self._last = b""

    def is_due(self, picture: Attachment) -> bool:
        """Whether this one can be shown now: answers that are finished have the first claim to every call."""
        if picture.media_type not in PICTURE_TYPES or picture.data == self._last:
            return False
        is_possible = self._api.missing_methods.isdisjoint(CALLS) and time.monotonic() >= self._next_at
        return is_possible and self.is_channel_free() and not any(self._delay(call) for call in CALLS)

    def is_channel_free(self) -> bool:
        """Whether nobody waits for posting in the channel."""
        return not self._api.budgets.channel_queue(self._channel).delay()

    def _delay(self, call: str) -> float:
        return self._api.budgets.method_budget(call).delay(final=False)

    async def upload(self, picture: Attachment) -> str:
        """Bring Slack a picture; the id of the file, "" where it does not take it."""
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
        """Whether Slack shows the file in a message that is posted now."""
        try:
            return await self._api.is_processed(file) and self.is_channel_free()
        except TokenInvalid:
            raise
        except SlackError as error:
            self.disable(error)
        return False

    def disable(self, error: SlackError) -> None:
        """Bring no more, since Slack did not take one."""
        log.info("Pictures that take shape are not shown: %s", error)
        self._next_at = math.inf

    async def delete_files(self, *, keep: Collection[str] = ()) -> None:
        """Delete the files, except those that are shown."""
        dropped = [file for file in self.files if file not in keep]
        self.files = [file for file in self.files if file in keep]
        await self._api.delete_all(self._channel, dropped)
