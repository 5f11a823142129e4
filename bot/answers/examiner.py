"""Finds out where a picture file comes from: by the hashes of stored pictures, its manifest and its metadata."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bot.core.child_process import ChildTurns, NoTurn
from bot.core.errors import UserError
from bot.core.messages import PRIVATE_THREAD, Provenance
from bot.provenance.child_examination import examine_in_child
from bot.provenance.findings import PictureFindings
from bot.provenance.metadata import choose_facts
from bot.storage.places import is_visible

if TYPE_CHECKING:
    from bot.core.caller import Caller
    from bot.core.messages import Attachment
    from bot.provenance.stamping import Stamper
    from bot.storage.database import MessageRow
    from bot.storage.messages import MessageStore
    from bot.storage.pictures import PictureHashes

MAX_PROCESSES = 2
"""Pictures that are examined at once; the others wait for their turn."""
MAX_WAITING = 40
"""Pictures that wait at most; each is held in memory meanwhile."""
MAX_WAIT_SECONDS = 60.0
"""The time that somebody waits for their turn."""


class PictureExaminer:
    """Examines pictures that anybody may have made: each in a process of its own, a few at once, one of each user."""

    def __init__(self, stamper: Stamper, pictures: PictureHashes, messages: MessageStore) -> None:
        self._stamper = stamper
        self._pictures = pictures
        self._messages = messages
        self._turns = ChildTurns(MAX_PROCESSES, MAX_WAIT_SECONDS, MAX_WAITING)

    async def examine(self, file: Attachment, caller: Caller) -> PictureFindings:
        """Return what is known of a picture. Raises UserError if it is none, is damaged, or its turn does not come."""
        # Reading a certificate imports a large library the first time.
        trust = await asyncio.to_thread(lambda: self._stamper.trust)
        try:
            async with self._turns.take((caller.place.platform, caller.user.id)):
                examination = await examine_in_child(file, trust)
        except NoTurn:
            raise UserError("Other pictures are being examined at the moment; try it again in a minute.") from None
        row = await self._pictures.find(examination.hash)
        stored = None if row is None else await self._messages.load_reply(row)
        return PictureFindings(
            made=None if row is None else _describe(row, caller),
            is_stored=stored is not None and any(one.data == file.data for one in stored.attachments),
            manifest=examination.manifest,
            label=examination.label,
            is_vouched_for=not trust.is_local,
        )


def _describe(row: MessageRow, caller: Caller) -> Provenance:
    """Return how an answer was made: all of it for those who may see it, else only by which model and when."""
    if _may_see(row, caller):
        return Provenance(row.command, row.options, row.card, row.author_name, row.created)
    return Provenance(row.command, {}, choose_facts(row.card), "", row.created)


def _may_see(row: MessageRow, caller: Caller) -> bool:
    user, place = caller.user, caller.place
    if (row.platform, row.author) == (place.platform, user.id):
        return True
    is_elsewhere = bool(row.resume.get(PRIVATE_THREAD)) and row.thread != place.thread
    return is_visible(row, user, place) and not is_elsewhere
