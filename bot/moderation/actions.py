"""The actions of moderators: remove messages of the bot, time people out, list running answers and cancel them.

Every action is recorded in the audit in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.adapters import ShownMessage
from bot.core.errors import Expired, UserError
from bot.core.messages import Place, User
from bot.settings.scopes import server_scope
from bot.storage.audit import MODERATION, AuditEntry, AuditFilter
from bot.storage.database import ANNOUNCEMENT, now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from bot.access.policy import Policy
    from bot.access.timeouts import TimeOut, TimeOuts
    from bot.core.adapters import Adapters
    from bot.core.caller import Caller
    from bot.core.running import ActiveRuns
    from bot.settings.setting import Scope
    from bot.storage.audit import Audit
    from bot.storage.database import MessageRow
    from bot.storage.messages import MessageStore


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAnswer:
    """An answer that is being made. `status` is the status that its asker sees, if this process knows it."""

    row: int
    command: str
    author_name: str
    channel: str
    since: datetime
    is_written: bool
    status: str = ""


def answer_place(row: MessageRow) -> Place:
    """Return the place where an answer is."""
    return Place(row.platform, row.channel, row.server, row.thread)


def moderation_entry(actor: User, what: str, row: MessageRow) -> AuditEntry:
    """Return the audit entry for a moderator's action on an answer."""
    place = answer_place(row)
    subject = {"subject": row.author, "subject_name": row.author_name}
    return AuditEntry(actor=actor, place=place, kind=MODERATION, what=what, after={"command": row.command}, **subject)


