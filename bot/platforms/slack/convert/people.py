"""Who people are: asked of Slack once for some minutes, and never waited for long."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Self

from bot.core.messages import User
from bot.platforms.slack.api.api import SlackError

if TYPE_CHECKING:
    from types import TracebackType

    from bot.platforms.slack.api.api import SlackApi

log = logging.getLogger(__name__)

KNOWN_SECONDS = 300.0
PATIENCE_SECONDS = 1.0
"""A form opens within three seconds of a command, so that who asks is not waited for longer."""


class UserDirectory:
    """Users by their id. As a context manager, it ends what it still asks."""

    def __init__(self, web: SlackApi) -> None:
        self._web = web
        self._known: dict[str, tuple[float, User]] = {}
        self._asked: dict[str, asyncio.Task[User | None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = tuple(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def find(self, user: str, name: str = "") -> User:
        """Who has this id; where Slack does not say so in time, somebody without rights who reads English."""
        until, known = self._known.get(user, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        task = self._asked.get(user)
        if task is None:
            task = self._asked[user] = asyncio.create_task(self._ask(user), name="slack user")
            task.add_done_callback(lambda _: self._asked.pop(user, None))
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        found = task.result() if task.done() and not task.cancelled() else None
        return found or known or User(user, name or user)

    async def surely(self, user: str) -> User | None:
        """Who has this id, with the rights that they have now; None where Slack does not say so in time."""
        found = await self.find(user)
        return found if user in self._known else None

    async def _ask(self, user: str) -> User | None:
        try:
            told = await self._web.user(user)
        except SlackError as error:
            log.info("Slack does not say who somebody is: %s", error)
            return None
        profile = told.get("profile") or {}
        name = profile.get("display_name") or profile.get("real_name") or told.get("real_name") or told.get("name")
        rights = bool(told.get("is_admin") or told.get("is_owner") or told.get("is_primary_owner"))
        found = User(user, str(name or user), is_moderator=rights, locale=str(told.get("locale") or "en"))
        self._known = {one: kept for one, kept in self._known.items() if kept[0] > time.monotonic()}
        self._known[user] = time.monotonic() + KNOWN_SECONDS, found
        return found
