"""Runs the handler of a decided request, streams and stores its answer, and shows stored answers again."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace

from bot.answers import buttons
from bot.answers.cause import read_cause
from bot.answers.replies import check_replies, decorate, ending_status, error_reply
from bot.core import metrics
from bot.core.errors import DatabaseUnavailable, RequestRefused, UserError
from bot.core.i18n import Sentence
from bot.core.messages import Channel, Reply, base_platform
from bot.core.running import ActiveRun
from bot.core.splitting import merge_columns
from bot.moderation.actions import answer_place
from bot.storage.serialization import buttons_as_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bot.answers.context import Context
    from bot.answers.context_factory import ContextFactory
    from bot.answers.services import Services
    from bot.commands.command import Command
    from bot.core.latest import Latest
    from bot.core.messages import Button, Cause, Place, Request
    from bot.storage.database import MessageRow

log = logging.getLogger(__name__)
tracer = trace.get_tracer("tempera.bot")

SAVE_SECONDS = 2.0
"""How often a growing answer is stored, and so how much of it a crash may lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerJob:
    """A command to run: the request, the bound options, and where the answer belongs.

    `question` is the row of the stored question that gets one more answer, `parent` the row of the answer that the
    question replies to, and `source` the row of the answer whose button led here.
    """

    request: Request
    command: Command
    options: Mapping[str, Any]
    private: bool
    question: int | None = None
    parent: int | None = None
    source: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTurn:
    """A press of a `button` that turns the page of the stored answer `row`.

    `job` makes the page; the core's buttons under it are in `locale`.
    """

    job: AnswerJob
    row: MessageRow
    button: Button
    locale: str