@dataclass(kw_only=True, eq=False)
class Moderation:
    """The actions that moderators have in the place where they call. Raises PermissionDenied for everybody else."""

    audit: Audit
    messages: MessageStore
    runs: ActiveRuns
    timeouts: TimeOuts
    policy: Policy
    adapters: Adapters

    async def stop_requested_runs(self) -> None:
        """Stop the answers of this process that another process was asked to stop, cancel or delete."""
        for row_id in await self.messages.find_stopped(self.runs.ids):
            self.runs.stop(row_id)

    # Messages

    async def remove(self, caller: Caller, link: str) -> bool:
        """Delete the answer that a link or a number leads to, in the database and on the platform.

        Returns False if the platform still shows it. Raises UserError if it is no message of the bot in this server.
        """
        caller.require_moderator()
        adapter = self.adapters.get(caller.place.platform)
        shown = adapter.parse_link(link, caller.place) if adapter is not None else _parse_number(link, caller.place)
        if shown is None:
            sentence = "“{text}” is no link to a message; the menu of each message has one to copy."
            raise UserError(sentence, text=link[:60])
        if server_scope(shown.place) != server_scope(caller.place):
            raise UserError("That message is not of this server.")
        rows, store = await self._answer_rows(shown), self.messages
        if not rows:
            return await self._remove_unknown(caller, shown)
        is_gone = True
        for row in rows:
            externals = await store.get_external_ids(row.id) or [shown.external]
            asked = None if row.parent is None else await store.get(row.parent)
            await store.delete(row, moderation_entry(caller.user, "remove", row))
            self.runs.stop(row.id)
            is_last = row.parent is not None and await store.get(row.parent) is None
            question = "" if asked is None else asked.external
            where = ShownMessage(answer_place(row), shown.external, row.id, row.resume, is_last, question)
            is_gone = (adapter is None or await adapter.delete_messages(where, externals)) and is_gone
        return is_gone

    async def _answer_rows(self, shown: ShownMessage) -> list[MessageRow]:
        store, place = self.messages, shown.place
        if shown.row:
            rows = [row for row in [await store.get(shown.row)] if row is not None]
        else:
            rows = await store.find_answers(place.platform, [shown.external])
            rows = [row for row in rows if place.channel in (row.channel, row.thread)]
        here = [row for row in rows if (row.platform, row.server) == (place.platform, place.server)]
        return [row for row in here if row.role in ("assistant", ANNOUNCEMENT)]

    async def _remove_unknown(self, caller: Caller, shown: ShownMessage) -> bool:
        """Delete a message that is not stored, or no longer: a greeting, or an old answer."""
        adapter = self.adapters.get(caller.place.platform)
        if adapter is None or not await adapter.delete_messages(shown, [shown.external]):
            raise UserError("There is no message of mine there.")
        await self.audit.record(AuditEntry(actor=caller.user, place=shown.place, kind=MODERATION, what="remove"))
        return True

    # People

    async def time_out(self, caller: Caller, user: User, scope: Scope, span: timedelta, reason: str) -> TimeOut:
        """Time somebody out of a server for a while. Raises UserError if that is not possible.

        A time-out also applies in direct messages, so moderators can only time out people of their own server.
        """
        caller.require_moderator()
        person = await self._resolve_user(user, scope)
        if person.is_operator or self.policy.resolve_user(person, scope.place).is_moderator:
            raise UserError("Moderators cannot be timed out.")
        if person.roles is None and not await self._has_traces(person, scope):
            sentence = (
                "{name} is no member of this server, and nothing of theirs is stored here: I cannot time them out."
            )
            raise UserError(sentence, name=person.name[:60])
        return await self.timeouts.set(person, scope, now() + span, reason, caller.user)

    async def find_user(self, caller: Caller, user: User) -> User:
        """Return the user that somebody typed, perhaps by name; unchanged if another process runs the platform.

        Raises UserError if they cannot be found.
        """
        caller.require_moderator()
        is_run_here = self.adapters.get(caller.place.platform) is not None
        return await self._resolve_user(user, server_scope(caller.place)) if is_run_here else user

    async def _resolve_user(self, user: User, scope: Scope) -> User:
        if user.roles is not None:
            return user
        adapter = self.adapters.get(scope.platform)
        person = None if adapter is None else await adapter.find_user(user.id, scope.place)
        if person is None:
            sentence = "I could not find out who “{name}” is here. Pick them from the list, or give their id."
            raise UserError(sentence, name=user.name[:60])
        return person

    async def _has_traces(self, person: User, scope: Scope) -> bool:
        """Return whether anything that they did in a server is still stored."""
        entries = await self.audit.find(scope.platform, scope.server, AuditFilter(actor=person.id), limit=1)
        return bool(entries) or await self.messages.has_messages_of(scope.place, person.id)

    def time_outs(self, caller: Caller, scope: Scope) -> Sequence[TimeOut]:
        """Return the time-outs in force in a server, the next to end first."""
        caller.require_moderator()
        return self.timeouts.active_in(scope)

    async def lift(self, caller: Caller, number: int, scope: Scope) -> TimeOut:
        """End a time-out. Raises Expired if it has ended."""
        caller.require_moderator()
        lifted = await self.timeouts.lift(number, scope, caller.user)
        if lifted is None:
            raise Expired("This time-out has ended already.")
        return lifted

    # Running answers

    async def queue(self, caller: Caller, scope: Scope) -> Sequence[RunningAnswer]:
        """Return the answers that any process is making for a server, the oldest first."""
        caller.require_moderator()
        return [self._running_answer(row) for row in await self.messages.find_unfinished(scope.platform, scope.server)]

    async def cancel(self, caller: Caller, row_id: int, scope: Scope) -> RunningAnswer:
        """Stop an answer, in whichever process it is made. Raises Expired if it is finished."""
        caller.require_moderator()
        rows = await self.messages.find_unfinished(scope.platform, scope.server)
        row = next((row for row in rows if row.id == row_id), None)
        if row is None:
            raise Expired("There is nothing to stop: this answer has ended.")
        await self.messages.request_stop(row, moderation_entry(caller.user, "cancel", row))
        self.runs.stop(row_id)
        return self._running_answer(row)

    def _running_answer(self, row: MessageRow) -> RunningAnswer:
        newest = self.runs.newest(row.id)
        return RunningAnswer(
            row=row.id,
            command=row.command,
            author_name=row.author_name,
            channel=row.channel,
            since=row.created,
            is_written=bool(newest.text) if newest is not None else row.state == "running",
            status=newest.status if newest is not None else "",
        )


def _parse_number(link: str, place: Place) -> ShownMessage | None:
    number = link.strip().removeprefix("#")
    return ShownMessage(place, row=int(number)) if number.isdecimal() and len(number) < 19 else None
