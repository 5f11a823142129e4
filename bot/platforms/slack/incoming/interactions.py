"""Slash commands, buttons, forms and message shortcuts, once they are acknowledged."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.answers import buttons
from bot.core.errors import Expired, RequestRefused, UserError
from bot.core.i18n import Sentence
from bot.core.messages import Action, Request
from bot.platforms.slack.adapter import link_to
from bot.platforms.slack.api import message_format
from bot.platforms.slack.api.api import ChannelClosed, NotInChannel, SlackError
from bot.platforms.slack.convert import commands
from bot.platforms.slack.convert.requests import (
    PLATFORM,
    AnswerPlace,
    announced,
    asked,
    fetched,
    files,
    unescaped,
    with_typed,
    words,
)
from bot.platforms.slack.incoming import modal
from bot.platforms.slack.outgoing.answers import FAILED, SHUT_OUT
from bot.safety.settings import OFF

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence

    from slack_bolt.async_app import AsyncAck

    from bot.app import Decision
    from bot.core.messages import Reply, User
    from bot.platforms.slack.api.message_format import SlackMessage
    from bot.platforms.slack.convert.people import UserDirectory
    from bot.platforms.slack.outgoing.answers import SlackAnswers
    from bot.storage.database import MessageRow

    Json = Mapping[str, Any]

log = logging.getLogger(__name__)

LINK = re.compile(r"<(?:mailto:)?(?P<address>https?://[^<>|\s]+|[^<>|\s@#!]+@[^<>|\s]+)(?:\|[^<>]*)?>")
"""An address as Slack escapes it behind a command."""
SHORTCUT = "m:"
"""What the callback_id of a message shortcut begins with; the command's name follows."""
FIRST_SECONDS = 1.5
"""How long a form stays open to show what is wrong with it; Slack gives it three seconds, who sent it included."""
FORM_LATE = Sentence("Slack did not open the form in time. Try again, or write everything behind the command.")


