"""What happens when a button under an answer is pressed, or the form behind it is sent."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.answers import buttons
from bot.core.errors import Expired, UserError
from bot.core.messages import Reply
from bot.moderation.actions import about

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from bot.access.admission import Admission
    from bot.answers.executor import AnswerExecutor
    from bot.commands.command import Command
    from bot.core.adapters import Adapters
    from bot.core.messages import Button, Form, Place, Request, User
    from bot.plugin_host.registry import Registry
    from bot.storage.audit import AuditEntry
    from bot.storage.database import MessageRow
    from bot.storage.messages import MessageStore


FORKS = "-fork"
ENDING = buttons.IN_PLACE - buttons.ANYBODY
"""These take something away, and show nothing."""


class ButtonActions:
    """The buttons of stored answers. Whatever they lead to passes the gate once more."""

    def __init__(
        self,
        *,
        registry: Registry,
        journal: MessageStore,
        answering: AnswerExecutor,
        gate: Admission,
        adapters: Adapters,
    ) -> None:
        self._registry = registry
        self._journal = journal
        self._answering = answering
        self._gate = gate
        self._adapters = adapters

    async def form(self, request: Request, row_id: int) -> Form:
        """The form behind Edit, filled in with what was asked. Raises UserError if whoever presses may not have it."""
        row = await self._pressed(request, "edit", row_id)
        command = self._registry.behind(row.command)
        return buttons.form(self._gate.opened(request, command), row.options, f"t:edit:{row_id}")

    async def _pressed(self, request: Request, action: str, row_id: int) -> MessageRow:
        row = await self._journal.get(row_id)
        if row is None or row.role != "assistant" or not _reaches(row, request, action):
            raise Expired("This has expired: it is no longer stored.")
        if not buttons.is_plugins(action):
            self._gate.pressed(request, action)
        if action == buttons.FORK and not seen(row, request.user, request.place):
            raise Expired("This has expired: it is no longer stored.")
        buttons.check(action, row, request.user)
        return row

    async def act(
        self, request: Request, action: str, row_id: int, *, turns: bool = False
    ) -> AsyncGenerator[Reply, None]:
        """What a press of `action` under the answer `row_id` leads to. Raises UserError if it may not be.

        `turns` says that it takes that answer's place.
        """
        row = await self._pressed(request, action, row_id)
        # One message is there for many people: it keeps the asker's language, or is translated for each reader.
        is_translated = self._adapters.capabilities(request.place.platform).translates_notes
        locale = "en" if is_translated else row.resume.get("locale") or request.user.locale
        match action:
            case "stop":
                await self._stop(row, None if _is_own(row, request) else about(request.user, "cancel", row))
            case "delete":
                self._answering.stop(row_id)
                await self._journal.delete(row, None if _is_own(row, request) else about(request.user, "remove", row))
                yield Reply(row=row_id, deleted=True, final=True)
            case "up" | "down":
                await self._journal.vote(row_id, request.user.id, 1 if action == "up" else -1)
                yield await self._answering.snapshot(row, locale)
            case _:
                led = self._turn(request, action, row, locale) if turns else self._follow_up(request, action, row)
                async with aclosing(led) as replies:
                    async for reply in replies:
                        yield reply

    async def _stop(self, row: MessageRow, entry: AuditEntry | None) -> None:
        """End an answer, wherever it is made; `entry` is noted in the audit. Raises UserError if it is finished."""
        is_here = self._answering.stop(row.id)
        if not is_here and not await self._journal.is_made(row):
            raise UserError("There is nothing to stop: this answer is finished.")
        if entry is not None or not is_here:
            await self._journal.take_away(row, entry)

    async def _turn(self, request: Request, action: str, row: MessageRow, locale: str) -> AsyncGenerator[Reply, None]:
        """Another page in the place of the one that an answer shows."""
        if (button := _button(action, row)) is None:
            # Whoever presses still saw the page before, so they are shown this one.
            yield await self._answering.snapshot(row, locale)
            return
        # What pages show was judged and counted when the answer was asked for. As messages of their own they count.
        command = replace(self._gate.opened(request, self._registry.behind(button.command)), free=True)
        options = self._gate.bound(request, command, button.options)
        async with aclosing(self._answering.turn(request, command, options, row, button, locale)) as replies:
            async for reply in replies:
                yield reply

    async def _follow_up(self, request: Request, action: str, row: MessageRow) -> AsyncGenerator[Reply, None]:
        """A new answer that grows out of an old one."""
        asked = request.action
        if buttons.is_plugins(action):
            if (button := _button(action, row)) is None:
                raise Expired("This button has expired.")
            command, given = self._registry.behind(button.command), button.options
            command = self._gate.opened(request, command)
            parent: int | None = row.id
            question: int | None = None
        else:
            command = self._forks(row) if action == buttons.FORK else self._registry.behind(row.command)
            command = self._gate.opened(request, command)
            fields = (asked.fields if asked else None) or {}
            given = buttons.changed(action, command, row, fields)
            request = replace(request, options=buttons.taken(action, command, fields))
            repeats = action in buttons.REPEATS
            question, parent = (row.parent, None) if repeats else (None, await self._before(row))
        options = self._gate.bound(request, command, given)
        private = row.private or command.private
        replies = self._answering.answer(
            request, command, options, private=private, question=question, parent=parent, source=row.id
        )
        async with aclosing(self._gate.metered(request, command, replies)) as metered:
            async for reply in metered:
                yield reply

    def _forks(self, row: MessageRow) -> Command:
        """The hidden command that goes on from the middle of an answer: it has the answer's name and “-fork”."""
        name = row.command.removesuffix(FORKS) + FORKS
        if (command := self._registry.get(name)) is None:
            raise UserError("Answers of /{command} cannot be forked.", command=row.command)
        return command

    async def _before(self, row: MessageRow) -> int | None:
        """What the question of an answer was a reply to."""
        question = None if row.parent is None else await self._journal.get(row.parent)
        return None if question is None else question.parent


def _button(action: str, row: MessageRow) -> Button | None:
    """The plugin's button of an answer that `action` is, if it has it (still)."""
    return next((one for one in buttons.stored(row) if buttons.parse(one.id)[0] == action), None)


def seen(row: MessageRow, user: User, place: Place) -> bool:
    """Whether an answer is shown to `user` in `place`."""
    here = (row.platform, row.server, row.channel) == (place.platform, place.server, place.channel)
    return here and (not row.private or row.author == user.id)


def _is_own(row: MessageRow, request: Request) -> bool:
    """Whether whoever presses asked for the answer."""
    return (row.platform, row.author) == (request.place.platform, request.user.id)


def _reaches(row: MessageRow, request: Request, action: str) -> bool:
    """Whether somebody there can have this button of an answer: rights in one server are none in another."""
    user, place = request.user, request.place
    if user.is_operator or _is_own(row, request):
        return True
    here = (row.platform, row.server) == (place.platform, place.server)
    # What moderators cannot read, they can end; any other button would show them what was asked.
    return here and (not row.private or (user.is_moderator and action in ENDING))
