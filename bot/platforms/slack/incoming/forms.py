"""Submitted forms: those of commands, and those behind the buttons of an answer."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.answers.decision import Refuse
from bot.core.button_ids import FormId
from bot.core.errors import UserError
from bot.core.latest import Stream
from bot.core.messages import Action
from bot.platforms.answer_tasks import read_only_reply
from bot.platforms.slack.convert.requests import (
    AnswerPlace,
    fetch_files,
    form_files,
    keep_form_input,
    with_empty_files,
)
from bot.platforms.slack.incoming import modal

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from slack_bolt.async_app import AsyncAck

    from bot.core.messages import Reply, Request
    from bot.platforms.slack.incoming.request_handler import RequestHandler

    Json = Mapping[str, Any]

log = logging.getLogger(__name__)

FORM_OPEN_SECONDS = 1.5
"""Seconds that a form stays open to show an error; Slack allows three seconds, which include looking up the user."""


class Forms:
    """Handles submitted forms."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._answers = handler.answers
        self._bot = handler.bot

    async def submit(self, ack: AsyncAck, body: Json) -> None:
        """Handle a submitted form. If it is refused, it shows the error; otherwise it closes and is answered."""
        view = body["view"]
        user = await self._handler.find_user(body)
        try:
            stored = AnswerPlace.from_stored(json.loads(view["private_metadata"]))
        except (ValueError, TypeError, AttributeError):
            log.warning("Slack gave back a form that this bot did not make.")
            await ack()
            return
        place = self._handler.for_user(stored, user)
        action = Action(view["callback_id"], modal.read_fields(view))
        request = self._handler.build_request(user, place, action=action, can_show_forms=False)
        if FormId.parse(view["callback_id"]) is None:
            await self._submit_edit(ack, view, request, place)
            return
        decision = self._bot.prepare(with_empty_files(request))
        if isinstance(decision, Refuse):
            reading = asyncio.create_task(read_only_reply(decision.start()), name="slack form")
            # The refusal is stored, which can take longer than Slack waits.
            await asyncio.wait({reading}, timeout=FORM_OPEN_SECONDS)
            if reading.done() and reading.exception() is None:
                await ack(response_action="errors", errors=self._field_errors(view, reading.result()))
                return
            await ack()
            self._answers.start(self._tell_refusal(reading, request, place), "slack form")
            return
        await ack()
        work = self._handler.answer(request, place, decision=decision)
        self._answers.start(self._run_once(view, place, work), "slack form")

    async def _tell_refusal(self, reading: asyncio.Task[Reply], request: Request, place: AnswerPlace) -> None:
        """Tell the asker alone why a form is refused that is closed already."""
        reply = keep_form_input(await reading, request)
        await self._answers.follow(self._answers.ephemeral_view(place), Stream.of(reply))

    async def _submit_edit(self, ack: AsyncAck, view: Json, request: Request, place: AnswerPlace) -> None:
        if form_files(request):
            await ack()
            self._answers.start(self._run_once(view, place, self._answer_with_files(request, place)), "slack form")
            return
        beginning = asyncio.create_task(self._begin_edit(view, request, place), name="slack form")
        await asyncio.wait({beginning}, timeout=FORM_OPEN_SECONDS)
        replies = beginning.result() if beginning.done() and beginning.exception() is None else None
        first = None if replies is None else replies.latest.peek()
        if replies is not None and first is not None and first.is_unstored_error:
            await ack(response_action="errors", errors=self._field_errors(view, first))
            await replies.aclose()
            return
        await ack()
        self._answers.start(self._continue_edit(beginning, request, place), "slack form")

    async def _begin_edit(self, view: Json, request: Request, place: AnswerPlace) -> Stream[Reply] | None:
        """Begin the answer to an edited question, up to its first reply; None if this form was handled before."""
        if not await self._handler.is_new(_submission_key(view), place):
            return None
        replies = self._bot.prepare(request).start(alone=await self._handler.is_alone(request))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(replies.aclose)
            first = await replies.first()
            if first is not None and first.is_unstored_error:
                # The corrected form is submitted with the same key.
                await self._bot.database.release_event(self._handler.identity.platform, _submission_key(view))
            stack.pop_all()
        return replies

    async def _continue_edit(
        self, beginning: asyncio.Task[Stream[Reply] | None], request: Request, place: AnswerPlace
    ) -> None:
        try:
            replies = await beginning
        except BaseException:
            beginning.cancel()
            await asyncio.gather(beginning, return_exceptions=True)
            raise
        if replies is not None:
            await self._handler.follow(replies, place, partial(keep_form_input, request=request))

    async def _answer_with_files(self, request: Request, place: AnswerPlace) -> None:
        try:
            files = await fetch_files(request, self._handler.api)
        except UserError as error:
            await self._answers.refuse(place, error)
            return
        decision = self._bot.prepare(with_empty_files(request))
        replies = decision.start(files=files, alone=await self._handler.is_alone(request))
        await self._handler.follow(replies, place, partial(keep_form_input, request=request))

    async def _run_once(self, view: Json, place: AnswerPlace, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` unless this form was handled before, as when Slack sends it again after a lost connection."""
        if await self._handler.is_new(_submission_key(view), place):
            await work
        else:
            work.close()

    def _field_errors(self, view: Json, reply: Reply) -> dict[str, str]:
        return modal.field_errors(view, reply.option, self._answers.adapt_reply(reply).text)


def _submission_key(view: Json) -> str:
    """Return the key by which a submitted form is recognised when it comes again."""
    return f"{view['id']}.{view.get('hash', '')}"
