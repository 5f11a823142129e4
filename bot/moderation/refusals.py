"""Refused requests: recorded in the audit, explained to the asker, and appealed against."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from bot.core.button_ids import ButtonId, Kind
from bot.core.errors import DatabaseUnavailable, Expired, RequestRefused, UserError
from bot.core.i18n import translate
from bot.core.messages import Button, Place, Reply
from bot.safety.errors import ANSWER_PREFIX, Unsafe
from bot.storage.audit import APPEAL, REFUSAL, AuditEntry

if TYPE_CHECKING:
    from bot.core.adapters import Adapters
    from bot.core.messages import Request
    from bot.storage.audit import Audit

log = logging.getLogger(__name__)

MAX_KEPT_CHARACTERS = 1000
"""The most characters that are stored of a refused text."""


class Refusals:
    """Records refusals in the audit; the asker gets an explanation even if that fails."""

    def __init__(self, audit: Audit, adapters: Adapters, *, keeps_words: bool = True) -> None:
        """`keeps_words` says whether the words that were refused, or held back from an answer, are stored."""
        self._audit = audit
        self._adapters = adapters
        self._keeps_words = keeps_words

    async def record_and_explain(self, reply: Reply, request: Request, error: UserError) -> Reply:
        """Record `error` if it is a refusal; return `reply`, which shows it, with the reason and a button to appeal."""
        if not isinstance(error, RequestRefused):
            return reply
        reply = replace(reply, refused=True)
        number = await self.record(request, error)
        if not isinstance(error, Unsafe):
            return reply
        if error.is_help:
            return replace(reply, error=False)
        locale = request.user.locale
        status = translate("Reason: {reason}", locale, reason=error.reason)
        if number is None or not self._is_moderated(request.place):
            return replace(reply, status=status)
        appeal = Button(translate("Appeal", locale), action=Kind.APPEAL, id=str(ButtonId(Kind.APPEAL, number)))
        return replace(reply, status=status, buttons=(appeal,))

    async def record(self, request: Request, error: RequestRefused) -> int | None:
        """Record a refusal and return the number of its entry; None if it has none, or if that failed."""
        text = error.text[:MAX_KEPT_CHARACTERS] if self._keeps_words and isinstance(error, Unsafe) else ""
        entry = AuditEntry(
            actor=request.user,
            place=request.place,
            kind=REFUSAL,
            what=error.what,
            before=text or None,
            reason=error.code,
        )
        try:
            return await self._audit.record(entry)
        except DatabaseUnavailable:
            return None
        except SQLAlchemyError:
            log.exception("A refusal could not be recorded in the audit")
            return None

    async def appeal(self, request: Request, number: int) -> Reply:
        """Record an appeal against a refusal. Raises UserError if it was not the asker's, or if nobody could see it."""
        row = await self._audit.get(number)
        user, place = request.user, request.place
        if row is None or row.kind != REFUSAL or (row.platform, row.actor) != (place.platform, user.id):
            raise Expired("This has expired: it is no longer stored.")
        if not self._is_moderated(Place(row.platform, row.channel, row.server)):
            raise UserError("Direct messages have no moderators, so nobody could see your appeal.")
        entry = AuditEntry(
            actor=user,
            place=replace(place, server=row.server, channel=row.channel),
            kind=APPEAL,
            what=row.what,
            subject=str(number),
            before=row.before,
            reason=row.reason,
        )
        if not await self._audit.record_first(entry):
            raise UserError("The moderators have your appeal already.")
        if not row.before:
            sentence = (
                "The moderators can now see your appeal and the reason of the refusal, but not the words: "
                "these are not stored."
            )
        elif row.reason.startswith(ANSWER_PREFIX):
            sentence = "The moderators can now see what was held back of the answer, and why."
        else:
            sentence = "The moderators can now see what you wrote and why it was refused."
        return Reply(text=translate(sentence, user.locale), private=True, final=True)

    def _is_moderated(self, place: Place) -> bool:
        """Return whether somebody can see an appeal: moderators, or the person at the terminal."""
        return bool(place.server) or self._adapters.capabilities(place.platform).is_local
