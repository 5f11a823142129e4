"""Makes the answers of decided requests: stores the question, runs the handler, and stores the answer."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from bot.answers import buttons
from bot.answers.handlers import error_reply
from bot.core import metrics
from bot.core.errors import DatabaseUnavailable
from bot.core.messages import Channel, Reply, base_platform
from bot.core.running import ActiveRun
from bot.core.splitting import merge_columns
from bot.storage.serialization import buttons_as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.answers.context_factory import ContextFactory
    from bot.answers.handlers import AnswerJob, HandlerRunner
    from bot.answers.services import Services
    from bot.answers.stored import StoredAnswers
    from bot.core.i18n import Sentence
    from bot.core.latest import Latest
    from bot.core.messages import Button, Place
    from bot.storage.database import MessageRow

tracer = trace.get_tracer("tempera.bot")

SAVE_SECONDS = 2.0
"""How often a growing answer is stored, and so how much of it a crash may lose."""


@dataclass(slots=True, kw_only=True)
class Making:
    """The state of an answer from the moment when its question is stored."""

    job: AnswerJob
    replies: Latest[Reply]
    started: float
    note: Sentence | None
    """What its asker is told beside the answer."""
    asked: MessageRow
    row: MessageRow
    run: ActiveRun
    is_kept: bool
    waited: float | None = None
    """After how many seconds there was something to see."""
    saved: float = -math.inf
    """When its text was stored last."""
    offered: tuple[Button, ...] = ()
    """The plugin's buttons that were shown while it was made."""
    is_stored: bool = False
    state: str = "interrupted"
    """How it has ended, unless that is stored."""


