"""Runs the handlers of commands: checks their replies, adds notes, and turns errors into replies."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from bot.commands.source import describe_handler
from bot.core.errors import RequestRefused, UserError
from bot.core.i18n import Sentence, translate
from bot.core.messages import Reply
from bot.core.splitting import closing, join_growing_columns, merge_columns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bot.answers.context import Context
    from bot.answers.services import Services
    from bot.commands.command import Command
    from bot.core.messages import Request
    from bot.core.running import ActiveRun

log = logging.getLogger(__name__)


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


class HandlerRunner:
    """Runs handlers for answers, turned pages and choices, which differ in what is stored of them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(
        self,
        run: ActiveRun,
        job: AnswerJob,
        context: Context,
        publish: Callable[[Reply], Awaitable[None]] | None = None,
        note: Sentence | None = None,
    ) -> None:
        """Run a handler and publish its snapshots; `run.newest` is the last one at the end.

        Every error of the handler becomes a reply here.
        """
        request, command, private = job.request, job.command, run.newest.private
        locale, spoiler = context.user.locale, context.settings["answers.spoiler"]
        try:
            earlier_model = await self._find_earlier_model(job)
            async with run.stoppable(), aclosing(self._safe_replies(job, context)) as snapshots:
                async for reply in snapshots:
                    notes = context.settings.model_notes(earlier_model)
                    run.newest = decorate(reply, note, notes, locale, private=private, spoiler=spoiler)
                    if publish is not None:
                        await publish(run.newest)
                    # A handler that never awaits anything would block all others.
                    await asyncio.sleep(0)
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
        if publish is not None:
            await publish(run.newest)

    async def _find_earlier_model(self, job: AnswerJob) -> str:
        """Return the model that made the answer whose button led here; "" if there is none."""
        row = None if job.source is None else await self._services.messages.get(job.source)
        return str(row.card.get("model", "")) if row is not None else ""

    async def _safe_replies(self, job: AnswerJob, context: Context) -> AsyncGenerator[Reply, None]:
        """Yield what the handler yields, up to its final reply, as far as it may be shown."""
        # Loading the plugin made sure that the handler is an async generator function.
        handler = cast(AsyncGenerator[Reply, None], job.command.call(context, job.options))
        safe = self._services.safety.reply_filter(job.command, job.options, context.place, user=context.user.id)
        async with aclosing(check_replies(job.command, handler)) as replies:
            async for reply in replies:
                checked = await safe.filter(reply)
                yield checked
                if checked.final:
                    break
        if (rest := await safe.finish()) is not None:
            yield rest


async def check_replies(command: Command, handler: AsyncGenerator[Reply, None]) -> AsyncGenerator[Reply, None]:
    """Yield what the handler of a command yields. If that is not one reply or more, log it for the handler's author."""
    fault = "returned without a reply; it must yield at least one Reply"
    async with aclosing(handler) as replies:
        async for reply in replies:
            if not isinstance(reply, Reply):
                fault = f"yielded a {type(reply).__name__} instead of a Reply"
                break
            fault = ""
            yield reply
    if fault:
        place = describe_handler(command.handler)
        log.error("/%s of the plugin “%s” %s (%s).", command.name, command.plugin, fault, place)
        raise UserError(
            "/{command} has given no answer. Its plugin has a fault, which is described in the bot's log.",
            command=command.name,
        )


def ending_status(state: str, locale: str) -> str:
    """Return the status of an answer that was stopped or interrupted; "" for any other."""
    match state:
        case "stopped":
            return translate("Stopped.", locale)
        case "interrupted":
            return translate("Interrupted: the bot was restarted.", locale)
        case _:
            return ""


def decorate(
    reply: Reply,
    note: Sentence | None,
    model_notes: Sequence[Sentence],
    locale: str,
    *,
    private: bool,
    spoiler: bool,
) -> Reply:
    """Return a handler's reply as people see it: columns as text, notes for the asker, pictures as spoilers."""
    if reply.columns:
        reply = replace(reply, text=join_growing_columns(reply.columns))
    if note is not None and (reply.final or not reply.status):
        reply = replace(reply, status=" ".join(filter(None, (reply.status, note.in_language(locale)))))
    if model_notes:
        sentences = [sentence.in_language(locale) for sentence in model_notes]
        reply = replace(reply, status=" ".join(filter(None, (reply.status, *sentences))))
    if spoiler:
        reply = replace(reply, attachments=tuple(replace(file, spoiler=True) for file in reply.attachments))
    return replace(reply, private=reply.private or private)


def error_reply(last: Reply, sentence: Sentence, request: Request, option: str = "") -> Reply:
    """Return the last reply with the error under it; the reply is private if nothing was shown before."""
    text = sentence.in_language(request.user.locale)
    last = merge_columns(last)
    if last.text:
        text = f"{last.text}{closing(last.text)}\n\n{text}"
    partial = bool(last.text or last.attachments)
    last = replace(last, text=text, status="", buttons=(), final=True, error=True, partial=partial, option=option)
    return replace(last, private=last.private or not partial)
