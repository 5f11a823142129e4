"""What a button under an answer does when it is pressed, and the form behind it when it is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bot.answers import buttons
from bot.answers.executor import AnswerJob, PageTurn
from bot.core.errors import Expired, UserError
from bot.core.messages import Reply
from bot.moderation.actions import about

if TYPE_CHECKING:
    from bot.answers.executor import AnswerExecutor
    from bot.answers.services import Services
    from bot.commands.command import Command
    from bot.core.latest import Latest
    from bot.core.messages import Button, Form, Place, Request, User
    from bot.storage.audit import AuditEntry
    from bot.storage.database import MessageRow


FORKS = "-fork"
ENDING = buttons.IN_PLACE - buttons.ANYBODY
"""Buttons that take something away, and show nothing."""


class ButtonActions:
    """The buttons of stored answers. Whatever they lead to passes admission once more."""

    def __init__(self, services: Services, executor: AnswerExecutor) -> None:
        self._registry = services.registry
        self._messages = services.messages
        self._admission = services.admission
        self._adapters = services.adapters
        self._executor = executor

    async def form(self, request: Request, row_id: int) -> Form:
        """Return the form behind Edit, filled in with what was asked. Raises UserError for whoever may not have it."""
        row = await self._pressed(request, "edit", row_id)
        command = self._registry.behind(row.command)
        return buttons.form(self._admission.opened(request, command), row.options, f"t:edit:{row_id}")

    async def _pressed(self, request: Request, action: str, row_id: int) -> MessageRow:
        row = await self._messages.get(row_id)
        if row is None or row.role != "assistant" or not _reaches(row, request, action):
            raise Expired("This has expired: it is no longer stored.")
        if not buttons.is_plugins(action):
            self._admission.pressed(request, action)
        if action == buttons.FORK and not is_visible(row, request.user, request.place):
            raise Expired("This has expired: it is no longer stored.")
        buttons.check(action, row, request.user)
        return row

    async def act(
        self, request: Request, action: str, row_id: int, replies: Latest[Reply], *, turns: bool = False
    ) -> None:
        """Do what a press of `action` under the answer `row_id` leads to. Raises UserError if it may not be.

        `turns` says that what comes takes that answer's place.
        """
        row = await self._pressed(request, action, row_id)
        # One message is there for many people: it keeps the asker's language, or is translated for each reader.
        is_translated = self._adapters.capabilities(request.place.platform).translates_notes
        locale = "en" if is_translated else row.resume.get("locale") or request.user.locale
        match action:
            case "stop":
                await self._stop(row, None if _is_own(row, request) else about(request.user, "cancel", row))
            case "delete":
                self._executor.stop(row_id)
                await self._messages.delete(row, None if _is_own(row, request) else about(request.user, "remove", row))
                replies.put(Reply(row=row_id, deleted=True, final=True))
            case "up" | "down":
                await self._messages.vote(row_id, request.user.id, 1 if action == "up" else -1)
                replies.put(await self._executor.snapshot(row, locale))
            case _ if turns:
                await self._turn_page(request, action, row, locale, replies)
            case _:
                await self._executor.run_answer(await self._follow_up(request, action, row), replies)

    async def _stop(self, row: MessageRow, entry: AuditEntry | None) -> None:
        """End an answer, wherever it is made; `entry` is noted in the audit. Raises UserError if it is finished."""
        is_here = self._executor.stop(row.id)
        if not is_here and not await self._messages.is_in_progress(row):
            raise UserError("There is nothing to stop: this answer is finished.")
        if entry is not None or not is_here:
            await self._messages.request_stop(row, entry)

    async def _turn_page(
        self, request: Request, action: str, row: MessageRow, locale: str, replies: Latest[Reply]
    ) -> None:
        """Put another page in the place of the one that an answer shows."""
        if (button := _find_button(action, row)) is None:
            # Whoever presses still saw the page before, so they are shown this one.
            replies.put(await self._executor.snapshot(row, locale))
            return
        # What pages show was judged and counted when the answer was asked for. As messages of their own they count.
        command = replace(self._admission.opened(request, self._registry.behind(button.command)), free=True)
        options = self._admission.bound(request, command, button.options)
        job = AnswerJob(request=request, command=command, options=options, private=row.private)
        await self._executor.run_page_turn(PageTurn(job=job, row=row, button=button, locale=locale), replies)

    async def _follow_up(self, request: Request, action: str, row: MessageRow) -> AnswerJob:
        """Return the job of a new answer that grows out of an old one."""
        question: int | None
        parent: int | None
        if buttons.is_plugins(action):
            if (button := _find_button(action, row)) is None:
                raise Expired("This button has expired.")
            command = self._admission.opened(request, self._registry.behind(button.command))
            given = button.options
            question, parent = None, row.id
        else:
            command = self._fork_command(row) if action == buttons.FORK else self._registry.behind(row.command)
            command = self._admission.opened(request, command)
            fields = (request.action.fields if request.action else None) or {}
            given = buttons.changed(action, command, row, fields)
            request = replace(request, options=buttons.taken(action, command, fields))
            repeats = action in buttons.REPEATS
            question, parent = (row.parent, None) if repeats else (None, await self._parent_of_question(row))
        return AnswerJob(
            request=request,
            command=command,
            options=self._admission.bound(request, command, given),
            private=row.private or command.private,
            question=question,
            parent=parent,
            source=row.id,
        )

    def _fork_command(self, row: MessageRow) -> Command:
        """Return the hidden command that goes on from the middle of an answer: it has the answer's name and “-fork”."""
        name = row.command.removesuffix(FORKS) + FORKS
        if (command := self._registry.get(name)) is None:
            raise UserError("Answers of /{command} cannot be forked.", command=row.command)
        return command

    async def _parent_of_question(self, row: MessageRow) -> int | None:
        """Return the row of the answer that the question of an answer replied to."""
        question = None if row.parent is None else await self._messages.get(row.parent)
        return None if question is None else question.parent


def _find_button(action: str, row: MessageRow) -> Button | None:
    """Return the plugin's button of an answer that `action` names, if the answer has it (still)."""
    return next((one for one in buttons.stored(row) if buttons.parse(one.id)[0] == action), None)


def is_visible(row: MessageRow, user: User, place: Place) -> bool:
    """Return whether an answer is shown to `user` in `place`."""
    here = (row.platform, row.server, row.channel) == (place.platform, place.server, place.channel)
    return here and (not row.private or row.author == user.id)


def _is_own(row: MessageRow, request: Request) -> bool:
    """Return whether whoever presses asked for the answer."""
    return (row.platform, row.author) == (request.place.platform, request.user.id)


def _reaches(row: MessageRow, request: Request, action: str) -> bool:
    """Return whether somebody there can have this button of an answer: rights in one server are none in another."""
    user, place = request.user, request.place
    if user.is_operator or _is_own(row, request):
        return True
    here = (row.platform, row.server) == (place.platform, place.server)
    # What moderators cannot read, they can end; any other button would show them what was asked.
    return here and (not row.private or (user.is_moderator and action in ENDING))
