"""What moderators do: remove messages of the bot, time people out, see what is being answered, and cancel it.

Whatever is done is in the audit in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.adapters import ShownMessage
from bot.core.errors import Expired, UserError
from bot.core.messages import Place, User
from bot.settings.scopes import home
from bot.storage.audit import MODERATION, AuditEntry, AuditFilter
from bot.storage.database import now

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
    """An answer that is being made. `status` is what its asker is told of how it goes, where that is known."""

    row: int
    command: str
    author_name: str
    channel: str
    since: datetime
    is_written: bool
    status: str = ""


def about(actor: User, what: str, row: MessageRow) -> AuditEntry:
    """What is noted when a moderator does something to an answer."""
    place = Place(row.platform, row.channel, row.server, row.thread)
    subject = {"subject": row.author, "subject_name": row.author_name}
    return AuditEntry(actor=actor, place=place, kind=MODERATION, what=what, after={"command": row.command}, **subject)


class Moderation:
    """What moderators can do in the place where they call. Everybody else is refused with PermissionDenied."""

    def __init__(
        self,
        *,
        audit: Audit,
        messages: MessageStore,
        runs: ActiveRuns,
        timeouts: TimeOuts,
        policy: Policy,
        adapters: Adapters,
    ) -> None:
        self._audit = audit
        self._messages = messages
        self._runs = runs
        self._timeouts = timeouts
        self._policy = policy
        self._adapters = adapters

    async def heed(self) -> None:
        """Stop what is made here and was cancelled or deleted in another process."""
        for row_id in await self._messages.find_stopped(self._runs.ids):
            self._runs.stop(row_id)

    # Messages

    async def remove(self, caller: Caller, link: str) -> bool:
        """Delete the answer that a link (or its number) leads to, here and where it is shown.

        False if the platform still shows it. Raises UserError if there is none of the bot's in this server.
        """
        caller.require_moderator()
        adapter = self._adapters.get(caller.place.platform)
        shown = adapter.parse_link(link, caller.place) if adapter is not None else _numbered(link, caller.place)
        if shown is None:
            sentence = "“{text}” is no link to a message; the menu of each message has one to copy."
            raise UserError(sentence, text=link[:60])
        if home(shown.place) != home(caller.place):
            raise UserError("That message is not of this server.")
        rows, store = await self._rows(shown), self._messages
        if not rows:
            return await self._remove_unknown(caller, shown)
        is_gone = True
        for row in rows:
            externals = await store.get_external_ids(row.id) or [shown.external]
            asked = None if row.parent is None else await store.get(row.parent)
            self._runs.stop(row.id)
            await store.delete(row, about(caller.user, "remove", row))
            is_last = row.parent is not None and await store.get(row.parent) is None
            question = "" if asked is None else asked.external
            place = Place(row.platform, row.channel, row.server, row.thread)
            where = ShownMessage(place, shown.external, row.id, row.resume, is_last, question)
            is_gone = (adapter is None or await adapter.delete_messages(where, externals)) and is_gone
        return is_gone

    async def _rows(self, shown: ShownMessage) -> list[MessageRow]:
        store, place = self._messages, shown.place
        if shown.row:
            found = [row for row in [await store.get(shown.row)] if row is not None]
        else:
            found = await store.find_answers(place.platform, [shown.external])
            found = [row for row in found if place.channel in (row.channel, row.thread)]
        here = [row for row in found if (row.platform, row.server) == (place.platform, place.server)]
        return [row for row in here if row.role == "assistant"]

    async def _remove_unknown(self, caller: Caller, shown: ShownMessage) -> bool:
        """Delete what is not stored, or no longer: a greeting, or an old answer."""
        adapter = self._adapters.get(caller.place.platform)
        if adapter is None or not await adapter.delete_messages(shown, [shown.external]):
            raise UserError("There is no message of mine there.")
        await self._audit.record(AuditEntry(actor=caller.user, place=shown.place, kind=MODERATION, what="remove"))
        return True

    # People

    async def time_out(self, caller: Caller, user: User, scope: Scope, span: timedelta, reason: str) -> TimeOut:
        """Keep somebody from the bot for a while. Raises UserError for whom that cannot be done to.

        It counts in direct messages, too, so that it must not be for people whom this server has nothing to do with.
        """
        caller.require_moderator()
        person = await self._found(user, scope)
        if person.is_operator or self._policy.recognised(person, scope.place).is_moderator:
            raise UserError("Moderators cannot be timed out.")
        if person.roles is None and not await self._is_known(person, scope):
            sentence = (
                "{name} is no member of this server, and nothing of theirs is stored here: I cannot time them out."
            )
            raise UserError(sentence, name=person.name[:60])
        return await self._timeouts.set(person, scope, now() + span, reason, caller.user)

    async def find_user(self, caller: Caller, user: User) -> User:
        """Who somebody is who may have been typed by their name; as typed where the platform runs elsewhere.

        Raises UserError if nobody can say.
        """
        caller.require_moderator()
        is_run_here = self._adapters.get(caller.place.platform) is not None
        return await self._found(user, home(caller.place)) if is_run_here else user

    async def _found(self, user: User, scope: Scope) -> User:
        if user.roles is not None:
            return user
        adapter = self._adapters.get(scope.platform)
        person = None if adapter is None else await adapter.find_user(user.id, scope.place)
        if person is None:
            sentence = "I could not find out who “{name}” is here. Pick them from the list, or give their id."
            raise UserError(sentence, name=user.name[:60])
        return person

    async def _is_known(self, person: User, scope: Scope) -> bool:
        """Whether they did anything in a server that is still stored."""
        did = AuditFilter(actor=person.id)
        noted = await self._audit.find(scope.platform, scope.server, did, limit=1)
        return bool(noted) or await self._messages.has_messages_of(scope.place, person.id)

    def time_outs(self, caller: Caller, scope: Scope) -> Sequence[TimeOut]:
        """Those in force, the next to end first."""
        caller.require_moderator()
        return self._timeouts.within(scope)

    async def lift(self, caller: Caller, number: int, scope: Scope) -> TimeOut:
        """End a time-out. Raises Expired if it has ended."""
        caller.require_moderator()
        lifted = await self._timeouts.lift(number, scope, caller.user)
        if lifted is None:
            raise Expired("This time-out has ended already.")
        return lifted

    # What is being answered

    async def queue(self, caller: Caller, scope: Scope) -> Sequence[RunningAnswer]:
        """What is being answered in a server, in every process, the oldest first."""
        caller.require_moderator()
        return [self._job(row) for row in await self._messages.find_unfinished(scope.platform, scope.server)]

    async def cancel(self, caller: Caller, row_id: int, scope: Scope) -> RunningAnswer:
        """Stop an answer, wherever it is made. Raises Expired if there is nothing to stop."""
        caller.require_moderator()
        rows = await self._messages.find_unfinished(scope.platform, scope.server)
        row = next((row for row in rows if row.id == row_id), None)
        if row is None:
            raise Expired("There is nothing to stop: this answer is finished.")
        await self._messages.request_stop(row, about(caller.user, "cancel", row))
        self._runs.stop(row_id)
        return self._job(row)

    def _job(self, row: MessageRow) -> RunningAnswer:
        newest = self._runs.newest(row.id)
        return RunningAnswer(
            row=row.id,
            command=row.command,
            author_name=row.author_name,
            channel=row.channel,
            since=row.created,
            is_written=bool(newest.text) if newest is not None else row.state == "running",
            status=newest.status if newest is not None else "",
        )


def _numbered(link: str, place: Place) -> ShownMessage | None:
    number = link.strip().removeprefix("#")
    return ShownMessage(place, row=int(number)) if number.isdecimal() and len(number) < 19 else None
