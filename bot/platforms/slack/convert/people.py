"""Who people are: asked of Slack once for some minutes, and never waited for long."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Self

from bot.core.messages import User
from bot.platforms.slack.api.errors import SlackError

if TYPE_CHECKING:
    from types import TracebackType

    from bot.platforms.slack.api.api import SlackApi

log = logging.getLogger(__name__)

CACHE_SECONDS = 300.0
LOOKUP_SECONDS = 1.0
"""A form opens within three seconds of a command, so that who asks is not waited for longer."""


class UserDirectory:
    """Users by their id. As a context manager, it ends what it still asks."""

    def __init__(self, api: SlackApi) -> None:
        self._api = api
        self._cache: dict[str, tuple[float, User]] = {}
        self._pending: dict[str, asyncio.Task[User | None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = tuple(self._pending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def find(self, user: str, name: str = "") -> User:
        """Who has this id; where Slack does not say so in time, somebody without is_admin who reads English."""
        until, known = self._cache.get(user, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        task = self._pending.get(user)
        if task is None:
            task = self._pending[user] = asyncio.create_task(self._fetch(user), name="slack user")
            task.add_done_callback(lambda _: self._pending.pop(user, None))
        await asyncio.wait({task}, timeout=LOOKUP_SECONDS)
        found = task.result() if task.done() and not task.cancelled() else None
        return found or known or User(user, name or user)

    async def find_current(self, user: str) -> User | None:
        """Who has this id, with the is_admin that they have now; None where Slack does not say so in time."""
        found = await self.find(user)
        return found if user in self._cache else None

    async def _fetch(self, user: str) -> User | None:
        try:
            profile_data = await self._api.get_user(user)
        except SlackError as error:
            log.info("Slack does not say who somebody is: %s", error)
            return None
        profile = profile_data.get("profile") or {}
        name = (
            profile.get("display_name")
            or profile.get("real_name")
            or profile_data.get("real_name")
            or profile_data.get("name")
        )
        is_admin = bool(
            profile_data.get("is_admin") or profile_data.get("is_owner") or profile_data.get("is_primary_owner")
        )
        found = User(user, str(name or user), is_moderator=is_admin, locale=str(profile_data.get("locale") or "en"))
        self._cache = {user_id: entry for user_id, entry in self._cache.items() if entry[0] > time.monotonic()}
        self._cache[user] = time.monotonic() + CACHE_SECONDS, found
        return found
