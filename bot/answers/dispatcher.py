"""Decides on requests: from a command, a typed line, a button or a form to the answer that follows."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.answers import buttons
from bot.answers.decision import Decision
from bot.answers.executor import AnswerJob, failed
from bot.core.errors import UserError
from bot.core.messages import Attachment, Reply
from bot.storage.audit import APPEAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.answers.button_actions import ButtonActions
    from bot.answers.context_factory import ContextFactory
    from bot.answers.decision import Work
    from bot.answers.executor import AnswerExecutor
    from bot.answers.services import Services
    from bot.commands.command import Command
    from bot.core.latest import Latest
    from bot.core.messages import Action, Form, Request


class Dispatcher:
    """The one way in for all platforms. `default_command` answers lines that name no command."""

    def __init__(
        self,
        services: Services,
        contexts: ContextFactory,
        executor: AnswerExecutor,
        button_actions: ButtonActions,
        default_command: str,
    ) -> None:
        self._services = services
        self._contexts = contexts
        self._executor = executor
        self._button_actions = button_actions
        self._default_command = default_command

    def prepare(self, request: Request) -> Decision:
        """Decide at once, from memory alone, how `request` is acknowledged and what follows."""
        services = self._services
        request = replace(request, user=services.admission.recognised(request.user, request.place))
        try:
            if request.action is not None:
                return self._prepare_action(request, request.action)
            command, given = self._resolve(request)
            request = replace(request, options=given)
            command = services.admission.opened(request, command)
            if request.can_show_forms and command.wants_form(given):
                form = partial(self._first_form, request, command, given)
                return Decision(request=request, command=command, form=form)
            options = services.admission.admit(request, command, given)
        except UserError as error:
            return self._refused(request, error)
        private = command.private or self._is_private(request, services.safety.read_free_texts(command, options))
        work = self._answer_with(command, options, private=private)
        return Decision(request=request, command=command, private=private, _work=self._or_refuse(work))

    def _answer_with(self, command: Command, options: Mapping[str, Any], *, private: bool) -> Work:
        async def answer(request: Request, replies: Latest[Reply]) -> None:
            await self._services.admission.refresh(request, command)
            files = {name: value for name, value in request.options.items() if isinstance(value, Attachment)}
            job = AnswerJob(request=request, command=command, options={**options, **files}, private=private)
            await self._executor.run_answer(job, replies)

        return answer

    def _resolve(self, request: Request) -> tuple[Command, Mapping[str, Any]]:
        registry = self._services.registry
        if request.command:
            return registry.find(request.command), request.options
        text = request.text.strip()
        if text.startswith("/"):
            command, rest = registry.split(text)
            return command, command.parse(rest)
        command = registry.find(self._default_command)
        return command, {option.name: text for option in command.options if option.free_text}

    async def _first_form(self, request: Request, command: Command, given: Mapping[str, Any]) -> Form:
        return buttons.form(command, self._services.admission.own(request, command) | dict(given), f"c:{command.name}")

    def _is_private(self, request: Request, texts: Sequence[str]) -> bool:
        """Return whether every answer there is for its asker alone, or this one, as it warns them of their words."""
        services = self._services
        return services.settings.value("answers.private", request.place) or bool(
            services.safety.find_personal_data_warning(texts, request.place)
        )

    # Buttons and forms

    def _prepare_action(self, request: Request, action: Action) -> Decision:
        services = self._services
        if action.id.startswith("c:"):
            command = services.registry.find(action.id.removeprefix("c:"))
            return self.prepare(replace(request, action=None, command=command.name, options=action.fields or {}))
        name, row_id = buttons.parse(action.id)
        if not buttons.is_plugins(name):
            # A plugin's button is its command's, which is looked at where it is opened.
            services.admission.pressed(request, name)
        if name == "edit" and action.fields is None:
            return Decision(request=request, form=partial(self._button_actions.form, request, row_id))
        if name == APPEAL:

            async def appeal(request: Request, replies: Latest[Reply]) -> None:
                replies.put(await services.refusals.appeal(request, row_id))

            return Decision(request=request, _work=self._or_refuse(appeal))
        private = action.private or self._is_private(request, [str(value) for value in (action.fields or {}).values()])
        # What is to be for one alone from now on cannot take the place of what all can see.
        turns = buttons.is_turning(name) and request.can_turn_pages and private == action.private

        async def act(request: Request, replies: Latest[Reply]) -> None:
            await services.admission.refresh(request)
            await self._button_actions.act(request, name, row_id, replies, turns=turns)

        in_place = turns or name in buttons.IN_PLACE
        return Decision(request=request, private=private, in_place=in_place, _work=self._or_refuse(act))

    # Refusals

    def _refused(self, request: Request, error: UserError) -> Decision:
        async def refuse(request: Request, replies: Latest[Reply]) -> None:
            replies.put(await self._refusal(request, error))

        return Decision(request=request, refused=True, _work=refuse)

    def _or_refuse(self, work: Work) -> Work:
        async def guarded(request: Request, replies: Latest[Reply]) -> None:
            try:
                await work(request, replies)
            except UserError as error:
                replies.put(await self._refusal(request, error))

        return guarded

    async def _refusal(self, request: Request, error: UserError) -> Reply:
        reply = failed(Reply(), error.sentence, request, getattr(error, "option", ""))
        return await self._services.refusals.told(reply, request, error)

    # Completion

    async def complete(self, request: Request, option: str, typed: str) -> Sequence[str]:
        """Return suggestions for `option` of `request.command`: the plugin's, else its choices that fit.

        `request` has what was given beside it: as options, or as the line before what is being typed.
        """
        services = self._services
        request = replace(request, user=services.admission.recognised(request.user, request.place))
        try:
            command = services.registry.find(request.command)
            services.admission.check(request, command)
        except UserError:
            return ()
        with suppress(UserError):
            given = command.parse(services.registry.split(request.text)[1]) if request.text else {}
            request = replace(request, text="", options={**given, **request.options})
        known = command.option(option)
        if known is None:
            return ()
        if known.complete is None:
            return tuple(str(choice) for choice in known.choices if str(choice).startswith(typed))
        return await known.complete(self._contexts.make(request, command), typed)
