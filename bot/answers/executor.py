"""From a command with its options to an answer that is stored, streamed, stopped and found again."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from bot.answers import buttons as actions
from bot.core.errors import RequestRefused, UserError
from bot.core.i18n import Sentence, translate
from bot.core.messages import Channel, Place, Reply
from bot.core.splitting import closing, flowing, put_together
from bot.settings.setting import IDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.answers.context import Context
    from bot.answers.context_factory import ContextFactory
    from bot.commands.command import Command
    from bot.core.adapters import Adapters
    from bot.core.messages import Button, Request
    from bot.core.running import ActiveRun, ActiveRuns
    from bot.moderation.log_channel import LogChannel
    from bot.moderation.refusals import Refusals
    from bot.plugin_host.registry import Registry
    from bot.safety.checks import Safety
    from bot.settings.resolver import Settings
    from bot.storage.database import MessageRow
    from bot.storage.messages import MessageStore

log = logging.getLogger(__name__)

SAVE_SECONDS = 2.0
"""How much of a growing answer a crash may lose."""


class AnswerExecutor:
    """Runs handlers, and knows which answers are being made in this process."""

    def __init__(
        self,
        *,
        contexts: ContextFactory,
        journal: MessageStore,
        registry: Registry,
        settings: Settings,
        safety: Safety,
        refusals: Refusals,
        log_channel: LogChannel,
        runs: ActiveRuns,
        hands: Adapters,
        keeps: bool = True,
    ) -> None:
        """`keeps` says whether answers are stored once they are done."""
        self._contexts = contexts
        self._journal = journal
        self._registry = registry
        self._settings = settings
        self._safety = safety
        self._refusals = refusals
        self._log_channel = log_channel
        self._keeps = keeps
        self._runs = runs
        self._hands = hands

    def stop(self, row_id: int) -> bool:
        """Stop an answer; False if it is not being made here."""
        return self._runs.stop(row_id)

    async def answer(
        self,
        request: Request,
        command: Command,
        options: Mapping[str, Any],
        *,
        private: bool,
        question: int | None = None,
        parent: int | None = None,
        source: int | None = None,
    ) -> AsyncGenerator[Reply, None]:
        """Store the question, run the handler, and keep what is stored true; closing this ends the answer.

        Raises UserError, before anything is stored, for what may not be asked, and for channels that there are not.
        """
        begun, waited = time.monotonic(), None
        options = {name: await self._known(value, request.place) for name, value in options.items()}
        note = await self._safety.check(command, options, request.place, user=request.user.id)
        if command.moderator:
            note = await self._log_channel.untold(request.place)
        private = private or note is not None or self._settings.value("answers.private", request.place)
        asked, row = await self._journal.open(
            request, command, options, private=private, question=question, parent=parent, source=source
        )
        context = self._contexts.make(request, command, asked, private=private)
        replies = self._handle(request, context, command, options, private, note)
        run = self._runs.begin(row.id, replies, private=private)
        keeps = self._keeps and command.kept
        state, saved = "interrupted", -SAVE_SECONDS
        try:
            yield self._dressed(Reply(private=private), row, request.user.locale)
            async with aclosing(run.snapshots()) as snapshots:
                async for reply in snapshots:
                    if waited is None and (reply.text or reply.attachments) and not reply.error:
                        waited = time.monotonic() - begun
                    if reply.final:
                        reply = self._ended(reply, run, request)
                        ended = "failed" if reply.error else "stopped" if run.stopped else "done"
                        there = await self._end(row, reply, ended, waited, keeps=keeps)
                        state = ended
                        reply = replace(reply, deleted=not there)
                    elif keeps and reply.text and time.monotonic() - saved > SAVE_SECONDS:
                        await self._journal.note(row.id, text=put_together(reply).text, state="running")
                        saved = time.monotonic()
                    yield self._dressed(reply, row, request.user.locale)
        finally:
            await self._runs.end(row.id)
            if state == "interrupted" and command.kept:
                text = run.newest.text if keeps else ""
                await asyncio.shield(self._journal.note(row.id, text=text, state=state))
            elif state == "interrupted":
                await asyncio.shield(self._journal.forget(row.id))

    async def turn(
        self,
        request: Request,
        command: Command,
        options: Mapping[str, Any],
        row: MessageRow,
        button: Button,
        locale: str,
    ) -> AsyncGenerator[Reply, None]:
        """Put what a `button` of the stored answer `row` leads to, `command` with `options`, in that answer's place.

        The first reply has nothing but the row: it may be asked. The second is the answer as it looks then, with the
        core's buttons in `locale`. It does not come if the answer was deleted or another of its buttons pressed
        meanwhile, or if what this one leads to is under way already. What goes wrong, or is for whoever asks alone, is
        told to them in a reply without a row, and changes nothing. Raises UserError before the first one.
        """
        begun, private = time.monotonic(), row.private or command.private
        options = {name: await self._known(value, request.place) for name, value in options.items()}
        await self._safety.check(command, options, request.place, user=request.user.id)
        yield Reply(row=row.id, private=row.private)
        if self._runs.is_turning(row.id, button.id):
            return
        # One message is there for many people, and keeps the language of whoever asked for it.
        spoken = replace(request.user, locale=row.resume.get("locale") or request.user.locale)
        question = None if row.parent is None else await self._journal.get(row.parent)
        context = self._contexts.make(replace(request, user=spoken), command, question, private=private)
        replies = self._handle(request, context, command, options, private, None)
        run = self._runs.turn(row.id, button.id, replies, private=private)
        try:
            async with aclosing(run.snapshots()) as snapshots:
                async for reply in snapshots:
                    last = reply
        finally:
            await self._runs.turned(row.id, run)
        if run.stopped:
            return
        if last.error or last.private != row.private or not command.kept:
            yield replace(last, private=True)
            return
        last = replace(last, buttons=actions.numbered(last.buttons, row.id, actions.following(row)))
        await self._journal.turn(row, command, options, last, time.monotonic() - begun)
        # Whoever was later than somebody else is shown what these made of it.
        if (now := await self._journal.get(row.id)) is not None:
            yield await self.snapshot(now, locale)

    async def _known(self, value: Any, place: Place) -> Any:
        """A value with its id, where it is a channel that was typed by its name and has an id beside it."""
        if not isinstance(value, Channel) or place.platform not in IDS:
            return value
        return replace(value, id=await self._hands.channel(value.id, place))

    async def _end(self, row: MessageRow, reply: Reply, state: str, waited: float | None, *, keeps: bool) -> bool:
        """Store the last reply, or forget all of the answer; False if it was deleted meanwhile."""
        if keeps:
            return await self._journal.close(row.id, reply, state, waited)
        return await self._journal.forget(row.id, state, waited)

    async def _handle(
        self,
        request: Request,
        context: Context,
        command: Command,
        options: Mapping[str, Any],
        private: bool,
        note: Sentence | None,
    ) -> AsyncGenerator[Reply, None]:
        """The handler's replies, with every error turned into a last one, for `request`. The one error path."""
        last = Reply(private=private)
        spoiler = context.settings["answers.spoiler"]
        try:
            # Loading made sure that the handler is an async generator function.
            handler = cast(AsyncGenerator[Reply, None], command.handler(context, **options))
            guarded = self._safety.filter_replies(handler, command, context.place, user=context.user.id)
            async with aclosing(guarded) as replies:
                async for reply in replies:
                    if reply.columns:
                        reply = replace(reply, text=flowing(reply.columns))
                    last = _noted(replace(reply, private=reply.private or private), note, context.user.locale)
                    if spoiler:
                        hidden = tuple(replace(file, spoiler=True) for file in last.attachments)
                        last = replace(last, attachments=hidden)
                    yield last
        except UserError as error:
            if isinstance(error, RequestRefused):
                error.what = error.what or command.name
            yield await self._refusals.told(failed(last, error.sentence, request), request, error)
        except Exception:
            number = secrets.token_hex(4)
            log.exception("Error %s in /%s", number, command.name)
            sentence = "Something went wrong inside the bot (error {id}); its log says more."
            yield failed(last, Sentence(sentence, {"id": number}), request)
        else:
            if not last.final:
                yield replace(last, final=True, status="")

    def _ended(self, reply: Reply, run: ActiveRun, request: Request) -> Reply:
        return replace(reply, status=_ending("stopped", request.user.locale)) if run.stopped else reply

    def _dressed(self, reply: Reply, row: MessageRow, locale: str) -> Reply:
        """The reply with its row, its quoted question and its buttons."""
        if reply.final:
            buttons = actions.finished(self._command(row), row, reply, (0, 0), locale)
        else:
            buttons = actions.running(row.id, locale)
        return replace(reply, row=row.id, quote=self._quote(row), buttons=buttons)

    def _quote(self, row: MessageRow) -> str:
        """The question in one line, for public answers; "" where there is none to quote."""
        command = self._command(row)
        place = Place(row.platform, row.channel, row.server, row.thread)
        if row.private or command is None or not self._settings.value("answers.quote", place):
            return ""
        text = next((row.options.get(option.name) for option in command.options if option.free_text), None)
        return " ".join(str(text or "").split())

    async def snapshot(self, row: MessageRow, locale: str, *, files: bool = True) -> Reply:
        """A stored answer as it should look now, with the buttons that still make sense.

        Without `files` those that are stored are not read.
        """
        if (newest := self._runs.newest(row.id)) is not None:
            reply = self._dressed(newest, row, locale)
            return reply if not reply.final else replace(reply, buttons=())
        reply = await self._journal.reply(row, files=files)
        votes = await self._journal.votes(row.id)
        status = _ending(row.state, locale)
        buttons = actions.finished(self._command(row), row, reply, votes, locale)
        return replace(reply, final=True, status=status, buttons=buttons, row=row.id, quote=self._quote(row))

    def _command(self, row: MessageRow) -> Command | None:
        command = self._registry.get(row.command)
        place = Place(row.platform, row.channel, row.server, row.thread)
        return None if command is None else self._registry.narrowed(command, place)


def _ending(state: str, locale: str) -> str:
    """What is told of an answer that did not come to its end; "" of any other."""
    match state:
        case "stopped":
            return translate("Stopped.", locale)
        case "interrupted":
            return translate("Interrupted: the bot was restarted.", locale)
        case _:
            return ""


def _noted(reply: Reply, note: Sentence | None, locale: str) -> Reply:
    """`reply` with what its asker is told beside it, where its status leaves room."""
    if note is None or (reply.status and not reply.final):
        return reply
    return replace(reply, status=" ".join(filter(None, (reply.status, note.in_language(locale)))))


def failed(last: Reply, sentence: Sentence, request: Request, option: str = "") -> Reply:
    """The last reply with the error under it: what was already seen stays; where nothing was, it is private."""
    text = sentence.in_language(request.user.locale)
    last = put_together(last)
    if last.text:
        text = f"{last.text}{closing(last.text)}\n\n{text}"
    partial = bool(last.text or last.attachments)
    last = replace(last, text=text, status="", final=True, error=True, partial=partial, option=option)
    return replace(last, private=last.private or not partial)
