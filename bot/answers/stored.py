"""Answers as they should look now: those that are being made, and those that are stored."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.answers import buttons
from bot.answers.cause import read_cause
from bot.answers.handlers import ending_status
from bot.core.errors import DatabaseUnavailable, Expired
from bot.core.i18n import Sentence
from bot.moderation.actions import answer_place
from bot.storage.places import is_visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.answers.services import Services
    from bot.core.messages import Cause, Place, Reply, User
    from bot.core.model_events import Token
    from bot.storage.database import MessageRow

log = logging.getLogger(__name__)


class StoredAnswers:
    """Shows answers with the buttons that they have now, and ends those that nobody makes any more."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def snapshot(self, row: MessageRow, locale: str, *, files: bool = True) -> Reply:
        """Return a stored answer as it should look now; without `files`, stored files are not read."""
        store = self._services.messages
        if (newest := self._services.runs.newest(row.id)) is not None:
            reply = self.as_shown(newest, row, locale)
            return reply if not reply.final else replace(reply, buttons=())
        reply = replace(await store.load_reply(row, files=files), final=True, status=ending_status(row.state, locale))
        return self.as_shown(reply, row, locale, await store.count_votes(row.id))

    def as_shown(self, reply: Reply, row: MessageRow, locale: str, votes: tuple[int, int] = (0, 0)) -> Reply:
        """Return a reply of an answer with its row, its quoted question, its cause and its buttons."""
        if reply.final:
            registry = self._services.registry
            command = registry.get(row.command)
            narrowed = None if command is None else registry.narrow(command, answer_place(row))
            offered = buttons.finished_buttons(narrowed, row, reply, votes, locale)
        else:
            offered = buttons.running_buttons(row.id, reply, locale)
        return replace(reply, row=row.id, quote=self._quote(row), cause=self._cause(row, locale), buttons=offered)

    def _quote(self, row: MessageRow) -> str:
        """Return the question of a public answer in one line; "" if it is not quoted."""
        command = self._services.registry.get(row.command)
        if row.private or command is None or not self._services.settings.value("answers.quote", answer_place(row)):
            return ""
        text = row.options.get(command.free_text.name) if command.free_text is not None else None
        return " ".join(str(text or "").split())

    def _cause(self, row: MessageRow, locale: str) -> Cause | None:
        """Return what led to an answer, in `locale` unless the platform translates such notes for each reader."""
        cause = read_cause(row)
        if cause is None or self._services.adapters.capabilities(row.platform).translates_notes:
            return cause
        return replace(cause, sentence=Sentence(cause.sentence.in_language(locale)))

    async def tokens(self, row_id: int, user: User, place: Place) -> Sequence[Token]:
        """Return the tokens of an answer that `user` sees in `place`; none if they are not stored.

        Raises Expired for an answer that is gone or that they cannot see there.
        """
        store = self._services.messages
        row = await store.get(row_id)
        if row is None or not is_visible(row, user, place):
            raise Expired("This has expired: it is no longer stored.")
        return await self._services.safety.filter_tokens(await store.load_tokens(row_id), place)

    async def delete_shown(self, platform: str, externals: Sequence[str]) -> list[str]:
        """Delete the answers that these messages showed, after somebody deleted the messages on the platform.

        Returns the platform's ids of the other messages that show the same answers.
        """
        store, others = self._services.messages, list[str]()
        for row in await store.find_answers(platform, externals):
            others += [external for external in await store.get_external_ids(row.id) if external not in externals]
            await store.delete(row)
            self._services.runs.stop(row.id)
        return others

    async def mark_interrupted(self, platforms: Sequence[str]) -> list[MessageRow]:
        """Mark the answers that a dead process left unfinished on these platforms as interrupted, and return them.

        Their plugins may still give them a last reply.
        """
        store, last = self._services.messages, list["MessageRow"]()
        for row in await store.mark_interrupted(platforms):
            await self.conclude(row.id)
            if (concluded := await store.get(row.id)) is not None:
                last.append(concluded)
        return last

    async def conclude(self, row_id: int) -> None:
        """Store the last reply that the plugin has for an answer which was interrupted, if it has one."""
        services = self._services
        try:
            row = await services.messages.get(row_id)
            plugin = None if row is None else services.registry.plugin_of(row.command)
            if row is None or plugin is None or (reply := await plugin.conclude(row.id)) is None:
                return
            marks = services.settings.value("answers.mark", answer_place(row))
            reply = await services.stamper.stamp(reply, marks=marks)
            offered = buttons.assign_ids(reply.buttons, row.id, buttons.next_number(row))
            await services.messages.finish(row.id, replace(reply, private=row.private, buttons=offered), "interrupted")
        except DatabaseUnavailable as error:
            log.warning("An interrupted answer cannot be concluded: %s", error)
        except Exception:
            # A plugin can raise any exception, and the answer has ended in any case.
            log.exception("The plugin of an interrupted answer could not conclude it")
