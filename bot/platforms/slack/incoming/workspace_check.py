"""Refuses what Slack sends for another workspace than the bot's own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from slack_bolt.response import BoltResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from bot.platforms.slack.convert.requests import BotIdentity

    Json = Mapping[str, Any]

log = logging.getLogger(__name__)


class WorkspaceCheck:
    """Bolt's middleware that lets pass what names the bot's workspace or its organisation, or none at all.

    In a channel shared with another workspace, the author may be theirs; the bot's own workspace is named as well.
    """

    def __init__(self, identity: BotIdentity) -> None:
        self._own = identity.workspaces
        self._has_warned = False

    async def check(self, body: Json, next_: Callable[[], Awaitable[BoltResponse]]) -> BoltResponse:
        """Go on with a payload of the own workspace. Acknowledge another one, so that it is not sent again."""
        named = set(_named_workspaces(body))
        if not named or named & self._own:
            return await next_()
        if not self._has_warned:
            self._has_warned = True
            log.warning("Slack sent something for another workspace, which is ignored. Is the app installed twice?")
        return BoltResponse(status=200, body="")


def _named_workspaces(body: Json) -> Iterator[str]:
    """Yield the ids of all workspaces and organisations for which a payload was sent."""
    installations = body.get("authorizations")
    for about in (body, *(installations if isinstance(installations, list) else ())):
        if isinstance(about, dict):
            yield from (about[name] for name in ("team_id", "enterprise_id") if isinstance(about.get(name), str))
    for name in ("team", "enterprise"):
        about = body.get(name)
        if isinstance(about, dict) and isinstance(about.get("id"), str):
            yield about["id"]
