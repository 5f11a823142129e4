"""What was refused: noted for those who answer for it, told with its reason, and appealed against."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from bot.core.errors import Expired, RequestRefused, UserError
from bot.core.i18n import translate
from bot.core.messages import Button, Place, Reply
from bot.safety.verdict import ANSWER, Unsafe
from bot.storage.audit import APPEAL, REFUSAL, AuditEntry, AuditFilter

if TYPE_CHECKING:
    from bot.core.adapters import Adapters
    from bot.core.messages import Request
    from bot.storage.audit import Audit

log = logging.getLogger(__name__)

KEPT = 1000
"""Characters of a refused text that moderators are shown."""


class Refusals:
    """Writes to the audit; whoever was refused hears of it even if that cannot be reached."""

    def __init__(self, audit: Audit, adapters: Adapters, *, keeps: bool = True) -> None:
        """`keeps` says whether the words are stored that were refused, or held back of an answer."""
        self._audit = audit
        self._adapters = adapters
        self._keeps = keeps

    async def told(self, reply: Reply, request: Request, error: UserError) -> Reply:
        """`reply`, which tells `error`, with the reason and an appeal where one is possible; the refusal is noted."""
        if not isinstance(error, RequestRefused):
            return reply
        reply = replace(reply, refused=True)
        number = await self.note(request, error)
        if not isinstance(error, Unsafe):
            return reply
        if error.helps:
            return replace(reply, error=False)
        locale = request.user.locale
        status = translate("Reason: {reason}", locale, reason=error.reason)
        if number is None or not self._is_moderated(request.place):
            return replace(reply, status=status)
        appeal = Button(translate("Appeal", locale), action=APPEAL, id=f"t:{APPEAL}:{number}")
        return replace(reply, status=status, buttons=(appeal,))

    async def note(self, request: Request, error: RequestRefused) -> int | None:
        """Note a refusal; its number, or None where that could not be done."""
        text = error.text[:KEPT] if self._keeps and isinstance(error, Unsafe) else ""
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
        except SQLAlchemyError:
            log.exception("A refusal could not be noted")
            return None

    async def appeal(self, request: Request, number: int) -> Reply:
        """Tell the moderators that somebody thinks a refusal wrong. Raises UserError if it is not theirs to tell."""
        row = await self._audit.get(number)
        user, place = request.user, request.place
        if row is None or row.kind != REFUSAL or (row.platform, row.actor) != (place.platform, user.id):
            raise Expired("This has expired: it is no longer stored.")
        if not self._is_moderated(Place(row.platform, row.channel, row.server)):
            raise UserError("Direct messages have no moderators, so nobody could see your appeal.")
        wanted = AuditFilter(kind=APPEAL, subject=str(number))
        if await self._audit.find(row.platform, row.server, wanted, limit=1):
            raise UserError("The moderators have your appeal already.")
        entry = AuditEntry(
            actor=user,
            place=replace(place, server=row.server, channel=row.channel),
            kind=APPEAL,
            what=row.what,
            subject=str(number),
            before=row.before,
            reason=row.reason,
        )
        await self._audit.record(entry)
        if not row.before:
            sentence = (
                "The moderators can now see your appeal and the reason of the refusal, but not the words: "
                "these are not stored."
            )
        elif row.reason.startswith(ANSWER):
            sentence = "The moderators can now see what was held back of the answer, and why."
        else:
            sentence = "The moderators can now see what you wrote and why it was refused."
        return Reply(text=translate(sentence, user.locale), private=True, final=True)

    def _is_moderated(self, place: Place) -> bool:
        """Return whether somebody can see an appeal: moderators, or whoever runs the bot at their own machine."""
        return bool(place.server) or self._adapters.capabilities(place.platform).is_local
