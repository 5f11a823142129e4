"""Decides on requests: from a command, a typed line, a button or a form to the answer that follows."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bot.answers.buttons import make_form
from bot.answers.decision import Answer, Change, Choose, FollowUp, OpenForm, Refuse
from bot.answers.handlers import AnswerJob, error_reply
from bot.core import metrics
from bot.core.button_ids import FORMS, IN_PLACE, PLUGINS, ButtonId, FormId, Kind
from bot.core.errors import Expired, UserError
from bot.core.messages import Attachment, Reply, base_platform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from bot.answers.button_actions import ButtonActions
    from bot.answers.context_factory import ContextFactory
    from bot.answers.decision import Decision
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
        services = self._services
        request = replace(request, user=services.admission.resolve_user(request.user, request.place))
        action = request.action
        form, button = (None, None) if action is None else (FormId.parse(action.id), ButtonId.parse(action.id))
        try:
            services.admission.count_request(request, button)
            if form is not None and action is not None:
                return self._decide(replace(request, action=None, command=form.command, options=action.fields or {}))
            return self._decide(request) if action is None else self._decide_press(request, action, button)
        except UserError as error:
            return Refuse(request=request, error=error, _carry_out=self._carry_out)

    def _decide(self, request: Request) -> Decision:
        """Decide on a command. Raises UserError if it is refused."""
        services = self._services
        command, given = self._parse_command(request)
        request = replace(request, options=given)
        command = services.admission.resolve_command(request, command)
        if request.can_show_forms and command.wants_form(given):
            make = partial(self._command_form, request, command, given)
            return OpenForm(request=request, make=make, _carry_out=self._carry_out)
        options = services.admission.admit(request, command, given)
        texts = services.safety.read_free_texts(command, options)
        private = command.private or _gives_private(request, command) or self._is_private(request, texts)
        return Answer(request=request, private=private, command=command, options=options, _carry_out=self._carry_out)

    def _decide_press(self, request: Request, action: Action, button: ButtonId | None) -> Decision:
        """Decide on a button, or the form behind one. Raises UserError if it is refused."""
        if button is None:
            raise Expired("This button has expired.")
        kind, fields = button.kind, action.fields
        if kind not in PLUGINS:
            self._services.admission.check_press(request, kind)
        if kind in FORMS and fields is None:
            make = partial(self._button_actions.form, request, button)
            return OpenForm(request=request, make=make, _carry_out=self._carry_out)
        if kind == Kind.CHOICE:
            turn = self._button_actions.turn_of(request, button.row)
            return Choose(request=request, button=button, turn=turn, _carry_out=self._carry_out)
        private = action.private or self._is_private(request, [str(value) for value in (fields or {}).values()])
        # A private page cannot take the place of a public one.
        turns = kind == Kind.PAGE and request.can_turn_pages and private == action.private
        if turns or kind in IN_PLACE:
            return Change(request=request, button=button, _carry_out=self._carry_out)
        private = private or kind == Kind.APPEAL
        return FollowUp(request=request, private=private, button=button, _carry_out=self._carry_out)

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
        return make_form(command, values, FormId(command.name))

    def _is_private(self, request: Request, texts: Sequence[str]) -> bool:
        """Return whether only the asker sees the answer: all answers there are private, or this one has a warning."""
        services = self._services
        return services.settings.value("answers.private", request.place) or bool(
            services.safety.find_personal_data_warning(texts, request.place)
        )

    async def _carry_out(self, decision: Decision, replies: Latest[Reply]) -> None:
        """Do what was decided, and publish the replies."""
        admission, request = self._services.admission, decision.request
        try:
            match decision:
                case Refuse(error=error):
                    raise error
                case OpenForm():
                    pass
                case Answer(command=command, options=options, private=private):
                    await admission.refresh(request, command)
                    files = {name: value for name, value in request.options.items() if isinstance(value, Attachment)}
                    job = AnswerJob(request=request, command=command, options={**options, **files}, private=private)
                    await self._executor.run_answer(job, replies)
                case FollowUp(button=ButtonId(kind=Kind.APPEAL, row=entry)):
                    replies.put(await self._services.refusals.appeal(request, entry))
                case FollowUp(button=button):
                    await admission.refresh(request)
                    await self._executor.run_answer(await self._button_actions.follow_up(request, button), replies)
                case Choose(button=button):
                    await admission.refresh(request)
                    replies.put(await self._button_actions.choose(request, button))
                case Change(button=button):
                    await admission.refresh(request)
                    await self._button_actions.change(request, button, replies)
        except UserError as error:
            replies.put(await self._error_reply(request, error))

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
            services.limits.count_completion(request)
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
