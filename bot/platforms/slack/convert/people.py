"""Looks up users on Slack, with a cache of some minutes and a short time limit."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.core.messages import User
from bot.platforms.slack.api.errors import SlackError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.platforms.slack.api.api import SlackApi

log = logging.getLogger(__name__)

CACHE_SECONDS = 300.0
LOOKUP_SECONDS = 1.0
"""The longest wait for a lookup: a form must open within three seconds of a command."""


class UserDirectory:
    """Finds users by their id."""

    def __init__(self, api: SlackApi, workspaces: frozenset[str]) -> None:
        """`workspaces` are the ids of the bot's workspace and of its organisation, if it belongs to one."""
        self._api = api
        self._workspaces = workspaces
        self._cache: dict[str, tuple[float, User]] = {}
        self._pending: dict[str, asyncio.Task[User | None]] = {}

    async def close(self) -> None:
        """Cancel the lookups that are not finished."""
        tasks = tuple(self._pending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def find(self, user: str, name: str = "") -> User:
        """Return the user with this id; if Slack does not answer in time, one without rights, as last known."""
        until, known = self._cache.get(user, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        task = self._pending.get(user)
        if task is None:
            task = self._pending[user] = asyncio.create_task(self._fetch(user), name="slack user")
            task.add_done_callback(lambda _: self._pending.pop(user, None))
        await asyncio.wait({task}, timeout=LOOKUP_SECONDS)
        found = task.result() if task.done() and not task.cancelled() else None
        if found is None and known is not None:
            # The rights have expired: they may have been taken away since.
            found = replace(known, is_moderator=False)
        return found or User(user, name or user)

    async def find_name(self, user: str) -> str:
        """Return the name of somebody whom a text mentions; the id if Slack does not tell it, or is asked too often."""
        _, known = self._cache.get(user, (0.0, None))
        # A message can mention hundreds. Those who write must still be found, since their rights depend on it.
        if self._api.is_busy("users.info"):
            return user if known is None else known.name
        return (await self.find(user)).name

    async def find_current(self, user: str) -> User | None:
        """Return the user with this id and their current rights; None if Slack does not answer in time."""
        found = await self.find(user)
        until, _ = self._cache.get(user, (0.0, None))
        return found if time.monotonic() < until else None

    def _is_own(self, info: Mapping[str, Any]) -> bool:
        """Return whether somebody is of the bot's workspace or its organisation.

        People of other workspaces take part in shared channels, where administering their own gives them no rights.
        """
        teams = {info.get("team_id"), (info.get("enterprise_user") or {}).get("enterprise_id")}
        return not teams.isdisjoint(self._workspaces)

    async def _fetch(self, user: str) -> User | None:
        try:
            info = await self._api.get_user(user)
        except SlackError as error:
            log.info("A user could not be looked up on Slack: %s", error)
            return None
        profile = info.get("profile") or {}
        name = profile.get("display_name") or profile.get("real_name") or info.get("real_name") or info.get("name")
        is_admin = bool(info.get("is_admin") or info.get("is_owner") or info.get("is_primary_owner"))
        is_moderator = is_admin and self._is_own(info)
        found = User(user, str(name or user), is_moderator=is_moderator, locale=str(info.get("locale") or "en"))
        self._cache = {user_id: entry for user_id, entry in self._cache.items() if entry[0] > time.monotonic()}
        self._cache[user] = time.monotonic() + CACHE_SECONDS, found
        return found
