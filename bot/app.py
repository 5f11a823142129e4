"""The bot: the one way from a request to its replies, for commands, buttons and forms alike."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from bot.access.admission import Admission
from bot.access.policy import Policy
from bot.access.rate_limits import MEMORY, RateLimiter
from bot.access.timeouts import TimeOuts
from bot.answers import buttons
from bot.answers.button_actions import ButtonActions, seen
from bot.answers.context_factory import ContextFactory
from bot.answers.executor import AnswerExecutor, failed
from bot.core.adapters import Adapters
from bot.core.background import repeated
from bot.core.errors import Expired, UserError
from bot.core.i18n import translate
from bot.core.messages import Form, Reply
from bot.core.running import ActiveRuns
from bot.moderation.actions import Moderation
from bot.moderation.log_channel import LogChannel
from bot.moderation.refusals import Refusals
from bot.plugin_host.plugin import Host
from bot.plugin_host.registry import Registry
from bot.privacy.export import PrivacyService
from bot.safety.checks import Safety
from bot.safety.settings import SETTINGS
from bot.settings.resolver import Settings
from bot.settings.user_defaults import Defaults
from bot.storage import counters
from bot.storage.audit import APPEAL, Audit
from bot.storage.instances import Instance
from bot.storage.key_value import Store
from bot.storage.messages import MessageStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from bot.commands.command import Command
    from bot.core.messages import Action, Page, Place, Request, User
    from bot.core.model_events import Token
    from bot.inference.client import ModelClient
    from bot.plugin_host.plugin import Plugin
    from bot.storage.database import Database, MessageRow

log = logging.getLogger(__name__)

PURGE_SECONDS, SOON_SECONDS = 6 * 3600.0, 60.0
"""How often it is looked for what is no longer to be kept; the latter where nothing is."""
REFRESH_SECONDS = 3.0
"""How soon what was set in another process counts here, by moderators or by users, and a plugin is read anew."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One request under way. How to acknowledge it is known at once; the replies come as they are made.

    - `refused`: one private error comes;
    - `form`: await it for the form to show (or a UserError for the asker alone); no replies come;
    - `in_place`: final replies, if any, are what the message with the pressed button looks like now;
    - otherwise a new message, `private` to the asker or not.

    A reply that is private where the acknowledgement was public, as errors are, takes the placeholder's place and
    goes to the asker alone. Close `replies` to cancel.
    """

    replies: AsyncGenerator[Reply, None]
    private: bool
    refused: bool = False
    in_place: bool = False
    form: Callable[[], Awaitable[Form]] | None = None


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
        default_command: str = "ask",
        sections: Mapping[str, object] | None = None,
        web_url: str = "",
        limits: str = MEMORY,
    ) -> None:
        """`sections` are the tables of the configuration that are for a plugin, by its name.

        `limits` is where it is counted who asks how often: "memory", or the address of a Redis server.
        """
        self.models = models
        self.database = database
        self.hands = Adapters()
        self.settings = Settings(settings or {}, models, self.hands)
        self.settings.declare("safety", SETTINGS)
        self.registry = Registry(plugins, self.settings)
        self.defaults = Defaults()
        self.audit = Audit(database)
        self.timeouts = TimeOuts(database)
        self.limits = RateLimiter(self.settings, limits)
        self.safety = Safety(self.settings, models)
        self.log_channel = LogChannel(database, self.settings, self.audit)
        self.refusals = Refusals(self.audit, keeps=retention_days > 0)
        policy = Policy(self.settings, self.timeouts)
        self.gate = Admission(
            settings=self.settings,
            registry=self.registry,
            defaults=self.defaults,
            policy=policy,
            limits=self.limits,
            safety=self.safety,
            timeouts=self.timeouts,
        )
        self.instance = Instance(database)
        self.journal = MessageStore(database, self.instance)
        self.runs = ActiveRuns()
        self.moderation = Moderation(
            audit=self.audit,
            journal=self.journal,
            runs=self.runs,
            timeouts=self.timeouts,
            policy=policy,
            hands=self.hands,
        )
        self._default = default_command
        self.retention_days = retention_days
        self._sections = sections or {}
        self.contexts = self._make_contexts(web_url)
        self.answering = self._make_answering()
        self.pressing = ButtonActions(
            registry=self.registry, journal=self.journal, answering=self.answering, gate=self.gate
        )
        self._lifetime = AsyncExitStack()

    def _make_contexts(self, web_url: str) -> ContextFactory:
        return ContextFactory(
            models=self.models,
            database=self.database,
            registry=self.registry,
            settings=self.settings,
            defaults=self.defaults,
            gate=self.gate,
            safety=self.safety,
            audit=self.audit,
            moderation=self.moderation,
            privacy=PrivacyService(
                database=self.database,
                registry=self.registry,
                settings=self.settings,
                defaults=self.defaults,
                timeouts=self.timeouts,
                moderation=self.moderation,
                hands=self.hands,
            ),
            web_url=web_url,
        )

    def _make_answering(self) -> AnswerExecutor:
        return AnswerExecutor(
            contexts=self.contexts,
            journal=self.journal,
            registry=self.registry,
            settings=self.settings,
            safety=self.safety,
            refusals=self.refusals,
            log_channel=self.log_channel,
            runs=self.runs,
            hands=self.hands,
            keeps=self.retention_days > 0,
        )

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.database)
            await stack.enter_async_context(self.instance)
            await stack.enter_async_context(self.models)
            if not self.retention_days:
                stack.push_async_callback(self._purge)
            stack.push_async_callback(self.limits.close)
            await self.settings.start(self.database)
            await self.defaults.start(self.database)
            await self.timeouts.start()
            await self.registry.start(self.database, self._host)
            stack.push_async_callback(self.registry.close)
            pause = PURGE_SECONDS if self.retention_days else SOON_SECONDS
            await stack.enter_async_context(repeated(self._purge, pause, at_once=True))
            await stack.enter_async_context(repeated(self._refresh, REFRESH_SECONDS))
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

    @property
    def commands(self) -> tuple[Command, ...]:
        """Every command but the hidden ones, in the order of loading."""
        return self.registry.commands

    def commands_for(self, user: User, place: Place) -> tuple[Command, ...]:
        """The commands that `user` may use in `place`."""
        return self.gate.commands_for(self.recognised(user, place), place)

    def recognised(self, user: User, place: Place) -> User:
        """`user` with the rights and the language that the settings of `place` give them."""
        return self.gate.recognised(user, place)

    def dispatch(self, request: Request) -> Decision:
        """Decide at once, from memory alone, how `request` is acknowledged; hand out the replies to come."""
        request = self._recognised(request)
        try:
            if request.action is not None:
                return self._dispatch_action(request, request.action)
            command, given = self._resolve(request)
            request = replace(request, options=given)
            command = self.gate.opened(request, command)
            if request.can_show_forms and command.wants_form(given):
                return self._form(lambda: self._first_form(request, command, given))
            options = self.gate.admit(request, command, given)
        except UserError as error:
            return Decision(self._refuse(request, error), private=True, refused=True)
        private = command.private or self._is_private(request, self.safety.read_free_texts(command, options))
        replies = self.answering.answer(request, command, options, private=private)
        replies = self.gate.renewed(request, self.gate.metered(request, command, replies), command)
        replies = self._guarded(request, replies)
        return Decision(replies, private=private)

    async def complete(self, request: Request, option: str, typed: str) -> Sequence[str]:
        """Suggestions for `option` of `request.command`: the plugin's, else its choices that fit.

        `request` has what was given beside it: as options, or as the line before what is being typed.
        """
        request = self._recognised(request)
        try:
            command = self.registry.find(request.command)
            self.gate.check(request, command)
        except UserError:
            return ()
        with suppress(UserError):
            given = command.parse(self.registry.split(request.text)[1]) if request.text else {}
            request = replace(request, text="", options={**given, **request.options})
        known = command.option(option)
        if known is None:
            return ()
        if known.complete is None:
            return tuple(str(choice) for choice in known.choices if str(choice).startswith(typed))
        return await known.complete(self.contexts.make(request, command), typed)

    async def pages(self, place: Place) -> dict[str, Sequence[Page]]:
        """What there is to read at `place`, by plugin. One that fails has nothing to read."""
        found = {}
        for plugin in self.registry.on(place):
            try:
                found[plugin.name] = await plugin.pages(place)
            except Exception:
                log.exception("Plugin “%s” could not show its pages", plugin.name)
        return {name: pages for name, pages in found.items() if pages}

    async def sent(self, row_id: int, externals: Sequence[str]) -> None:
        """Note what the platform calls the messages that show an answer, so that replies to them are understood."""
        await self.journal.deliver(row_id, externals)

    async def shown(self, row_id: int) -> list[str]:
        """What the platform calls the messages that show an answer, in order."""
        return await self.journal.delivered(row_id)

    async def removed(self, platform: str, externals: Sequence[str]) -> list[str]:
        """Delete the answers that these messages showed, as Delete does, since somebody removed them on the platform.

        Gives back what the platform calls the other messages that show them.
        """
        left: list[str] = []
        for row in await self.journal.shown_by(platform, externals):
            left += [external for external in await self.shown(row.id) if external not in externals]
            self.answering.stop(row.id)
            await self.journal.delete(row)
        return left

    async def tokens(self, row_id: int, user: User, place: Place) -> Sequence[Token]:
        """The tokens of an answer that `user` sees in `place`; none where they were not kept.

        Raises Expired for an answer that is gone, and for one that they cannot see there.
        """
        row = await self.journal.get(row_id)
        if row is None or not seen(row, user, place):
            raise Expired("This has expired: it is no longer stored.")
        return await self.safety.filter_tokens(await self.journal.tokens(row_id), place)

    async def snapshot(self, row: MessageRow, locale: str, *, files: bool = True) -> Reply:
        """A stored answer as it should look now; without `files`, those that are stored are not read."""
        return await self.answering.snapshot(row, locale, files=files)

    async def interrupted(self, platforms: Sequence[str]) -> list[MessageRow]:
        """What a process that died left unfinished on these platforms; from now on it is marked so."""
        return await self.journal.interrupt(platforms)

    def stop(self, row_id: int) -> bool:
        """Stop the answer of this row, as its Stop button does; False if it is not being made here."""
        return self.answering.stop(row_id)

    def welcome(self, locale: str, *, names_all: bool = False) -> Reply:
        """What the bot says when it comes to a new place; `names_all` where every option has to be named."""
        prompt, question = ("prompt:", "question:") if names_all else ("", "")
        lines = [
            translate("Hello! I show how generative AI works. Try one of these:", locale),
            f"- `/ask temperature:0.2 {prompt}{translate('What is the capital of France?', locale)}`",
            f"- `/ask temperature:1.2 {prompt}{translate('Tell me a story in three sentences.', locale)}`",
            f"- `/explain {question}{translate('what does the temperature do', locale)}`",
            # The embedded model has learnt English words alone.
            f"- `/imagine {prompt}a red apple`",
            "- `/face count:4`",
            "",
            translate("`/help` lists everything I can do.", locale),
        ]
        return Reply(text="\n".join(lines), final=True)

    def _resolve(self, request: Request) -> tuple[Command, Mapping[str, Any]]:
        if request.command:
            return self.registry.find(request.command), request.options
        text = request.text.strip()
        if text.startswith("/"):
            command, rest = self.registry.split(text)
            return command, command.parse(rest)
        command = self.registry.find(self._default)
        return command, {option.name: text for option in command.options if option.free_text}

    def _recognised(self, request: Request) -> Request:
        return replace(request, user=self.recognised(request.user, request.place))

    async def _refuse(self, request: Request, error: UserError) -> AsyncGenerator[Reply, None]:
        reply = failed(Reply(), error.sentence, request, getattr(error, "option", ""))
        yield await self.refusals.told(reply, request, error)

    def _is_private(self, request: Request, texts: Sequence[str]) -> bool:
        """Whether every answer there is for its asker alone, or this one is, as it warns them of what is in `texts`."""
        return self.settings.value("answers.private", request.place) or bool(
            self.safety.find_personal_data_warning(texts, request.place)
        )

    # Buttons and forms

    def _dispatch_action(self, request: Request, action: Action) -> Decision:
        if action.id.startswith("c:"):
            command = self.registry.find(action.id.removeprefix("c:"))
            return self.dispatch(replace(request, action=None, command=command.name, options=action.fields or {}))
        name, row_id = buttons.parse(action.id)
        if not buttons.is_plugins(name):
            # A plugin's button is its command's, which is looked at where it is opened.
            self.gate.pressed(request, name)
        if name == "edit" and action.fields is None:
            return self._form(lambda: self.pressing.form(request, row_id))
        if name == APPEAL:
            return Decision(self._guarded(request, self.refusals.appeal(request, row_id)), private=True)
        private = action.private or self._is_private(request, [str(value) for value in (action.fields or {}).values()])
        # What is to be for one alone from now on cannot take the place of what all can see.
        turns = buttons.is_turning(name) and request.can_turn_pages and private == action.private
        replies = self.gate.renewed(request, self.pressing.act(request, name, row_id, turns=turns))
        in_place = turns or name in buttons.IN_PLACE
        return Decision(self._guarded(request, replies), private=private, in_place=in_place)

    def _form(self, make: Callable[[], Awaitable[Form]]) -> Decision:
        return Decision(_nothing(), private=True, form=make)

    async def _first_form(self, request: Request, command: Command, given: Mapping[str, Any]) -> Form:
        return buttons.form(command, self.gate.own(request, command) | dict(given), f"c:{command.name}")

    async def _guarded(self, request: Request, replies: AsyncGenerator[Reply, None]) -> AsyncGenerator[Reply, None]:
        try:
            async with aclosing(replies):
                async for reply in replies:
                    yield reply
        except UserError as error:
            async for reply in self._refuse(request, error):
                yield reply

    async def _refresh(self) -> None:
        await self.settings.refresh()
        await self.registry.refresh()
        await self.defaults.refresh()
        await self.timeouts.refresh()
        await self.moderation.heed()

    async def _purge(self) -> None:
        await counters.forget(self.database)
        await self.audit.purge(self.retention_days)
        if count := await self.database.purge(self.retention_days):
            log.info("Purged %d messages older than %g days.", count, self.retention_days)


async def _nothing() -> AsyncGenerator[Reply, None]:
    return
    yield