class AnswerExecutor:
    """Runs handlers and stores their answers."""

    def __init__(self, services: Services, contexts: ContextFactory) -> None:
        self._services = services
        self._contexts = contexts
        self._unsettled: dict[int, dict[str, str]] = {}
        """The endings of answers that could not be stored, by row: columns to change, or none for a row to delete."""

    def stop(self, row_id: int) -> bool:
        """Stop an answer; return False if this process is not making it."""
        return self._services.runs.stop(row_id)

    async def run_answer(self, job: AnswerJob, replies: Latest[Reply]) -> None:
        """Store the question, run the handler, publish its snapshots, and store the answer.

        It counts as one use unless nothing but an error was shown; an answer that was withheld counts. Cancelling it
        marks the answer as interrupted. Raises UserError, before anything is stored, if the question is unsafe, a limit
        is used up, or a channel does not exist.
        """
        about = {"tempera.command": job.command.name, "tempera.platform": job.request.place.platform}
        # An error's sentence may have words of who asked.
        with tracer.start_as_current_span(
            "answer", attributes=about, record_exception=False, set_status_on_exception=False
        ):
            async with self._services.admission.count_use(job.request, job.command) as use:
                last = await self._make_answer(job, replies)
                if last.error and not (last.partial or last.refused):
                    use.refund()

    async def _make_answer(self, job: AnswerJob, replies: Latest[Reply]) -> Reply:
        services, request, command = self._services, job.request, job.command
        store = services.messages
        started, waited, saved = time.monotonic(), None, -SAVE_SECONDS
        offered: tuple[Button, ...] = ()
        job = replace(job, options=await self._resolve_channels(job.options, request.place))
        note = await services.safety.check(command, job.options, request.place, user=request.user.id)
        if command.moderator:
            note = await services.log_channel.take_warning(request.place)
        private = job.private or note is not None or services.settings.value("answers.private", request.place)
        asked, row = await store.create_exchange(
            request, command, job.options, private=private, question=job.question, parent=job.parent, source=job.source
        )
        run = services.runs.begin(row.id, private=private)
        is_kept, state, is_stored = services.keeps_answers and command.kept, "interrupted", False

        async def publish(reply: Reply) -> None:
            nonlocal waited, saved, offered
            if waited is None and (reply.text or reply.attachments) and not reply.error:
                waited = time.monotonic() - started
            if reply.final:
                return
            if reply.buttons != offered:
                # Before they are shown, so that they can be pressed at once, in any process.
                await store.update(row.id, buttons=buttons_as_json(reply.buttons))
                offered = reply.buttons
            replies.put(self._with_buttons(reply, row, request.user.locale))
            if is_kept and reply.text and time.monotonic() - saved > SAVE_SECONDS:
                # What is stored now is only for a crash, so that the answer need not end for it.
                with suppress(DatabaseUnavailable):
                    await store.update(row.id, text=merge_columns(reply).text, state="running")
                saved = time.monotonic()

        try:
            replies.put(self._with_buttons(run.newest, row, request.user.locale), keep=True)
            await store.give_way()
            context = self._contexts.make(request, command, asked, answer=row.id, private=private)
            last = await self._run_handler(run, job, context, publish, note)
            if last.buttons != offered:
                # Whoever still sees a button of an earlier snapshot must not press another one with its number.
                last = replace(last, buttons=buttons.assign_ids(last.buttons, row.id, len(offered)))
            end = "failed" if last.error else "stopped" if run.stopped else "done"
            metrics.ANSWERS.labels(base_platform(request.place.platform), command.name, end).inc()
            if waited is not None:
                metrics.FIRST_OUTPUT.labels(command.name).observe(waited)
            try:
                if is_kept:
                    exists = await store.finish(row.id, last, end, waited)
                else:
                    exists = await store.erase(row.id, end, waited)
                is_stored = True
            except DatabaseUnavailable as error:
                exists, state = True, "failed"
                last = run.newest = last if last.error else error_reply(last, error.sentence, request)
            replies.put(self._with_buttons(replace(last, deleted=not exists), row, request.user.locale))
            return last
        finally:
            services.runs.end(row.id)
            if not is_stored:
                text = run.newest.text if is_kept else ""
                await asyncio.shield(self._settle(row.id, {"text": text, "state": state} if command.kept else {}))
                if command.kept and state == "interrupted":
                    await asyncio.shield(self.conclude(row.id))

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

    async def conclude(self, row_id: int) -> None:
        """Store the last reply that the plugin has for an answer which was interrupted, if it has one."""
        services = self._services
        try:
            row = await services.messages.get(row_id)
            plugin = None if row is None else services.registry.plugin_of(row.command)
            if row is None or plugin is None or (reply := await plugin.conclude(row.id)) is None:
                return
            reply = await services.stamper.stamp(
                reply, marks=services.settings.value("answers.mark", answer_place(row))
            )
            offered = buttons.assign_ids(reply.buttons, row.id, buttons.next_number(row))
            await services.messages.finish(row.id, replace(reply, private=row.private, buttons=offered), "interrupted")
        except DatabaseUnavailable as error:
            log.warning("An interrupted answer cannot be concluded: %s", error)
        except Exception:
            # A plugin can raise any exception, and the answer has ended in any case.
            log.exception("The plugin of an interrupted answer could not conclude it")

    async def run_choice(self, job: AnswerJob, row: MessageRow) -> Reply:
        """Return the reply of a handler to a press behind a button of the answer `row`; nothing of it is stored."""
        run = ActiveRun(private=True)
        async with self._services.admission.count_use(job.request, job.command):
            context = self._contexts.make(job.request, job.command, private=True)
            await self._run_handler(run, job, context, _publish_nothing)
        return replace(run.newest, buttons=buttons.assign_choice_ids(run.newest.buttons, row.id))

    async def _run_handler(
        self,
        run: ActiveRun,
        job: AnswerJob,
        context: Context,
        publish: Callable[[Reply], Awaitable[None]],
        note: Sentence | None = None,
    ) -> Reply:
        """Run the handler and return its last reply; every error becomes a reply, here and nowhere else."""
        request, command, private = job.request, job.command, run.newest.private
        spoiler, locale, earlier_model = context.settings["answers.spoiler"], context.user.locale, ""

        async def show(reply: Reply) -> None:
            notes = context.settings.model_notes(earlier_model)
            run.newest = decorate(reply, note, notes, locale, private=private, spoiler=spoiler)
            await publish(run.newest)

        try:
            earlier_model = await self._find_earlier_model(job)
            async with run.stoppable():
                # Loading the plugin made sure that the handler is an async generator function.
                handler = cast(AsyncGenerator[Reply, None], command.call(context, job.options))
                safe = self._services.safety.reply_filter(command, request.place, user=request.user.id)
                async with aclosing(check_replies(command, handler)) as snapshots:
                    async for reply in snapshots:
                        await show(await safe.filter(reply))
                        if run.newest.final:
                            break
                        # A handler that never awaits anything would block all others.
                        await asyncio.sleep(0)
                if (rest := await safe.finish()) is not None:
                    await show(rest)
        except UserError as error:
            if isinstance(error, RequestRefused):
                error.what = error.what or command.name
            failure = error_reply(run.newest, error.sentence, request)
            run.newest = await self._services.refusals.record_and_explain(failure, request, error)
        except (Exception, SystemExit):
            # Libraries of command lines raise SystemExit, which would end the bot for everybody.
            number = secrets.token_hex(4)
            log.exception("Error %s in /%s", number, command.name, extra={"number": number})
            sentence = "Something went wrong inside the bot (error {id}); its log says more."
            run.newest = error_reply(run.newest, Sentence(sentence, {"id": number}), request)
        if run.stopped:
            # What can be pressed while an answer is made is of no use once it has ended.
            last = replace(merge_columns(run.newest), final=True, buttons=())
            run.newest = replace(last, status=ending_status("stopped", request.user.locale))
        elif not run.newest.final:
            run.newest = replace(run.newest, final=True, status="")
        run.newest = await self._services.stamper.stamp(run.newest, marks=context.settings["answers.mark"])
        await publish(run.newest)
        return run.newest

    async def _find_earlier_model(self, job: AnswerJob) -> str:
        """Return the model that made the answer whose button led here; "" if there is none."""
        row = None if job.source is None else await self._services.messages.get(job.source)
        return str(row.card.get("model", "")) if row is not None else ""

    async def run_page_turn(self, turn: PageTurn, replies: Latest[Reply]) -> None:
        """Make another page and put it in the place of the one that an answer shows.

        The first reply has only the row, and means that the page may be made. The second is the answer with its new
        page. It is left out if the answer was deleted or another of its buttons pressed meanwhile, or if the page is
        being made already. An error, or a page for the asker alone, is a private reply without a row, and changes
        nothing. It counts as a use, like an answer, as it is made anew. Raises UserError before the first reply.
        """
        row, job, started = turn.row, turn.job, time.monotonic()
        job = replace(job, options=await self._resolve_channels(job.options, job.request.place))
        await self._services.safety.check_lists(job.command, job.options, job.request.place)
        async with self._services.admission.count_use(job.request, job.command) as use:
            replies.put(Reply(row=row.id, private=row.private), keep=True)
            if self._services.runs.is_turning(row.id, turn.button.id):
                use.refund()
                return
            run = await self._make_page(turn, job)
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
            replies.put(await self.snapshot(stored, turn.locale))

    async def _make_page(self, turn: PageTurn, job: AnswerJob) -> ActiveRun:
        """Run the handler of a page, and return the run when it has ended."""
        services, row, request = self._services, turn.row, job.request
        private = row.private or job.command.private
        # A message is read by many people, and keeps the language of the person who asked for it.
        speaker = replace(request.user, locale=row.resume.get("locale") or request.user.locale)
        question = None if row.parent is None else await services.messages.get(row.parent)
        request = replace(request, user=speaker)
        context = self._contexts.make(request, job.command, question, answer=row.id, private=private)
        run = services.runs.begin_page_turn(row.id, turn.button.id, private=private)
        try:
            await self._run_handler(run, job, context, _publish_nothing)
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

    def _with_buttons(self, reply: Reply, row: MessageRow, locale: str) -> Reply:
        """Return the reply with its row, its quoted question, its cause and its buttons."""
        if reply.final:
            offered = buttons.finished_buttons(self._command_of(row), row, reply, (0, 0), locale)
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

    async def snapshot(self, row: MessageRow, locale: str, *, files: bool = True) -> Reply:
        """Return a stored answer as it should look now, with the buttons that it has now.

        Without `files`, stored files are not read.
        """
        store = self._services.messages
        if (newest := self._services.runs.newest(row.id)) is not None:
            reply = self._with_buttons(newest, row, locale)
            return reply if not reply.final else replace(reply, buttons=())
        reply = await store.load_reply(row, files=files)
        votes = await store.count_votes(row.id)
        status = ending_status(row.state, locale)
        offered = buttons.finished_buttons(self._command_of(row), row, reply, votes, locale)
        shown = replace(reply, quote=self._quote(row), cause=self._cause(row, locale))
        return replace(shown, final=True, status=status, buttons=offered, row=row.id)

    def _command_of(self, row: MessageRow) -> Command | None:
        command = self._services.registry.get(row.command)
        return None if command is None else self._services.registry.narrow(command, answer_place(row))


async def _publish_nothing(_reply: Reply) -> None:
    """Publish no snapshots: a page is shown only when it is complete."""
