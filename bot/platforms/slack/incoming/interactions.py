"""Slash commands, buttons, forms and message shortcuts, once they are acknowledged."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from functools import partial
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
    fetch_files,
    files,
    unescaped,
    with_typed,
    words,
)
from bot.platforms.slack.incoming import modal
from bot.platforms.slack.outgoing.answers import FAILED, SHUT_OUT
from bot.safety.settings import OFF

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from slack_bolt.async_app import AsyncAck

    from bot.answers.decision import Decision
    from bot.core.latest import Stream
    from bot.core.messages import Attachment, Form, Reply, User
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
        stored = await self._bot.messages.find(where.place(self._team), ts)
        text = stored.text if stored else await words(message.get("text", ""), self._answers.me.user, self._people)
        try:
            command = self._bot.registry.find(body["callback_id"].removeprefix(SHORTCUT))
        except UserError as error:
            await self._answers.refuse(where, error)
            return
        options = command.options_from_message(text, link_to(body["channel"]["id"], ts))
        about = {"command": command.name, "options": options, "reply_to": ts}
        await self._ask(self._request(user, where, **about), where, body["trigger_id"])

    async def _ask(
        self, request: Request, where: AnswerPlace, trigger: str = "", decision: Decision | None = None
    ) -> None:
        """Answer a request; `decision` is what was decided on it, if that was done already."""
        if decision is None:
            decision = self._bot.prepare(announced(request))
        if decision.form is not None:
            await self._open(request, decision.form, where, trigger)
            return
        if decision.refused:
            await self._answers.follow(self._answers.aside(where), decision.start())
            return
        try:
            fetched = await fetch_files(request, self._web)
        except UserError as error:
            await self._answers.refuse(where, error, request)
            return
        change = partial(with_typed, request=request)
        if decision.private or where.thread:
            outlet = self._answers.aside(where) if decision.private else self._answers.room(where)
            replies = decision.start(files=fetched, alone=await self._is_alone(request))
            await self._answers.follow(outlet, replies, change)
        else:
            await self._ask_in_public(request, decision, where, fetched)

    async def _is_alone(self, request: Request) -> bool:
        """Whether somebody asks in their direct messages with the bot; nothing in a request tells these from others."""
        if request.place.server:
            return False
        try:
            return await self._web.direct(request.user.id) == request.place.channel
        except SlackError as error:
            log.info("Slack does not tell where somebody writes to the bot: %s", error)
            return False

    async def _ask_in_public(
        self, request: Request, decision: Decision, where: AnswerPlace, fetched: Mapping[str, Attachment]
    ) -> None:
        """Post the question, and answer in its thread; where the bot is not in the channel, answer without it."""
        quoted = self._bot.settings.value("answers.quote", request.place)
        whole = message_format.question(where.user, asked(decision, quoted=quoted), locale=where.locale)
        question, withheld = whole, quoted and self._is_judged(where)
        if withheld:
            question = message_format.question(where.user, asked(decision, quoted=False), locale=where.locale)
        change: Callable[[Reply], Reply] = partial(with_typed, request=request)
        alone = await self._is_alone(request)
        try:
            ts = await self._web.post(where.channel, question)
        except NotInChannel:
            await self._answers.follow(self._answers.hook(where), decision.start(files=fetched, alone=alone), change)
            return
        except SlackError as error:
            log.warning("A question could not be posted: %s", error)
            await self._answers.aside(where).tell(SHUT_OUT if isinstance(error, ChannelClosed) else FAILED)
            return
        where = replace(where, thread=ts, question=ts, quoted=False)
        replies = decision.start(
            files=fetched, alone=alone, place=where.place(self._team), message=ts, resume=where.as_json()
        )
        if withheld:
            change = _Revealing(change, partial(self._start_revealing, where, whole))
        await self._answers.follow(self._answers.room(where), replies, change)

    def _is_judged(self, where: AnswerPlace) -> bool:
        """Return whether a classifier may refuse what is asked there, for others to read, once it is posted."""
        return not where.is_direct and self._bot.settings.value("safety.level", where.place(self._team)) != OFF

    def _start_revealing(self, where: AnswerPlace, question: SlackMessage) -> None:
        # The answer does not wait for it, as it may have to wait itself.
        self._answers.start(self._reveal(where, question), "slack question")

    async def _reveal(self, where: AnswerPlace, question: SlackMessage) -> None:
        try:
            await self._web.update(where.channel, where.question, question)
        except SlackError as error:
            log.info("A question stays without its words: %s", error)

    # Forms

    async def _open(
        self, request: Request, make_form: Callable[[], Awaitable[Form]], where: AnswerPlace, trigger: str
    ) -> None:
        try:
            form = await make_form()
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
            decision = self._bot.prepare(announced(request))
            if decision.refused:
                await ack(response_action="errors", errors=self._marked(view, await anext(decision.start())))
                return
            await ack()
            self._answers.start(self._sent(view, self._ask(request, where, decision=decision)), "slack form")
            return
        await self._submit_edit(ack, view, request, where)

    async def _submit_edit(self, ack: AsyncAck, view: Json, request: Request, where: AnswerPlace) -> None:
        if files(request):
            await ack()
            self._answers.start(self._sent(view, self._act_with_files(request, where)), "slack form")
            return
        beginning = asyncio.create_task(self._begin_edit(view, request), name="slack form")
        await asyncio.wait({beginning}, timeout=FIRST_SECONDS)
        replies = beginning.result() if beginning.done() and beginning.exception() is None else None
        first = None if replies is None else replies.latest.peek()
        if replies is not None and first is not None and _is_refusal(first):
            await ack(response_action="errors", errors=self._marked(view, first))
            await replies.aclose()
            return
        await ack()
        self._answers.start(self._go_on(beginning, request, where), "slack form")

    async def _begin_edit(self, view: Json, request: Request) -> Stream[Reply] | None:
        """Begin the answer to an edited question, up to its first reply; None if the same form was sent before."""
        if not await self._is_new(_name(view)):
            return None
        replies = self._bot.prepare(request).start(alone=await self._is_alone(request))
        async with AsyncExitStack() as undo:
            undo.push_async_callback(replies.aclose)
            first = await replies.first()
            if first is not None and _is_refusal(first):
                # It is sent again under the same name, once it is mended.
                await self._bot.database.release_event(PLATFORM, _name(view))
            undo.pop_all()
        return replies

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
            fetched = await fetch_files(request, self._web)
        except UserError as error:
            await self._answers.refuse(where, error)
            return
        decision = self._bot.prepare(announced(request))
        replies = decision.start(files=fetched, alone=await self._is_alone(request))
        await self._follow(replies, where, partial(with_typed, request=request))

    async def _go_on(self, beginning: asyncio.Task[Stream[Reply] | None], request: Request, where: AnswerPlace) -> None:
        try:
            replies = await beginning
        except BaseException:
            beginning.cancel()
            await asyncio.gather(beginning, return_exceptions=True)
            raise
        if replies is not None:
            await self._follow(replies, where, partial(with_typed, request=request))

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
        decision = self._bot.prepare(request)
        if decision.form is not None:
            await self._open(request, decision.form, where, body["trigger_id"])
        elif decision.refused:
            await self._answers.follow(self._answers.aside(where), decision.start())
        elif decision.in_place:
            await self._change(decision, where, action, ts)
        else:
            await self._follow(decision.start(alone=await self._is_alone(request)), where)

    async def _question(self, action: Action) -> str:
        """The message of ours that asks what a new answer answers again, for whoever deletes the last of them."""
        with suppress(Expired):
            name, row_id = buttons.parse(action.id)
            row = await self._bot.messages.get(row_id) if name in buttons.REPEATS else None
            return "" if row is None else str(row.resume.get("question", ""))
        return ""

    async def _follow(
        self, replies: Stream[Reply], where: AnswerPlace, change: Callable[[Reply], Reply] | None = None
    ) -> None:
        """Show the answer where its first reply belongs."""
        if (first := await replies.first()) is None:
            return
        whispered = first.private and not (where.is_direct and where.thread)
        outlet = self._answers.aside(where) if whispered else self._answers.room(where)
        await self._answers.follow(outlet, replies, change)

    async def _change(self, decision: Decision, where: AnswerPlace, action: Action, ts: str) -> None:
        """What was pressed changes the message that it stands under."""
        _, row_id = buttons.parse(action.id)
        # Known no longer once the answer is deleted.
        row, shown = await self._bot.messages.get(row_id), await self._bot.shown(row_id)
        async with aclosing(decision.start()) as replies:
            async for reply in replies:
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
        if question and row.parent is not None and await self._bot.messages.get(row.parent) is None:
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
        return await self._bot.database.claim_event(PLATFORM, name)

    def _where(self, body: Json, user: User, *, channel: str = "", **more: Any) -> AnswerPlace:
        channel, response_url = channel or body["channel"]["id"], body.get("response_url", "")
        return self._spoken_to(user, AnswerPlace(channel=channel, user=user.id, response_url=response_url, **more))

    def _spoken_to(self, user: User, where: AnswerPlace) -> AnswerPlace:
        """The same place for `user`, with the language that they are spoken to in."""
        locale = self._bot.admission.language(user.locale, where.place(self._team))
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


class _Revealing:
    """Changes replies as `change` does. The first one tells whether the classifier let the question pass."""

    def __init__(self, change: Callable[[Reply], Reply], reveal: Callable[[], None]) -> None:
        self._change = change
        self._reveal: Callable[[], None] | None = reveal

    def __call__(self, reply: Reply) -> Reply:
        reveal, self._reveal = self._reveal, None
        # Words of help have no row either, though they are no error; and what is told to one alone shows nothing.
        if reveal is not None and reply.row and not reply.private:
            reveal()
        return self._change(reply)