class Interactions:
    """What people do with commands, buttons, forms and shortcuts."""

    def __init__(self, answers: SlackAnswers, people: UserDirectory) -> None:
        self._answers = answers
        self._bot = answers.bot
        self._web = answers.web
        self._team = answers.me.team
        self._people = people

    # Commands and shortcuts

    async def command(self, body: Json) -> None:
        """A slash command was sent."""
        if not await self._is_new(body["trigger_id"]):
            return
        user = await self._people.find(body["user_id"], body.get("user_name", ""))
        where = self._where(body, user, channel=body["channel_id"])
        line = commands.line(body["command"], unescaped(LINK.sub(r"\g<address>", body.get("text", ""))))
        await self._ask(self._request(user, where, text=line), where, body["trigger_id"])

    async def shortcut(self, body: Json) -> None:
        """A command was chosen in the menu of a message."""
        if not await self._is_new(body["trigger_id"]):
            return
        message, ts = body["message"], body["message_ts"]
        user = await self._people.find(body["user"]["id"], body["user"].get("name", ""))
        thread = message.get("thread_ts") or ts
        where = self._where(body, user, thread=thread, spoken="thread_ts" in message)
        stored = await self._bot.journal.find(where.place(self._team), ts)
        text = stored.text if stored else await words(message.get("text", ""), self._answers.me.user, self._people)
        try:
            command = self._bot.registry.find(body["callback_id"].removeprefix(SHORTCUT))
        except UserError as error:
            await self._answers.refuse(where, error)
            return
        options = command.from_message(text, link_to(body["channel"]["id"], ts))
        about = {"command": command.name, "options": options, "reply_to": ts}
        await self._ask(self._request(user, where, **about), where, body["trigger_id"])

    async def _ask(self, request: Request, where: AnswerPlace, trigger: str = "") -> None:
        dispatch = self._bot.dispatch(announced(request))
        if dispatch.form is not None:
            await self._open(request, dispatch, where, trigger)
            return
        if dispatch.refused:
            await self._answers.follow(self._answers.aside(where), dispatch.replies)
            return
        try:
            request = await fetched(request, self._web)
        except UserError as error:
            await self._answers.refuse(where, error, request)
            return
        if dispatch.private:
            await self._answers.follow(self._answers.aside(where), self._replies(request))
        elif where.thread:
            await self._answers.follow(self._answers.room(where), self._replies(request))
        else:
            await self._ask_in_public(request, where)

    async def _replies(self, request: Request) -> AsyncGenerator[Reply, None]:
        """What is replied; a refusal of a form, which is closed by now, holds what was typed into it."""
        async with aclosing(self._placed(request)) as replies:
            async for reply in replies:
                yield with_typed(reply, request)

    async def _placed(self, request: Request) -> AsyncGenerator[Reply, None]:
        """What is replied, once it is known whether anybody else reads it."""
        request = replace(request, alone=await self._is_alone(request))
        async with aclosing(self._bot.dispatch(request).replies) as replies:
            async for reply in replies:
                yield reply

    async def _is_alone(self, request: Request) -> bool:
        """Whether somebody asks in their direct messages with the bot; nothing in a request tells these from others."""
        if request.place.server:
            return False
        try:
            return await self._web.direct(request.user.id) == request.place.channel
        except SlackError as error:
            log.info("Slack does not tell where somebody writes to the bot: %s", error)
            return False

    async def _ask_in_public(self, request: Request, where: AnswerPlace) -> None:
        """Post the question, and answer in its thread; where the bot is not in the channel, answer without it."""
        quoted = self._bot.settings.value("answers.quote", request.place)
        whole = message_format.question(where.user, asked(self._bot, request, quoted=quoted), locale=where.locale)
        question, withheld = whole, quoted and self._is_judged(where)
        if withheld:
            question = message_format.question(where.user, asked(self._bot, request, quoted=False), locale=where.locale)
        try:
            ts = await self._web.post(where.channel, question)
        except NotInChannel:
            await self._answers.follow(self._answers.hook(where), self._replies(request))
            return
        except SlackError as error:
            log.warning("A question could not be posted: %s", error)
            await self._answers.aside(where).tell(SHUT_OUT if isinstance(error, ChannelClosed) else FAILED)
            return
        where = replace(where, thread=ts, question=ts, quoted=False)
        request = replace(request, place=where.place(self._team), message=ts, resume=where.as_json())
        replies = self._replies(request)
        if withheld:
            replies = self._revealing(replies, where, whole)
        await self._answers.follow(self._answers.room(where), replies)

    def _is_judged(self, where: AnswerPlace) -> bool:
        """Whether a classifier may refuse what is asked there, for others to read, once the question is posted."""
        return not where.is_direct and self._bot.settings.value("safety.level", where.place(self._team)) != OFF

    async def _revealing(
        self, replies: AsyncGenerator[Reply, None], where: AnswerPlace, question: SlackMessage
    ) -> AsyncGenerator[Reply, None]:
        """The replies; the first tells whether the classifier let the question pass, which gets its words then."""
        async with aclosing(replies):
            if (first := await anext(replies, None)) is None:
                return
            # Words of help have no row either, though they are no error; and what is told to one alone shows nothing.
            if first.row and not first.private:
                # The answer does not wait for it, as it may have to wait itself.
                self._answers.start(self._reveal(where, question), "slack question")
            yield first
            async for reply in replies:
                yield reply

    async def _reveal(self, where: AnswerPlace, question: SlackMessage) -> None:
        try:
            await self._web.update(where.channel, where.question, question)
        except SlackError as error:
            log.info("A question stays without its words: %s", error)

    # Forms

    async def _open(self, request: Request, dispatch: Decision, where: AnswerPlace, trigger: str) -> None:
        if dispatch.form is None:
            raise RuntimeError("There is no form to open")
        try:
            form = await dispatch.form()
        except UserError as error:
            if isinstance(error, RequestRefused):
                await self._bot.refusals.note(request, error)
            await self._answers.refuse(where, error)
            return
        form = replace(form, title=self._answers.typed(form.title))
        view = modal.build(form, private_metadata=json.dumps(where.as_json()), locale=where.locale)
        try:
            await self._web.open_view(trigger, view)
        except SlackError as error:
            log.warning("A form was not opened: %s", error)
            await self._answers.aside(where).tell(FORM_LATE)

    async def submit(self, ack: AsyncAck, body: Json) -> None:
        """A form was sent. What is wrong with it is shown in it; else it closes, and the answer comes."""
        view = body["view"]
        user = await self._people.find(body["user"]["id"], body["user"].get("name", ""))
        where = self._spoken_to(user, AnswerPlace(**json.loads(view["private_metadata"])))
        request = self._request(user, where, action=Action(view["callback_id"], modal.fields(view)))
        request = replace(request, can_show_forms=False)
        if view["callback_id"].startswith("c:"):
            dispatch = self._bot.dispatch(announced(request))
            if dispatch.refused:
                reply = await anext(dispatch.replies)
                await ack(response_action="errors", errors=self._marked(view, reply))
                return
            await ack()
            self._answers.start(self._sent(view, self._ask(request, where)), "slack form")
            return
        await self._submit_edit(ack, view, request, where)

    async def _submit_edit(self, ack: AsyncAck, view: Json, request: Request, where: AnswerPlace) -> None:
        if files(request):
            await ack()
            self._answers.start(self._sent(view, self._act_with_files(request, where)), "slack form")
            return
        replies = self._placed(request)
        first = asyncio.create_task(self._first(view, replies), name="slack form")
        await asyncio.wait({first}, timeout=FIRST_SECONDS)
        reply = first.result() if first.done() and first.exception() is None else None
        if reply is not None and _is_refusal(reply):
            await ack(response_action="errors", errors=self._marked(view, reply))
            await replies.aclose()
            return
        await ack()
        self._answers.start(self._go_on(first, replies, request, where), "slack form")

    async def _first(self, view: Json, replies: AsyncGenerator[Reply, None]) -> Reply | None:
        """The first reply, which the answer begins with; None if the same form was sent before."""
        if not await self._is_new(_name(view)):
            await replies.aclose()
            return None
        reply = await anext(replies, None)
        if reply is not None and _is_refusal(reply):
            # It is sent again under the same name, once it is mended.
            await self._bot.database.unsee(PLATFORM, _name(view))
        return reply

    def _marked(self, view: Json, reply: Reply) -> dict[str, str]:
        return modal.errors(view, reply.option, self._answers.spelt(reply).text)

    async def _sent(self, view: Json, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` unless the same form was sent before, as after a connection that broke."""
        if await self._is_new(_name(view)):
            await work
        else:
            work.close()

    async def _act_with_files(self, request: Request, where: AnswerPlace) -> None:
        try:
            request = await fetched(request, self._web)
        except UserError as error:
            await self._answers.refuse(where, error)
            return
        await self._act(self._replies(request), where)

    async def _go_on(
        self,
        first: asyncio.Task[Reply | None],
        replies: AsyncGenerator[Reply, None],
        request: Request,
        where: AnswerPlace,
    ) -> None:
        try:
            reply = await first
        except BaseException:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            raise
        await self._follow(reply and with_typed(reply, request), replies, where)

    # Buttons

    async def press(self, body: Json) -> None:
        """A button was pressed."""
        if not await self._is_new(body["trigger_id"]):
            return
        container, message = body["container"], body.get("message") or {}
        user = await self._people.find(body["user"]["id"], body["user"].get("name", ""))
        ts, is_private = container["message_ts"], bool(container.get("is_ephemeral"))
        thread = message.get("thread_ts") or container.get("thread_ts") or ""
        where = self._where(body, user, thread=thread or ("" if is_private else ts), spoken=bool(thread))
        action = Action(body["actions"][0]["action_id"], private=is_private)
        request = self._request(user, where, action=action)
        request = replace(request, resume={**request.resume, "question": await self._question(action)})
        dispatch = self._bot.dispatch(request)
        if dispatch.form is not None:
            await self._open(request, dispatch, where, body["trigger_id"])
        elif dispatch.refused:
            await self._answers.follow(self._answers.aside(where), dispatch.replies)
        elif dispatch.in_place:
            await self._change(dispatch, where, action, ts)
        else:
            await self._act(self._placed(request), where)

    async def _question(self, action: Action) -> str:
        """The message of ours that asks what a new answer answers again, for whoever deletes the last of them."""
        with suppress(Expired):
            name, row_id = buttons.parse(action.id)
            row = await self._bot.journal.get(row_id) if name in buttons.REPEATS else None
            return "" if row is None else str(row.resume.get("question", ""))
        return ""

    async def _act(self, replies: AsyncGenerator[Reply, None], where: AnswerPlace) -> None:
        await self._follow(await anext(replies, None), replies, where)

    async def _follow(self, first: Reply | None, replies: AsyncGenerator[Reply, None], where: AnswerPlace) -> None:
        """Show the answer that begins with `first`, where it belongs."""
        if first is None:
            return
        whispered = first.private and not (where.is_direct and where.thread)
        outlet = self._answers.aside(where) if whispered else self._answers.room(where)
        await self._answers.follow(outlet, _led_by(first, replies))

    async def _change(self, dispatch: Decision, where: AnswerPlace, action: Action, ts: str) -> None:
        """What was pressed changes the message that it stands under."""
        _, row_id = buttons.parse(action.id)
        # Known no longer once the answer is deleted.
        row, shown = await self._bot.journal.get(row_id), await self._bot.shown(row_id)
        async with aclosing(dispatch.replies):
            async for reply in dispatch.replies:
                if reply.error and not reply.row:
                    await self._answers.aside(where).show(self._answers.spelt(reply))
                    return
                if reply.deleted:
                    await self._delete(where, row, [*shown, *([] if ts in shown else [ts])], ts)
                else:
                    await self._redraw(where, row, reply, ts)
        if action.private:
            # The Stop that the asker alone was given has done what it was for.
            await self._web.respond(where.response_url, None)

    async def _redraw(self, where: AnswerPlace, row: MessageRow | None, reply: Reply, ts: str) -> None:
        if row is not None and not row.resume.get("quoted", True):
            reply = replace(reply, quote="")
        shown = message_format.rendered(self._answers.spelt(reply), locale=where.locale)
        message = shown.tail or shown.messages[-1]
        try:
            await self._web.update(where.channel, ts, message)
        except NotInChannel:
            await self._web.respond(where.response_url, message, replaces=True, public=True)

    async def _delete(self, where: AnswerPlace, row: MessageRow | None, shown: Sequence[str], ts: str) -> None:
        """Delete what showed an answer; and the question that the bot posted for it, if that has no answer left."""
        if row is None:
            return
        question = row.resume.get("question")
        if question and row.parent is not None and await self._bot.journal.get(row.parent) is None:
            shown = [*shown, question]
        try:
            await self._web.delete(where.channel, ts)
        except NotInChannel:
            await self._web.respond(where.response_url, None)
        except SlackError as error:
            log.info("A message stays: %s", error)
        await self._web.delete_all(where.channel, [one for one in shown if one != ts])

    # What all of them need

    async def _is_new(self, name: str) -> bool:
        return await self._bot.database.first_seen(PLATFORM, name)

    def _where(self, body: Json, user: User, *, channel: str = "", **more: Any) -> AnswerPlace:
        channel, response_url = channel or body["channel"]["id"], body.get("response_url", "")
        return self._spoken_to(user, AnswerPlace(channel=channel, user=user.id, response_url=response_url, **more))

    def _spoken_to(self, user: User, where: AnswerPlace) -> AnswerPlace:
        """The same place for `user`, with the language that they are spoken to in."""
        locale = self._bot.gate.language(user.locale, where.place(self._team))
        return replace(where, user=user.id, locale=locale)

    def _request(self, user: User, where: AnswerPlace, **what: Any) -> Request:
        return Request(
            user=replace(where.asker(user), locale=where.locale),
            place=where.place(self._team),
            can_show_forms=True,
            resume=where.as_json(),
            **what,
        )


def _name(view: Json) -> str:
    """What a form that is sent is told apart by."""
    return f"{view['id']}.{view.get('hash', '')}"


def _is_refusal(reply: Reply) -> bool:
    return reply.error and not reply.row


async def _led_by(first: Reply, replies: AsyncGenerator[Reply, None]) -> AsyncGenerator[Reply, None]:
    async with aclosing(replies):
        yield first
        async for reply in replies:
            yield reply
