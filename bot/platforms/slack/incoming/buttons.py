"""Buttons under answers."""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.answers.decision import Answer, Change, Choose, FollowUp, OpenForm, Refuse
from bot.core.button_ids import REPEATS, ButtonId
from bot.core.messages import Action
from bot.platforms.answer_tasks import read_only_reply
from bot.platforms.slack.api.errors import NotInChannel, SlackError
from bot.platforms.slack.api.message_format import render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.core.messages import Reply
    from bot.platforms.slack.convert.requests import AnswerPlace
    from bot.platforms.slack.incoming.request_handler import RequestHandler
    from bot.storage.database import MessageRow

    Json = Mapping[str, Any]

log = logging.getLogger(__name__)


class Buttons:
    """Handles presses of buttons under answers."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._answers = handler.answers
        self._bot = handler.bot
        self._api = handler.api

    async def press(self, body: Json) -> None:
        """Handle a press: open a form, change the message, or answer again."""
        handler = self._handler
        container, message = body["container"], body.get("message") or {}
        user = await handler.find_user(body)
        ts, is_private = container["message_ts"], bool(container.get("is_ephemeral"))
        thread = message.get("thread_ts") or container.get("thread_ts") or ""
        place = handler.answer_place(body, user, thread=thread or ("" if is_private else ts), spoken=bool(thread))
        if not await handler.is_new(body["trigger_id"], place):
            return
        action = Action(body["actions"][0]["action_id"], private=is_private)
        request = handler.build_request(user, place, action=action)
        request = replace(request, resume={**request.resume, "question": await self._find_question(action)})
        decision = self._bot.prepare(request)
        match decision:
            case OpenForm():
                await handler.open_form(request, decision, place, body["trigger_id"])
            case Refuse():
                await self._answers.follow(self._answers.ephemeral_view(place), decision.start())
            case Choose():
                await self._answer_choice(decision, place, action)
            case Change():
                await self._change_in_place(decision, place, action, ts)
            case Answer() | FollowUp():
                await handler.follow(decision.start(alone=await handler.is_alone(request)), place)

    async def _answer_choice(self, decision: Choose, place: AnswerPlace, action: Action) -> None:
        """Show what a choice led to, in the place of the message with the button if the asker alone sees that.

        This goes through the response_url, which has no limit that a class could reach together.
        """
        async with decision.turn:
            reply = await read_only_reply(decision.start())
            message = render(self._answers.adapt_reply(reply), locale=place.locale).messages[-1]
            replaces = decision.replaces and action.private and not reply.error
            thread = "" if replaces else place.ephemeral_thread
            await self._api.respond(place.response_url, message, thread=thread, replaces=replaces)

    async def _find_question(self, action: Action) -> str:
        """Return the ts of the question that is answered again, so that it is deleted with its last answer."""
        button = ButtonId.parse(action.id)
        row = await self._bot.messages.get(button.row) if button is not None and button.kind in REPEATS else None
        return "" if row is None else str(row.resume.get("question", ""))

    async def _change_in_place(self, decision: Change, place: AnswerPlace, action: Action, ts: str) -> None:
        """Change or delete the answer whose button was pressed; `ts` is the message with the button."""
        row_id = decision.button.row
        # Read first, because the row is gone once the answer is deleted.
        row, shown = await self._bot.messages.get(row_id), await self._bot.messages.get_external_ids(row_id)
        async with aclosing(decision.start()) as replies:
            async for reply in replies:
                if reply.is_unstored_error:
                    await self._answers.ephemeral_view(place).show(self._answers.adapt_reply(reply))
                    return
                if reply.deleted:
                    await self._delete(place, row, shown, ts)
                else:
                    await self._update(place, row, reply, ts)
        if action.private:
            # The ephemeral offer to stop is of no use any more.
            await self._api.respond(place.response_url, None)

    async def _update(self, place: AnswerPlace, row: MessageRow | None, reply: Reply, ts: str) -> None:
        if row is not None and not row.resume.get("quoted", True):
            reply = replace(reply, quote="")
        rendered = render(self._answers.adapt_reply(reply), locale=place.locale)
        message = rendered.tail or rendered.messages[-1]
        try:
            await self._api.update(place.channel, ts, message)
        except NotInChannel:
            await self._api.respond(place.response_url, message, replaces=True, public=True)

    async def _delete(self, place: AnswerPlace, row: MessageRow | None, shown: Sequence[str], ts: str) -> None:
        """Delete the messages of an answer, and the bot's message with the question if no answer is left."""
        if row is None:
            return
        question = row.resume.get("question")
        if question and row.parent is not None and await self._bot.messages.get(row.parent) is None:
            shown = [*shown, question]
        try:
            await self._api.delete(place.channel, ts)
        except NotInChannel:
            await self._api.respond(place.response_url, None)
        except SlackError as error:
            log.info("A message could not be deleted: %s", error)
        await self._api.delete_all(place.channel, [external_id for external_id in shown if external_id != ts])
