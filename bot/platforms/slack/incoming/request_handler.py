"""Builds requests, answers them and opens forms, for commands, forms, buttons and messages."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.answers.decision import Answer, OpenForm
from bot.core.errors import DatabaseUnavailable, RequestRefused, UserError
from bot.core.i18n import Sentence
from bot.core.messages import Request
from bot.platforms.answer_tasks import FAILED
from bot.platforms.slack.api import message_format
from bot.platforms.slack.api.errors import ChannelClosed, NotInChannel, SlackError
from bot.platforms.slack.convert.requests import (
    AnswerPlace,
    fetch_files,
    keep_form_input,
    question_text,
    team_of,
    with_empty_files,
)
from bot.platforms.slack.incoming import modal
from bot.platforms.slack.outgoing.answers import SHUT_OUT
from bot.safety.settings import OFF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bot.answers.decision import Decision
    from bot.core.latest import Stream
    from bot.core.messages import Attachment, Place, Reply, User
    from bot.platforms.slack.api.message_format import SlackMessage
    from bot.platforms.slack.convert.people import UserDirectory
    from bot.platforms.slack.outgoing.answers import SlackAnswers

    Json = Mapping[str, Any]

log = logging.getLogger(__name__)

FORM_LATE = Sentence("Slack did not open the form in time. Try again, or write everything behind the command.")


class RequestHandler:
    """Builds requests from Slack's payloads, and shows their answers where they belong."""

    def __init__(self, answers: SlackAnswers, users: UserDirectory) -> None:
        self.answers = answers
        self.bot = answers.bot
        self.api = answers.api
        self.identity = answers.identity
        self.users = users

    # Requests

    async def is_new(self, key: str, place: AnswerPlace) -> bool:
        """Return whether this event has not been handled yet, by this process or another one.

        If the database does not say, the asker is told so in `place`, since nobody else will answer what Slack takes
        for acknowledged.
        """
        try:
            return await self.bot.database.claim_event(self.identity.platform, key)
        except DatabaseUnavailable as error:
            await self.answers.ephemeral_view(place).notify_asker(error.sentence)
            return False

    async def find_user(self, body: Json) -> User:
        """Return the user who pressed, chose or submitted something."""
        return await self.users.find(body["user"]["id"], body["user"].get("name", ""))

    def answer_place(self, body: Json, user: User, *, channel: str = "", **fields: Any) -> AnswerPlace:
        """Return the place of an interaction; `fields` are those of AnswerPlace."""
        channel, response_url = channel or body["channel"]["id"], body.get("response_url", "")
        # A command names the workspace of who typed it beside them.
        team = team_of(body.get("user", body).get("team_id"))
        place = AnswerPlace(channel=channel, user=user.id, response_url=response_url, team=team, **fields)
        return self.for_user(place, user)

    def for_user(self, place: AnswerPlace, user: User) -> AnswerPlace:
        """Return the same place for `user`, with the language in which the bot answers them."""
        locale = self.bot.settings.language(self.to_place(place), user.locale)
        return replace(place, user=user.id, locale=locale)

    def to_place(self, place: AnswerPlace) -> Place:
        """Return the place as the core knows it."""
        return place.to_place(self.identity.team, self.identity.platform)

    def build_request(self, user: User, place: AnswerPlace, **fields: Any) -> Request:
        """Return a request of `user`; `fields` are those of Request."""
        return Request(
            user=replace(place.limit_rights(user), locale=place.locale),
            place=self.to_place(place),
            resume=place.as_json(),
            **{"can_show_forms": True} | fields,
        )

    async def is_alone(self, request: Request) -> bool:
        """Return whether the request comes from direct messages with the bot, and not with somebody else."""
        if request.place.server:
            return False
        try:
            return await self.api.open_direct_messages(request.user.id) == request.place.channel
        except SlackError as error:
            log.info("The channel of somebody's direct messages could not be looked up: %s", error)
            return False

    # Answers

    async def answer(
        self, request: Request, place: AnswerPlace, trigger: str = "", decision: Decision | None = None
    ) -> None:
        """Answer a request, or open the form that it needs; `decision` is the one on it, if there is one already."""
        if decision is None:
            decision = self.bot.prepare(with_empty_files(request))
        if isinstance(decision, OpenForm):
            await self.open_form(request, decision, place, trigger)
            return
        if not isinstance(decision, Answer):
            await self.answers.follow(self.answers.ephemeral_view(place), decision.start())
            return
        try:
            files = await fetch_files(request, self.api)
        except UserError as error:
            await self.answers.refuse(place, error, request)
            return
        if decision.private or place.thread:
            view = self.answers.ephemeral_view(place) if decision.private else self.answers.thread_view(place)
            replies = decision.start(files=files, alone=await self.is_alone(request))
            await self.answers.follow(view, replies, partial(keep_form_input, request=request))
        else:
            await self._answer_publicly(request, decision, place, files)

    async def _answer_publicly(
        self, request: Request, decision: Answer, place: AnswerPlace, files: Mapping[str, Attachment]
    ) -> None:
        """Post the question and answer in its thread; use the response_url if the bot is not in the channel."""
        is_quoted = self.bot.settings.value("answers.quote", request.place)
        full_question = message_format.question_message(
            place.user, question_text(decision, quoted=is_quoted), locale=place.locale
        )
        question, is_withheld = full_question, is_quoted and self._is_classified(place)
        if is_withheld:
            text = question_text(decision, quoted=False)
            question = message_format.question_message(place.user, text, locale=place.locale)
        change: Callable[[Reply], Reply] = partial(keep_form_input, request=request)
        alone = await self.is_alone(request)
        try:
            ts = await self.api.post(place.channel, question)
        except NotInChannel:
            replies = decision.start(files=files, alone=alone)
            await self.answers.follow(self.answers.response_url_view(place), replies, change)
            return
        except SlackError as error:
            log.warning("A question could not be posted: %s", error)
            sentence = SHUT_OUT if isinstance(error, ChannelClosed) else FAILED
            await self.answers.ephemeral_view(place).notify_asker(sentence)
            return
        place = replace(place, thread=ts, question=ts, quoted=False)
        replies = decision.start(
            files=files, alone=alone, place=self.to_place(place), message=ts, resume=place.as_json()
        )
        if is_withheld:
            change = _RevealAtFirst(change, partial(self._start_revealing, place, full_question))
        await self.answers.follow(self.answers.thread_view(place), replies, change)

    def _is_classified(self, place: AnswerPlace) -> bool:
        """Return whether a classifier checks questions there, so that they may be shown only after it."""
        return not place.is_direct and self.bot.settings.value("safety.level", self.to_place(place)) != OFF

    def _start_revealing(self, place: AnswerPlace, question: SlackMessage) -> None:
        # A task, because the call may wait for its rate limit, and the answer must not wait for it.
        self.answers.start(self._reveal(place, question), "slack question")

    async def _reveal(self, place: AnswerPlace, question: SlackMessage) -> None:
        try:
            await self.api.update(place.channel, place.question, question)
        except SlackError as error:
            log.info("The text of a question could not be added to its message: %s", error)

    async def follow(
        self, replies: Stream[Reply], place: AnswerPlace, change: Callable[[Reply], Reply] | None = None
    ) -> None:
        """Show an answer in the thread, or to the asker only if its first reply is private."""
        if (first := await replies.first()) is None:
            return
        is_ephemeral = first.private and not (place.is_direct and place.thread)
        view = self.answers.ephemeral_view(place) if is_ephemeral else self.answers.thread_view(place)
        await self.answers.follow(view, replies, change)

    # Forms

    async def open_form(self, request: Request, decision: OpenForm, place: AnswerPlace, trigger: str) -> None:
        """Open a form, or tell the asker why it does not open."""
        try:
            form = await decision.make()
        except UserError as error:
            if isinstance(error, RequestRefused):
                await self.bot.refusals.record(request, error)
            await self.answers.refuse(place, error)
            return
        form = replace(form, title=self.answers.adapt_text(form.title))
        view = modal.build(form, private_metadata=json.dumps(place.as_json()), locale=place.locale)
        try:
            await self.api.open_view(trigger, view)
        except SlackError as error:
            log.warning("A form was not opened: %s", error)
            await self.answers.ephemeral_view(place).notify_asker(FORM_LATE)


class _RevealAtFirst:
    """Changes replies as `change` does, and calls `reveal` if the first one shows that the classifier passed."""

    def __init__(self, change: Callable[[Reply], Reply], reveal: Callable[[], None]) -> None:
        self._change = change
        self._reveal: Callable[[], None] | None = reveal

    def __call__(self, reply: Reply) -> Reply:
        reveal, self._reveal = self._reveal, None
        # A refusal has no row (nor have sentences of help), and a private reply must not reveal the question.
        if reveal is not None and reply.row and not reply.private:
            reveal()
        return self._change(reply)
