"""What moderators do: remove messages of the bot, time people out, see what is being answered, and cancel it.

Whatever is done is in the audit in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.adapters import ShownMessage
from bot.core.errors import Expired, PermissionDenied, UserError
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
    """For all servers; `ModerationHere` looks at who asks."""

    def __init__(
        self,
        *,
        audit: Audit,
        journal: MessageStore,
        runs: ActiveRuns,
        timeouts: TimeOuts,
        policy: Policy,
        adapters: Adapters,
    ) -> None:
        self.audit = audit
        self.journal = journal
        self.runs = runs
        self.timeouts = timeouts
        self.policy = policy
        self.adapters = adapters

    async def heed(self) -> None:
        """Stop what is made here and was cancelled or deleted in another process."""
        for row_id in await self.journal.taken_away(self.runs.ids):
            self.runs.stop(row_id)


@dataclass(frozen=True, slots=True)
class ModerationHere:
    """What the moderators of a place can do there; whoever else tries is refused with PermissionDenied."""

    _all: Moderation
    _user: User
    _place: Place

    def _check(self) -> None:
        if not self._user.is_moderator and not self._user.is_operator:
            raise PermissionDenied("Only moderators can do that.", code="moderators")

    # Messages

    async def remove(self, link: str) -> bool:
        """Delete the answer that a link (or its number) leads to, here and where it is shown.

        False if the platform still shows it. Raises UserError if there is none of the bot's in this server.
        """
        self._check()
        adapter = self._all.adapters.get(self._place.platform)
        shown = adapter.parse_link(link, self._place) if adapter is not None else _numbered(link, self._place)
        if shown is None:
            sentence = "“{text}” is no link to a message; the menu of each message has one to copy."
            raise UserError(sentence, text=link[:60])
        if home(shown.place) != home(self._place):
            raise UserError("That message is not of this server.")
        rows, journal = await self._rows(shown), self._all.journal
        if not rows:
            return await self._remove_unknown(shown)
        is_gone = True
        for row in rows:
            externals = await journal.delivered(row.id) or [shown.external]
            asked = None if row.parent is None else await journal.get(row.parent)
            self._all.runs.stop(row.id)
            await journal.delete(row, about(self._user, "remove", row))
            is_last = row.parent is not None and await journal.get(row.parent) is None
            question = "" if asked is None else asked.external
            place = Place(row.platform, row.channel, row.server, row.thread)
            where = ShownMessage(place, shown.external, row.id, row.resume, is_last, question)
            is_gone = (adapter is None or await adapter.delete_messages(where, externals)) and is_gone
        return is_gone

    async def _rows(self, shown: ShownMessage) -> list[MessageRow]:
        journal, place = self._all.journal, shown.place
        if shown.row:
            found = [row for row in [await journal.get(shown.row)] if row is not None]
        else:
            found = await journal.shown_by(place.platform, [shown.external])
            found = [row for row in found if place.channel in (row.channel, row.thread)]
        here = [row for row in found if (row.platform, row.server) == (place.platform, place.server)]
        return [row for row in here if row.role == "assistant"]

    async def _remove_unknown(self, shown: ShownMessage) -> bool:
        """Delete what is not stored, or no longer: a greeting, or an old answer."""
        adapter = self._all.adapters.get(self._place.platform)
        if adapter is None or not await adapter.delete_messages(shown, [shown.external]):
            raise UserError("There is no message of mine there.")
        await self._all.audit.record(AuditEntry(actor=self._user, place=shown.place, kind=MODERATION, what="remove"))
        return True

    # People

    async def time_out(self, user: User, scope: Scope, span: timedelta, reason: str) -> TimeOut:
        """Keep somebody from the bot for a while. Raises UserError for whom that cannot be done to.

        It counts in direct messages, too, so that it must not be for people whom this server has nothing to do with.
        """
        self._check()
        person = await self._found(user, scope)
        if person.is_operator or self._all.policy.recognised(person, scope.place).is_moderator:
            raise UserError("Moderators cannot be timed out.")
        if person.roles is None and not await self._is_known(person, scope):
            sentence = (
                "{name} is no member of this server, and nothing of theirs is stored here: I cannot time them out."
            )
            raise UserError(sentence, name=person.name[:60])
        return await self._all.timeouts.set(person, scope, now() + span, reason, self._user)

    async def whom(self, user: User) -> User:
        """Who somebody is who may have been typed by their name; as typed where the platform runs elsewhere.

        Raises UserError if nobody can say.
        """
        self._check()
        is_run_here = self._all.adapters.get(self._place.platform) is not None
        return await self._found(user, home(self._place)) if is_run_here else user

    async def _found(self, user: User, scope: Scope) -> User:
        if user.roles is not None:
            return user
        adapter = self._all.adapters.get(scope.platform)
        person = None if adapter is None else await adapter.find_user(user.id, scope.place)
        if person is None:
            sentence = "I could not find out who “{name}” is here. Pick them from the list, or give their id."
            raise UserError(sentence, name=user.name[:60])
        return person

    async def _is_known(self, person: User, scope: Scope) -> bool:
        """Whether they did anything in a server that is still stored."""
        did = AuditFilter(actor=person.id)
        noted = await self._all.audit.find(scope.platform, scope.server, did, most=1)
        return bool(noted) or await self._all.journal.has_asked(scope.place, person.id)

    def time_outs(self, scope: Scope) -> Sequence[TimeOut]:
        """Those in force, the next to end first."""
        self._check()
        return self._all.timeouts.within(scope)

    async def lift(self, number: int, scope: Scope) -> TimeOut:
        """End a time-out. Raises Expired if it has ended."""
        self._check()
        lifted = await self._all.timeouts.lift(number, scope, self._user)
        if lifted is None:
            raise Expired("This time-out has ended already.")
        return lifted

    # What is being answered

    async def queue(self, scope: Scope) -> Sequence[RunningAnswer]:
        """What is being answered in a server, in every process, the oldest first."""
        self._check()
        return [self._job(row) for row in await self._all.journal.unfinished(scope.platform, scope.server)]

    async def cancel(self, row_id: int, scope: Scope) -> RunningAnswer:
        """Stop an answer, wherever it is made. Raises Expired if there is nothing to stop."""
        self._check()
        rows = await self._all.journal.unfinished(scope.platform, scope.server)
        row = next((row for row in rows if row.id == row_id), None)
        if row is None:
            raise Expired("There is nothing to stop: this answer is finished.")
        await self._all.journal.take_away(row, about(self._user, "cancel", row))
        self._all.runs.stop(row_id)
        return self._job(row)

    def _job(self, row: MessageRow) -> RunningAnswer:
        newest = self._all.runs.newest(row.id)
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
