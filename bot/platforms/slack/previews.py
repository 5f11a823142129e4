"""Pictures that take shape: now and then Slack is brought one, a file that stands in one message and goes with it."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any

from bot.platforms.slack import budgets
from bot.platforms.slack.blocks import ALT_TEXT, NOTHING
from bot.platforms.slack.web import SlackError, Worthless
from bot.text import cut

if TYPE_CHECKING:
    from bot.message import Attachment
    from bot.platforms.slack.web import Web

log = logging.getLogger(__name__)

PREVIEW_SECONDS = 4.0
"""A picture is followed by the next no sooner: each takes seven calls, and those in the thread are told of it."""
CALLS = (budgets.UPLOAD, budgets.FILE, budgets.POST, budgets.DELETE, budgets.DELETE_FILE)


class Previews:
    """The previews of one answer. Slack that refuses one is not asked again."""

    def __init__(self, web: Web, channel: str) -> None:
        self._web = web
        self._channel = channel
        self._next = -math.inf

    def are_due(self) -> bool:
        """Whether one can be shown now: answers that are finished have the first claim to every call."""
        known = self._web.budgets
        waits = [known.turns(self._channel).delay(), *(known.of(call).delay(final=False) for call in CALLS)]
        return time.monotonic() >= self._next and not any(waits)

    async def bring(self, picture: Attachment) -> str:
        """Bring Slack a picture; the id of the file, "" where it cannot be shown."""
        self._next = time.monotonic() + PREVIEW_SECONDS
        try:
            file = await self._web.keep(picture)
            if await self._web.is_kept(file):
                return file
            await self._web.delete_all(self._channel, [file])
        except Worthless:
            raise
        except SlackError as error:
            self.refused(error)
        return ""

    def refused(self, error: SlackError) -> None:
        """Bring no more, since Slack did not take one."""
        log.info("Pictures that take shape are not shown: %s", error)
        self._next = math.inf


def picture_block(file: str, alt: str) -> dict[str, Any]:
    """The block that shows a picture which Slack was brought."""
    return {"type": "image", "slack_file": {"id": file}, "alt_text": cut(alt.strip() or NOTHING, ALT_TEXT)}
