"""Carries out the buttons under answers when they are pressed, and the form behind Edit when it is sent."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from bot.answers import buttons
from bot.answers.cause import CAUSE, describe_press
from bot.answers.handlers import AnswerJob
from bot.commands.command import visible_name
from bot.core.button_ids import ENDING, PLUGINS, READERS, REPEATS, Kind
from bot.core.errors import Expired, UserError
from bot.core.messages import Reply
from bot.moderation.actions import moderation_entry
from bot.storage.places import is_visible

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bot.answers.executor import AnswerExecutor
    from bot.answers.services import Services
    from bot.answers.stored import StoredAnswers
    from bot.commands.command import Command
    from bot.core.button_ids import ButtonId
    from bot.core.latest import Latest
    from bot.core.messages import Form, Place, Request
    from bot.core.model_events import Token
    from bot.storage.audit import AuditEntry
    from bot.storage.database import MessageRow


FORK_SUFFIX = "-fork"
"""The end of the name of the hidden command that continues from the middle of an answer."""


class ButtonActions:
    """The buttons of stored answers. A new answer passes admission again."""

    def __init__(self, services: Services, executor: AnswerExecutor, stored: StoredAnswers) -> None:
        self._registry = services.registry
        self._messages = services.messages
        self._admission = services.admission
        self._adapters = services.adapters
        self._safety = services.safety
        self._events = services.events
        self._runs = services.runs
        self._stored = stored
        self._executor = executor
        self._turns: WeakValueDictionary[tuple[str, str, int], asyncio.Lock] = WeakValueDictionary()

    async def form(self, request: Request, button: ButtonId) -> Form:
        """Return the form behind Edit, filled in with what was asked, or that behind Continue.

        Raises UserError if the user may not have it.
        """
        row = await self._find_answer(request, button)
        command = self._admission.resolve_command(request, self._answering_command(button.kind, row))
        if button.kind == Kind.CONTINUE:
            return buttons.make_continue_form(command, button, request.user.locale)
        return buttons.make_form(command, row.options, button)

    async def _find_answer(self, request: Request, button: ButtonId) -> MessageRow:
        """Return the answer whose button was pressed. Raises UserError if it is gone or may not be pressed."""
        row = await self._messages.get(button.row)
        if row is None or row.role != "assistant" or not _may_press(row, request, button.kind):
            raise Expired("This has expired: it is no longer stored.")
        if button.kind not in PLUGINS:
            self._admission.check_press(request, button.kind)
        if button.kind in READERS and not is_visible(row, request.user, request.place):
            raise Expired("This has expired: it is no longer stored.")
        buttons.check_rights(button, row, request.user)
        return row

    async def change(self, request: Request, button: ButtonId, replies: Latest[Reply]) -> None:
        """Change the answer that a button stands under. Raises UserError if it may not be pressed."""
        row = await self._find_answer(request, button)
        # A message is read by many people: it keeps the asker's language, or is translated for each reader.
        is_translated = self._adapters.capabilities(request.place.platform).translates_notes
        locale = "en" if is_translated else row.resume.get("locale") or request.user.locale
        match button.kind:
            case Kind.STOP:
                await self._stop(row, None if _is_own(row, request) else moderation_entry(request.user, "cancel", row))
            case Kind.DELETE:
                entry = None if _is_own(row, request) else moderation_entry(request.user, "remove", row)
                await self._messages.delete(row, entry)
                # Only now: a run that was stopped before would end as an answer that is still there.
                self._runs.stop(row.id)
                replies.put(Reply(row=row.id, deleted=True, final=True))
            case Kind.UP | Kind.DOWN:
                await self._messages.vote(row.id, request.user.id, 1 if button.kind == Kind.UP else -1)
                replies.put(await self._stored.snapshot(row, locale))
            case _:
                await self._turn_page(request, button, row, locale, replies)

    @asynccontextmanager
    async def turn_of(self, request: Request, row_id: int) -> AsyncIterator[None]:
        """Let one choice after the other of a person behind a button of the answer `row_id` be made and shown."""
        whose = request.place.platform, request.user.id, row_id
        async with self._turns.setdefault(whose, asyncio.Lock()), self._events.turn(":".join(map(str, whose))):
            yield

    async def choose(self, request: Request, pressed: ButtonId) -> Reply:
        """Return the reply to a press of a button that leads to choices, or of one of these choices.

        Raises UserError if it may not be pressed.
        """
        row = await self._find_answer(request, pressed)
        button = next((one for one in buttons.stored_buttons(row) if one.choices), None)
        if button is None or pressed.number > button.choices:
            raise Expired("This button has expired.")
        command = self._admission.resolve_command(request, self._registry.find_any(button.command))
        options = self._admission.bind(request, command, {**button.options, "choice": pressed.number})
        job = AnswerJob(request=request, command=command, options=options, private=True)
        return await self._executor.run_choice(job, row)

    async def _stop(self, row: MessageRow, entry: AuditEntry | None) -> None:
        """Stop an answer, in whichever process it is made, and record `entry`. Raises UserError if it is finished."""
        is_here = self._runs.stop(row.id)
        if not is_here and not await self._messages.is_in_progress(row):
            raise UserError("There is nothing to stop: this answer has ended.")
        if entry is not None or not is_here:
            await self._messages.request_stop(row, entry)

    async def _turn_page(
        self, request: Request, pressed: ButtonId, row: MessageRow, locale: str, replies: Latest[Reply]
    ) -> None:
        """Replace the page that an answer shows by another one."""
        if (button := buttons.find_button(pressed, row)) is None:
            # The user still saw the page before, so they are shown the present one.
            replies.put(await self._stored.snapshot(row, locale))
            return
        command = self._admission.resolve_command(request, self._registry.find_any(button.command))
        options = self._admission.bind(request, command, buttons.stored_options(command, button.options))
        job = AnswerJob(request=request, command=command, options=options, private=row.private)
        await self._executor.run_page_turn(job, row, button, replies, locale)

    async def follow_up(self, request: Request, pressed: ButtonId) -> AnswerJob:
        """Return the job of the new answer that a button of an old one asks for.

        Raises UserError if it may not be pressed.
        """
        row, kind = await self._find_answer(request, pressed), pressed.kind
        question: int | None = None
        parent: int | None = row.id
        if kind in PLUGINS:
            if (button := buttons.find_button(pressed, row)) is None:
                raise Expired("This button has expired.")
            command = self._admission.resolve_command(request, self._registry.find_any(button.command))
            given, label = buttons.stored_options(command, button.options), button.label
        else:
            command = self._admission.resolve_command(request, self._answering_command(kind, row))
            fields = (request.action.fields if request.action else None) or {}
            given, label = buttons.changed_options(kind, command, row, fields), ""
            request = replace(request, options=buttons.accepted_fields(kind, command, fields))
            if kind in REPEATS:
                question, parent = row.parent, None
            elif kind == Kind.EDIT:
                parent = await self._parent_of_question(row)
        options = self._admission.bind(request, command, given)
        tokens = await self._read_tokens(row, request.place, options["at"]) if kind == Kind.FORK else ()
        cause = describe_press(pressed, label, row, command, options, tokens)
        return AnswerJob(
            request=replace(request, resume={**request.resume, CAUSE: cause}),
            command=command,
            options=options,
            private=row.private or command.private,
            question=question,
            parent=parent,
            source=row.id,
        )

    async def _read_tokens(self, row: MessageRow, place: Place, last: int) -> Sequence[Token]:
        """Return the tokens of an answer up to number `last`; what may not be shown here is hidden in them."""
        return await self._safety.filter_tokens((await self._messages.load_tokens(row.id))[: last + 1], place)

    def _answering_command(self, kind: Kind, row: MessageRow) -> Command:
        """Return the command that makes the answer which one of the core's buttons under `row` asks for."""
        if kind == Kind.FORK:
            if (command := self._registry.get(row.command.removesuffix(FORK_SUFFIX) + FORK_SUFFIX)) is None:
                raise UserError("Answers of /{command} cannot be forked.", command=row.command)
            return command
        # The next question about a fork is an ordinary one.
        return self._registry.find_any(visible_name(row.command) if kind == Kind.CONTINUE else row.command)

    async def _parent_of_question(self, row: MessageRow) -> int | None:
        """Return the row of the answer that the question of an answer replied to."""
        question = None if row.parent is None else await self._messages.get(row.parent)
        return None if question is None else question.parent


def _is_own(row: MessageRow, request: Request) -> bool:
    """Return whether the user who presses is the one who asked for the answer."""
    return (row.platform, row.author) == (request.place.platform, request.user.id)


def _may_press(row: MessageRow, request: Request, kind: Kind) -> bool:
    """Return whether the user may press a button of an answer from this place: rights do not reach other servers."""
    user, place = request.user, request.place
    if user.is_operator or _is_own(row, request):
        return True
    here = (row.platform, row.server) == (place.platform, place.server)
    # Moderators can end a private answer that they cannot read; other buttons would show them what was asked.
    return here and (not row.private or (user.is_moderator and kind in ENDING))
