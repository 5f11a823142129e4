"""Decides on requests: from a command, a typed line, a button or a form to the answer that follows."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.answers import buttons
from bot.answers.decision import Decision
from bot.answers.executor import AnswerJob
from bot.answers.replies import error_reply
from bot.core import metrics
from bot.core.errors import UserError
from bot.core.messages import Attachment, Reply, base_platform
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
    """Takes the requests of all platforms. `default_command` answers lines that name no command."""

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
        request = replace(request, user=self._services.admission.resolve_user(request.user, request.place))
        pressed = "" if request.action is None else request.action.id
        is_stop = buttons.is_stop(pressed)
        goes_on = is_stop or buttons.is_choice(pressed)
        try:
            self._services.admission.count_request(request, is_stop=is_stop, goes_on=goes_on)
        except UserError as error:
            return self._refuse(request, error)
        return self._decide(request)

    def _decide(self, request: Request) -> Decision:
        services = self._services
        try:
            if request.action is not None:
                return self._prepare_action(request, request.action)
            command, given = self._parse_command(request)
            request = replace(request, options=given)
            command = services.admission.resolve_command(request, command)
            if request.can_show_forms and command.wants_form(given):
                form = partial(self._command_form, request, command, given)
                return Decision(request=request, command=command, form=form)
            options = services.admission.admit(request, command, given)
        except UserError as error:
            return self._refuse(request, error)
        texts = services.safety.read_free_texts(command, options)
        private = command.private or _gives_private(request, command) or self._is_private(request, texts)
        work = self._answer_work(command, options, private=private)
        return Decision(request=request, command=command, private=private, _work=self._with_refusals(work))

    def _answer_work(self, command: Command, options: Mapping[str, Any], *, private: bool) -> Work:
        async def answer(request: Request, replies: Latest[Reply]) -> None:
            await self._services.admission.refresh(request, command)
            files = {name: value for name, value in request.options.items() if isinstance(value, Attachment)}
            job = AnswerJob(request=request, command=command, options={**options, **files}, private=private)
            await self._executor.run_answer(job, replies)

        return answer

    def _parse_command(self, request: Request) -> tuple[Command, Mapping[str, Any]]:
        registry = self._services.registry
        if request.command:
            return registry.find(request.command), request.options
        text = request.text.strip()
        if text.startswith("/"):
            command, rest = registry.split_line(text)
            return command, command.parse(rest)
        command = registry.find(self._default_command)
        return command, {} if command.free_text is None else {command.free_text.name: text}

    async def _command_form(self, request: Request, command: Command, given: Mapping[str, Any]) -> Form:
        values = self._services.admission.own_defaults(request, command) | dict(given)
        return buttons.make_form(command, values, f"{buttons.FORM_PREFIX}{command.name}")

    def _is_private(self, request: Request, texts: Sequence[str]) -> bool:
        """Return whether only the asker sees the answer: all answers there are private, or this one has a warning."""
        services = self._services
        return services.settings.value("answers.private", request.place) or bool(
            services.safety.find_personal_data_warning(texts, request.place)
        )

    # Buttons and forms

    def _prepare_action(self, request: Request, action: Action) -> Decision:
        services = self._services
        if action.id.startswith(buttons.FORM_PREFIX):
            command = services.registry.find(action.id.removeprefix(buttons.FORM_PREFIX))
            return self._decide(replace(request, action=None, command=command.name, options=action.fields or {}))
        name, row_id = buttons.parse_id(action.id)
        if not buttons.is_plugin_button(name):
            # A plugin's button runs a command, and the rules for that command are checked when it runs.
            services.admission.check_press(request, name)
        if name in buttons.FORMS and action.fields is None:
            return Decision(request=request, form=partial(self._button_actions.form, request, name, row_id))
        if name == APPEAL:

            async def appeal(request: Request, replies: Latest[Reply]) -> None:
                replies.put(await services.refusals.appeal(request, row_id))

            return Decision(request=request, _work=self._with_refusals(appeal))
        if buttons.is_choice_button(name):

            async def choose(request: Request, replies: Latest[Reply]) -> None:
                await services.admission.refresh(request)
                replies.put(await self._button_actions.choose(request, name, row_id))

            # The message with the button that led to the choices stays, as others press that, too.
            replaces, turn = name != buttons.CHOICES, self._button_actions.turn_of(request, row_id)
            work = self._with_refusals(choose)
            return Decision(request=request, passing=True, in_place=replaces, turn=turn, _work=work)
        private = action.private or self._is_private(request, [str(value) for value in (action.fields or {}).values()])
        # A private page cannot take the place of a public one.
        turns = buttons.is_page_button(name) and request.can_turn_pages and private == action.private

        async def act(request: Request, replies: Latest[Reply]) -> None:
            await services.admission.refresh(request)
            await self._button_actions.act(request, name, row_id, replies, turns=turns)

        in_place = turns or name in buttons.IN_PLACE
        return Decision(request=request, private=private, in_place=in_place, _work=self._with_refusals(act))

    # Refusals

    def _refuse(self, request: Request, error: UserError) -> Decision:
        async def refuse(request: Request, replies: Latest[Reply]) -> None:
            replies.put(await self._error_reply(request, error))

        return Decision(request=request, refused=True, _work=refuse)

    def _with_refusals(self, work: Work) -> Work:
        async def guarded(request: Request, replies: Latest[Reply]) -> None:
            try:
                await work(request, replies)
            except UserError as error:
                replies.put(await self._error_reply(request, error))

        return guarded

    async def _error_reply(self, request: Request, error: UserError) -> Reply:
        metrics.REFUSALS.labels(base_platform(request.place.platform), type(error).__name__).inc()
        reply = error_reply(Reply(), error.sentence, request, getattr(error, "option", ""))
        return await self._services.refusals.record_and_explain(reply, request, error)

    # Completion

    async def complete(self, request: Request, option: str, typed: str) -> Sequence[str]:
        """Return suggestions for `option` of `request.command`: the plugin's, else the choices that begin with `typed`.

        `request` has the other options as `options`, or in the line before the text that is being typed.
        """
        services = self._services
        request = replace(request, user=services.admission.resolve_user(request.user, request.place))
        try:
            services.admission.count_completion(request)
            command = services.registry.find(request.command)
            services.admission.check(request, command)
        except UserError:
            return ()
        with suppress(UserError):
            given = command.parse(services.registry.split_line(request.text)[1]) if request.text else {}
            request = replace(request, text="", options={**given, **request.options})
        known = command.option(option)
        if known is None:
            return ()
        if known.complete is None:
            return tuple(str(choice) for choice in known.choices if str(choice).startswith(typed))
        return await known.complete(self._contexts.make(request, command), typed)


def _gives_private(request: Request, command: Command) -> bool:
    """Return whether the asker gave an option that others, who read along there, should not see."""
    others = bool(request.place.server) and not request.alone
    return others and any(request.options.get(name) is not None for name in command.private_options)
