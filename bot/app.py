"""`Bot`: the services of the core, which all platforms share, started and stopped together."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Self

from bot.answers.abandoned import LOOK_SECONDS
from bot.answers.button_actions import ButtonActions
from bot.answers.context_factory import ContextFactory
from bot.answers.dispatcher import Dispatcher
from bot.answers.executor import AnswerExecutor
from bot.answers.handlers import HandlerRunner
from bot.answers.services import Services
from bot.answers.stored import StoredAnswers
from bot.core.background import repeated
from bot.plugin_host.plugin import Host
from bot.safety.errors import SENSITIVE_CODES
from bot.storage import counters
from bot.storage.identity import load_own_identity
from bot.storage.key_value import Store
from bot.storage.locks import only_one
from bot.storage.process_events import LOOK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from bot.inference.client import ModelClient
    from bot.plugin_host.plugin import Plugin
    from bot.provenance.certificates import Identity
    from bot.storage.database import Database

log = logging.getLogger(__name__)

PURGE_SECONDS, SOON_PURGE_SECONDS = 6 * 3600.0, 60.0
"""How often messages that are too old are deleted, and how often if none are kept."""
REFRESH_SECONDS = 3.0
"""How often this process reads what moderators and users changed in others: settings, defaults, plugins, time-outs."""


class Bot(Services):
    """The services of the core, which all platforms share, and their life. Use it as an async context manager.

    Platforms pass requests to `prepare`, and call the services for everything else.
    """

    def __init__(
        self,
        models: ModelClient,
        plugins: Sequence[Plugin],
        database: Database,
        *,
        retention_days: float = 30,
        audit_days: float = 400,
        default_command: str = "ask",
        sections: Mapping[str, object] | None = None,
        web_url: str = "",
        identity: Identity | None = None,
        **options: Any,
    ) -> None:
        """`options` are those of `Services`. `sections` are the configuration's tables for plugins, by plugin's name.

        `identity` signs pictures in the place of the one that the bot makes for itself.
        """
        super().__init__(models, plugins, database, keeps_answers=retention_days > 0, **options)
        self.retention_days, self._audit_days = retention_days, audit_days
        self._sections = sections or {}
        self._identity = identity
        self.contexts = ContextFactory(self, web_url)
        self.stored = StoredAnswers(self)
        self._executor = AnswerExecutor(self, self.contexts, HandlerRunner(self), self.stored)
        button_actions = ButtonActions(self, self._executor, self.stored)
        dispatcher = Dispatcher(self, self.contexts, self._executor, button_actions, default_command)
        self.prepare, self.complete = dispatcher.prepare, dispatcher.complete
        self._lifetime = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.database)
            await stack.enter_async_context(self.instance)
            await stack.enter_async_context(self.events)
            await stack.enter_async_context(self.models)
            if not self.retention_days:
                stack.push_async_callback(self._purge)
            stack.push_async_callback(self.limits.close)
            self.stamper.start(self._identity or await load_own_identity(self.database))
            await self.settings.start(self.database)
            await self.defaults.start(self.database, self._tell_others)
            await self.timeouts.start()
            await self.registry.start(self.database, self._host)
            stack.push_async_callback(self.registry.close)
            pause = PURGE_SECONDS if self.retention_days else SOON_PURGE_SECONDS
            await stack.enter_async_context(repeated(self._purge, pause, at_once=True))
            await stack.enter_async_context(repeated(self._refresh, REFRESH_SECONDS))
            await stack.enter_async_context(repeated(self.abandoned.look, LOOK_SECONDS))
            self._tell_others_of_settings(stack)
            self._lifetime = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lifetime.aclose()

    def _host(self, plugin: str) -> Host:
        return Host(
            models=self.models,
            store=Store(self.database, plugin),
            config=self._sections.get(plugin),
            retention_days=self.retention_days,
        )

    def _tell_others(self) -> None:
        self.events.publish(LOOK, key=LOOK)

    def _tell_others_of_settings(self, stack: AsyncExitStack) -> None:
        """Have other processes read changed settings at once, and do the same here, until `stack` is closed."""
        listeners = self.settings.scopes.listeners
        stack.enter_context(self.events.handled(LOOK, self._look))
        listeners.add(self._tell_others)
        stack.callback(listeners.discard, self._tell_others)

    async def _look(self, process: str, data: object) -> None:
        await self._refresh()

    async def _refresh(self) -> None:
        await self.settings.refresh()
        await self.registry.refresh()
        await self.defaults.refresh()
        await self.timeouts.refresh()
        await self.moderation.stop_requested_runs()
        await self._executor.settle()

    async def _purge(self) -> None:
        async with only_one(self.database, "purge") as is_ours:
            if is_ours:
                await self._purge_all()

    async def _purge_all(self) -> None:
        await counters.purge(self.database)
        await self.audit.purge_texts(self.retention_days, SENSITIVE_CODES)
        await self.audit.purge(self._audit_days)
        if count := await self.database.purge(self.retention_days):
            log.info("Purged %d messages older than %g days.", count, self.retention_days)

    async def drain(self, seconds: float) -> None:
        """Take no new requests, and wait until the answers that are being made have ended, but no longer than this."""
        self.admission.is_closed = True
        if count := len(self.runs.ids):
            log.info("Waiting up to %g s for answers that are being made: %d", seconds, count)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.runs.wait_until_idle(), seconds)
