"""Slack as a platform: opens its workspaces, listens through a socket or by HTTP, and ends with an invalid token."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp

from bot.platforms.slack.checks import SCOPES
from bot.platforms.slack.connections import connected
from bot.platforms.slack.incoming.app import build
from bot.platforms.slack.incoming.workspaces import Workspaces
from bot.platforms.slack.installations import INSTALL_PATH, InstallationStore, oauth_settings
from bot.platforms.slack.workspaces import Installed, TokenRefused, opened_with_token
from http_server.listening import LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from slack_bolt.async_app import AsyncApp

    from bot.app import Bot
    from bot.config.sections import SlackSection

log = logging.getLogger(__name__)

PING_SECONDS = 5.0
"""Interval of pings on a socket; a dead socket is noticed within four of these."""
REQUEST_SECONDS = 30


class SlackPlatform:
    """Runs the bot in the workspace of its token, and in those that installed it. Enter the bot as a context first."""

    name = "slack"

    def __init__(
        self, bot: Bot, section: SlackSection, *, ping_seconds: float = PING_SECONDS, limits: Limits = LIMITS
    ) -> None:
        self._bot = bot
        self._section = section
        self._ping_seconds = ping_seconds
        self._limits = limits

    async def run(self) -> None:
        """Serve until cancelled. If Slack refuses a token of the configuration, log that and return."""
        try:
            async with self.serve() as ended:
                await ended
        except TokenRefused as refused:
            log.error("%s", refused)  # noqa: TRY400 - a traceback would add nothing

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[asyncio.Future[None]]:
        """Serve while the context lasts. Yields a future that raises BotError once Slack refuses a token.

        Raises BotError if serving cannot begin. At the end, running answers are stopped and say so.
        """
        async with AsyncExitStack() as stack:
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
            session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            workspaces, store = Workspaces(), InstallationStore(self._bot.database)
            own = None
            if self._section.bot_token.get_secret_value():
                opening = opened_with_token(self._bot, self._section, session, workspaces, store, ended)
                try:
                    own = (await stack.enter_async_context(opening)).identity
                except TokenRefused as refused:
                    if not self._section.client_id:
                        raise
                    log.error("%s The other workspaces are served.", refused)  # noqa: TRY400 - as above
            app = await self._build(stack, workspaces, store, session)
            serving = connected(app, self._section, ended, ping_seconds=self._ping_seconds, limits=self._limits)
            connection = await stack.enter_async_context(serving)
            if own is not None and not ended.done():
                log.info("Slack: @%s is connected to the workspace “%s” %s", own.name, own.workspace, connection)
            if self._section.client_id:
                log.info("Slack: workspaces are served %s; the page %s adds the bot to one", connection, INSTALL_PATH)
            yield ended

    async def _build(
        self, stack: AsyncExitStack, workspaces: Workspaces, store: InstallationStore, session: aiohttp.ClientSession
    ) -> AsyncApp:
        """Return Bolt's app. If workspaces can add the bot, `stack` keeps those open that did."""
        if not self._section.client_id:
            return build(workspaces, self._section, session)
        installed = Installed(self._bot, self._section, session, workspaces, store)
        await stack.enter_async_context(installed)
        settings = oauth_settings(self._section, store, SCOPES)
        return build(workspaces, self._section, session, settings, installed.leave)