class AnswerExecutor:
    """Makes answers, choices and pages."""

    def __init__(
        self, services: Services, contexts: ContextFactory, handlers: HandlerRunner, stored: StoredAnswers
    ) -> None:
        self._services = services
        self._contexts = contexts
        self._handlers = handlers
        self._stored = stored
        self._unsettled: dict[int, dict[str, str]] = {}
        """The endings of answers that could not be stored, by row: columns to change, or none for a row to delete."""

    async def run_answer(self, job: AnswerJob, replies: Latest[Reply]) -> None:
        """Store the question, run the handler, publish its snapshots, and store the answer.

        It counts as one use unless nothing but an error was shown; an answer that was withheld counts. Cancelling it
        marks the answer as interrupted. Raises UserError, before anything is stored, if the question is unsafe, a limit
        is used up, or a channel does not exist.
        """
        about = {"tempera.command": job.command.name, "tempera.platform": job.request.place.platform}
        # An error's sentence may have words of who asked.
        span = tracer.start_as_current_span(
            "answer", attributes=about, record_exception=False, set_status_on_exception=False
        )
        with span:
            async with self._services.admission.count_use(job.request, job.command) as use:
                making = await self._store(job, replies)
                try:
                    await self._run(making)
                    await self._finish(making)
                finally:
                    self._services.runs.end(making.row.id)
                    if not making.is_stored:
                        await self._leave(making)
                last = making.run.newest
                if last.error and not (last.partial or last.refused):
                    use.refund()

    async def _store(self, job: AnswerJob, replies: Latest[Reply]) -> Making:
        """Check the question, and store it with a queued answer."""
        services, request, command, started = self._services, job.request, job.command, time.monotonic()
        job = replace(job, options=await self._resolve_channels(job.options, request.place))
        note = await services.safety.check(command, job.options, request.place, user=request.user.id)
        if command.moderator:
            note = await services.log_channel.take_warning(request.place)
        private = job.private or note is not None or services.settings.value("answers.private", request.place)
        asked, row = await services.messages.create_exchange(
            request, command, job.options, private=private, question=job.question, parent=job.parent, source=job.source
        )
        return Making(
            job=job,
            replies=replies,
            started=started,
            note=note,
            asked=asked,
            row=row,
            run=services.runs.begin(row.id, private=private),
            is_kept=services.keeps_answers and command.kept,
        )

    async def _run(self, making: Making) -> None:
        """Run the handler, and show what it yields."""
        job, row, run = making.job, making.row, making.run
        self._show(making, run.newest, keep=True)
        await self._services.messages.give_way()
        context = self._contexts.make(job.request, job.command, making.asked, answer=row.id, private=run.newest.private)
        await self._handlers.run(run, job, context, partial(self._publish, making), making.note)

    async def _publish(self, making: Making, reply: Reply) -> None:
        """Show a snapshot, and store of it what must not be lost; the final one is stored before it is shown."""
        store, row_id = self._services.messages, making.row.id
        if making.waited is None and (reply.text or reply.attachments) and not reply.error:
            making.waited = time.monotonic() - making.started
        if reply.final:
            return
        if reply.buttons != making.offered:
            # Before they are shown, so that they can be pressed at once, in any process.
            await store.update(row_id, buttons=buttons_as_json(reply.buttons))
            making.offered = reply.buttons
        self._show(making, reply)
        if making.is_kept and reply.text and time.monotonic() - making.saved > SAVE_SECONDS:
            # What is stored now is only for a crash, so that the answer need not end for it.
            with suppress(DatabaseUnavailable):
                await store.update(row_id, text=merge_columns(reply).text, state="running")
            making.saved = time.monotonic()

    def _show(self, making: Making, reply: Reply, *, keep: bool = False) -> None:
        shown = self._stored.as_shown(reply, making.row, making.job.request.user.locale)
        making.replies.put(shown, keep=keep)

    async def _finish(self, making: Making) -> None:
        """Store the answer, and show its end."""
        store, row_id, job, last = self._services.messages, making.row.id, making.job, making.run.newest
        if last.buttons != making.offered:
            # Whoever still sees a button of an earlier snapshot must not press another one with its number.
            last = replace(last, buttons=buttons.assign_ids(last.buttons, row_id, len(making.offered)))
        end = "failed" if last.error else "stopped" if making.run.stopped else "done"
        metrics.ANSWERS.labels(base_platform(job.request.place.platform), job.command.name, end).inc()
        if making.waited is not None:
            metrics.FIRST_OUTPUT.labels(job.command.name).observe(making.waited)
        try:
            if making.is_kept:
                exists = await store.finish(row_id, last, end, making.waited)
            else:
                exists = await store.erase(row_id, end, making.waited)
            making.is_stored = True
        except DatabaseUnavailable as error:
            exists, making.state = True, "failed"
            if not last.error:
                last = making.run.newest = error_reply(last, error.sentence, job.request)
        self._show(making, replace(last, deleted=not exists))

    async def _leave(self, making: Making) -> None:
        """Store how an answer has ended that could not be finished."""
        row_id, is_noted = making.row.id, making.job.command.kept
        text = making.run.newest.text if making.is_kept else ""
        await asyncio.shield(self._settle(row_id, {"text": text, "state": making.state} if is_noted else {}))
        if is_noted and making.state == "interrupted":
            await asyncio.shield(self._stored.conclude(row_id))

    async def settle(self) -> None:
        """Store how those answers ended that ended while the database could not be written."""
        for row_id, values in tuple(self._unsettled.items()):
            await self._settle(row_id, values)

    async def _settle(self, row_id: int, values: dict[str, str]) -> None:
        """Store how an answer ended, now or as soon as possible: with these columns, or by deleting it for none."""
        store = self._services.messages
        try:
            await (store.update(row_id, **values) if values else store.erase(row_id))
        except DatabaseUnavailable:
            self._unsettled[row_id] = values
        else:
            self._unsettled.pop(row_id, None)

    async def run_choice(self, job: AnswerJob, row: MessageRow) -> Reply:
        """Return the reply of a handler to a press behind a button of the answer `row`; nothing of it is stored."""
        run = ActiveRun(private=True)
        async with self._services.admission.count_use(job.request, job.command):
            await self._handlers.run(run, job, self._contexts.make(job.request, job.command, private=True))
        return replace(run.newest, buttons=buttons.assign_choice_ids(run.newest.buttons, row.id))

    async def run_page_turn(
        self, job: AnswerJob, row: MessageRow, button: Button, replies: Latest[Reply], locale: str
    ) -> None:
        """Make the page that a `button` of the answer `row` leads to, and put it in the place of the one that it shows.

        The core's buttons under it are in `locale`. The first reply has only the row, and means that the page may be
        made. The second is the answer with its new page. It is left out if the answer was deleted or another of its
        buttons pressed meanwhile, or if the page is being made already. An error, or a page for the asker alone, is a
        private reply without a row, and changes nothing. It counts as a use, like an answer, as it is made anew. Raises
        UserError before the first reply.
        """
        started = time.monotonic()
        job = replace(job, options=await self._resolve_channels(job.options, job.request.place))
        await self._services.safety.check_lists(job.command, job.options, job.request.place)
        async with self._services.admission.count_use(job.request, job.command) as use:
            replies.put(Reply(row=row.id, private=row.private), keep=True)
            if self._services.runs.is_turning(row.id, button.id):
                use.refund()
                return
            run = await self._make_page(job, row, button)
            last = run.newest
            if last.error and not last.refused:
                use.refund()
        if run.stopped:
            return
        if last.error or last.private != row.private or not job.command.kept:
            replies.put(replace(last, private=True))
            return
        store = self._services.messages
        last = replace(last, buttons=buttons.assign_ids(last.buttons, row.id, buttons.next_number(row)))
        await store.turn_page(row, job.command, job.options, last, time.monotonic() - started)
        # Another process may have turned the page first, so the stored answer is what counts.
        if (stored := await store.get(row.id)) is not None:
            replies.put(await self._stored.snapshot(stored, locale))

    async def _make_page(self, job: AnswerJob, row: MessageRow, button: Button) -> ActiveRun:
        """Run the handler of a page, and return the run when it has ended."""
        services, request = self._services, job.request
        private = row.private or job.command.private
        # A message is read by many people, and keeps the language of the person who asked for it.
        speaker = replace(request.user, locale=row.resume.get("locale") or request.user.locale)
        question = None if row.parent is None else await services.messages.get(row.parent)
        request = replace(request, user=speaker)
        context = self._contexts.make(request, job.command, question, answer=row.id, private=private)
        run = services.runs.begin_page_turn(row.id, button.id, private=private)
        try:
            await self._handlers.run(run, job, context)
        finally:
            services.runs.end_page_turn(row.id, run)
        return run

    async def _resolve_channels(self, options: Mapping[str, Any], place: Place) -> dict[str, Any]:
        """Return the options with the id of each channel that was typed by its name, where channels have ids."""
        adapters = self._services.adapters
        has_ids = adapters.capabilities(place.platform).ids is not None
        return {
            name: replace(value, id=await adapters.resolve_channel(value.id, place))
            if isinstance(value, Channel) and has_ids
            else value
            for name, value in options.items()
        }
