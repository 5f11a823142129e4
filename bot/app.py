"""`Bot`: the core that all platforms share. It starts and stops the services and takes requests."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Self

from bot.access.policy import NO_DIRECT_MESSAGES
from bot.answers.abandoned import LOOK_SECONDS
from bot.answers.button_actions import ButtonActions
from bot.answers.context_factory import ContextFactory
from bot.answers.dispatcher import Dispatcher
from bot.answers.executor import AnswerExecutor
from bot.answers.services import Services
from bot.core.background import repeated
from bot.core.errors import DatabaseUnavailable, Expired, UserError
from bot.core.i18n import translate
from bot.core.messages import Reply
from bot.inference.upstreams.memory import Memory
from bot.plugin_host.plugin import Host
from bot.safety.errors import SENSITIVE_CODES
from bot.storage import counters
from bot.storage.identity import load_own_identity
from bot.storage.key_value import Store
from bot.storage.locks import only_one
from bot.storage.places import is_visible
from bot.storage.process_events import LOOK, MEMORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from bot.answers.decision import Decision
    from bot.commands.command import Command
    from bot.core.adapters import Capabilities
    from bot.core.caller import Caller
    from bot.core.messages import Page, Place, Request, Shelf, User
    from bot.core.model_events import Token
    from bot.inference.client import ModelClient
    from bot.plugin_host.plugin import Plugin
    from bot.provenance.certificates import Identity
    from bot.storage.database import Database, MessageRow

log = logging.getLogger(__name__)

PURGE_SECONDS, SOON_PURGE_SECONDS = 6 * 3600.0, 60.0
"""How often messages that are too old are deleted, and how often if none are kept."""
MEMORY_OF_UPSTREAMS = "upstream abilities"
REFRESH_SECONDS = 3.0
"""How often this process reads what moderators and users changed in others: settings, defaults, plugins, time-outs."""


class Bot:
    """The core that all platforms share. Use it as an async context manager."""

    def __init__(
        self,
        models: ModelClient,
        plugins: Sequence[Plugin],
        database: Database,
        *,
        settings: Mapping[str, Any] | None = None,
        retention_days: float = 30,
        audit_days: float = 400,
        default_command: str = "ask",
        sections: Mapping[str, object] | None = None,
        web_url: str = "",
        limits: str = MEMORY,
        direct_messages: bool = True,
        platforms: Mapping[str, Capabilities] | None = None,
        identity: Identity | None = None,
    ) -> None:
        """`sections` are the configuration's tables for plugins, by the plugin's name.

        `limits` is where uses are counted: "memory", or the address of a Redis server. `direct_messages` says whether
        these are answered. `platforms` are the capabilities of all known platforms by name, including those that other
        processes run. `identity` signs pictures in the place of the one that the bot makes for itself.
        """
        self.services = services = Services.wire(
            models,
            plugins,
            database,
            settings=settings or {},
            limits=limits,
            direct_messages=direct_messages,
            keeps_answers=retention_days > 0,
            platforms=platforms,
        )
        self.models, self.database = models, database
        self._memory = Memory(models.upstreams, Store(database, MEMORY_OF_UPSTREAMS))
        self.adapters = services.adapters
        self.settings = services.settings
        self.registry = services.registry
        self.defaults = services.defaults
        self.audit = services.audit
        self.timeouts = services.timeouts
        self.limits = services.limits
        self.safety = services.safety
        self.admission = services.admission
        self.log_channel = services.log_channel
        self.refusals = services.refusals
        self.messages = services.messages
        self.runs = services.runs
        self.moderation = services.moderation
        self.retention_days, self._audit_days = retention_days, audit_days
        self.direct_messages = direct_messages
        self._sections = sections or {}
        self._identity = identity
        self.contexts = ContextFactory(services, web_url)
        self.executor = AnswerExecutor(services, self.contexts)
        self._dispatcher = Dispatcher(
            services, self.contexts, self.executor, ButtonActions(services, self.executor), default_command
        )
        self._lifetime = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.database)
            await stack.enter_async_context(self.services.instance)
            await stack.enter_async_context(self.services.events)
            await stack.enter_async_context(self.models)
            await self._memory.load()
            stack.push_async_callback(self._memory.save)
            if not self.retention_days:
                stack.push_async_callback(self._purge)
            stack.push_async_callback(self.limits.close)
            self.services.stamper.start(self._identity or await load_own_identity(self.database))
            await self.settings.start(self.database)
            await self.defaults.start(self.database, self._tell_others)
            await self.timeouts.start()
            await self.registry.start(self.database, self._host)
            stack.push_async_callback(self.registry.close)
            pause = PURGE_SECONDS if self.retention_days else SOON_PURGE_SECONDS
            await stack.enter_async_context(repeated(self._purge, pause, at_once=True))
            await stack.enter_async_context(repeated(self._refresh, REFRESH_SECONDS))
            await stack.enter_async_context(repeated(self.services.abandoned.look, LOOK_SECONDS))
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
        self.services.events.publish(LOOK, key=LOOK)

    def _tell_others_of_settings(self, stack: AsyncExitStack) -> None:
        """Have other processes read changed settings at once, and do the same here, until `stack` is closed."""
        listeners = self.settings.scopes.listeners
        stack.enter_context(self.services.events.handled(LOOK, self._look))
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
        await self.executor.settle()
        await self._memory.save()

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
        self.admission.close()
        if count := len(self.services.runs.ids):
            log.info("Waiting up to %g s for answers that are being made: %d", seconds, count)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.services.runs.wait_until_idle(), seconds)

    # Requests

    def prepare(self, request: Request) -> Decision:
        """Decide at once, from memory alone, how `request` is acknowledged; `Decision.start` gives the replies."""
        return self._dispatcher.prepare(request)

    async def complete(self, request: Request, option: str, typed: str) -> Sequence[str]:
        """Return suggestions for the value of `option` of `request.command`, of which `typed` is there."""
        return await self._dispatcher.complete(request, option, typed)

    def resolve_user(self, user: User, place: Place) -> User:
        """Return `user` with the rights and the language that the settings of `place` give them."""
        return self.admission.resolve_user(user, place)

    @property
    def commands(self) -> tuple[Command, ...]:
        """Every command but the hidden ones, in the order of loading."""
        return self.registry.commands

    def commands_for(self, user: User, place: Place) -> tuple[Command, ...]:
        """Return the commands that `user` may use in `place`."""
        return self.admission.commands_for(self.resolve_user(user, place), place)

    async def pages(self, place: Place) -> dict[str, Sequence[Page]]:
        """Return the pages that people can read in `place`, by plugin. A plugin that fails has none."""
        pages_by_plugin = {}
        for plugin in self.registry.enabled_plugins(place):
            try:
                pages_by_plugin[plugin.name] = await plugin.pages(place)
            except DatabaseUnavailable as error:
                log.debug("Plugin “%s” could not list its pages: %s", plugin.name, error)
            except Exception:
                log.exception("Plugin “%s” could not list its pages", plugin.name)
        return {name: pages for name, pages in pages_by_plugin.items() if pages}

    async def shelves(self, caller: Caller) -> dict[str, Shelf]:
        """Return what moderators keep with each plugin. Raises PermissionDenied for others."""
        caller.require_moderator()
        shelves: dict[str, Shelf] = {}
        for plugin in self.registry.plugins:
            try:
                shelf = await plugin.shelf(caller)
            except UserError:
                raise
            except Exception:
                log.exception("Plugin “%s” could not list what moderators keep with it", plugin.name)
            else:
                if shelf is not None:
                    shelves[plugin.name] = shelf
        return shelves

    # Answers on a platform

    async def record_delivery(self, row_id: int, externals: Sequence[str]) -> None:
        """Store the platform's ids of the messages that show an answer, so that replies to them can be resolved."""
        await self.messages.set_external_ids(row_id, externals)

    async def message_ids(self, row_id: int) -> list[str]:
        """Return the platform's ids of the messages that show an answer, in order."""
        return await self.messages.get_external_ids(row_id)

    async def delete_shown(self, platform: str, externals: Sequence[str]) -> list[str]:
        """Delete the answers that these messages showed, after somebody deleted the messages on the platform.

        Returns the platform's ids of the other messages that show the same answers.
        """
        others: list[str] = []
        for row in await self.messages.find_answers(platform, externals):
            others += [external for external in await self.message_ids(row.id) if external not in externals]
            await self.messages.delete(row)
            self.executor.stop(row.id)
        return others

    async def tokens(self, row_id: int, user: User, place: Place) -> Sequence[Token]:
        """Return the tokens of an answer that `user` sees in `place`; none if they are not stored.

        Raises Expired for an answer that is gone or that they cannot see there.
        """
        row = await self.messages.get(row_id)
        if row is None or not is_visible(row, user, place):
            raise Expired("This has expired: it is no longer stored.")
        return await self.safety.filter_tokens(await self.messages.load_tokens(row_id), place)

    async def snapshot(self, row: MessageRow, locale: str, *, files: bool = True) -> Reply:
        """Return a stored answer as it should look now; without `files`, stored files are not read."""
        return await self.executor.snapshot(row, locale, files=files)

    async def mark_interrupted(self, platforms: Sequence[str]) -> list[MessageRow]:
        """Mark the answers that a dead process left unfinished on these platforms as interrupted, and return them.

        Their plugins may still give them a last reply.
        """
        rows = await self.messages.mark_interrupted(platforms)
        return [last for row in rows if (last := await self.conclude(row.id)) is not None]

    async def conclude(self, row_id: int) -> MessageRow | None:
        """Let a plugin give a last reply to an answer that was interrupted; return the answer, if it is still there."""
        await self.executor.conclude(row_id)
        return await self.messages.get(row_id)

    def stop(self, row_id: int) -> bool:
        """Stop the answer of this row, as its Stop button does; return False if this process is not making it."""
        return self.executor.stop(row_id)

    def welcome(self, locale: str, place: Place | None = None, *, names_all: bool = False) -> Reply:
        """Return the greeting for a new place, or for a message without words in `place`.

        `names_all` writes out the names of all options.
        """
        if place is not None and not self.admission.answers_in(place):
            return Reply(text=NO_DIRECT_MESSAGES.in_language(locale), final=True)
        prompt, question = ("prompt:", "question:") if names_all else ("", "")
        lines = [
            translate("Hello! I show how generative AI works. Try one of these:", locale),
            f"- `/ask temperature:0.2 {prompt}{translate('What is the capital of France?', locale)}`",
            f"- `/ask temperature:1.2 {prompt}{translate('Tell me a story in three sentences.', locale)}`",
            f"- `/explain {question}{translate('what does the temperature do', locale)}`",
            # The image model knows only English words.
            f"- `/imagine {prompt}a red apple`",
            "- `/face count:4`",
            "",
            translate("`/help` lists everything I can do.", locale),
        ]
        return Reply(text="\n".join(lines), final=True)
