"""Messages that people write: mentions of the bot, direct messages to it, and threads that it is part of."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.core.messages import Request
from bot.platforms.slack.api import message_format
from bot.platforms.slack.convert import commands
from bot.platforms.slack.convert.requests import PLATFORM, AnswerPlace, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.platforms.slack.convert.people import UserDirectory
    from bot.platforms.slack.outgoing.answers import SlackAnswers

    Json = Mapping[str, Any]

SAID = frozenset({None, "file_share", "thread_broadcast"})
"""The subtypes of messages that are somebody's words; the others tell of edits, joins and the like."""
MENTION = re.compile(r"<@([UW]\w+)")


class Messages:
    """What is said where the bot hears it."""

    def __init__(self, answers: SlackAnswers, users: UserDirectory) -> None:
        self._answers = answers
        self._bot = answers.bot
        self._identity = answers.identity
        self._users = users

    async def said(self, event: Json) -> None:
        """A message came, or a mention of the bot, which Slack tells of as well."""
        if event.get("subtype") == "message_deleted":
            await self._answers.removed(event["channel"], event["deleted_ts"])
            return
        author = event.get("user", "")
        if event.get("subtype") not in SAID or event.get("bot_id") or not author or author == self._identity.user:
            return
        place = AnswerPlace(
            channel=event["channel"],
            user=author,
            thread=event.get("thread_ts") or event["ts"],
            quoted=False,
            spoken="thread_ts" in event,
        )
        mentioned = set(MENTION.findall(event.get("text") or ""))
        if not await self._is_meant(event, place, mentioned):
            return
        # By the message itself and not by the event: a mention comes twice, as two events.
        if await self._bot.database.first_seen(PLATFORM, f"{place.channel}:{event['ts']}"):
            await self._answer(event, place)

    async def _is_meant(self, event: Json, place: AnswerPlace, mentioned: set[str]) -> bool:
        """Whether the bot is: everything in direct messages, mentions, and its threads unless others are spoken to."""
        if place.is_direct or event["type"] == "app_mention" or self._identity.user in mentioned:
            return True
        if "thread_ts" not in event or mentioned:
            return False
        # What somebody was told alone among others does not make a thread the bot's.
        return await self._bot.messages.has_answered(place.to_place(self._identity.team))

    async def _answer(self, event: Json, place: AnswerPlace) -> None:
        user = await self._users.find(place.user)
        place = replace(place, locale=self._bot.admission.language(user.locale, place.to_place(self._identity.team)))
        text = commands.read_message(await read_text(event.get("text") or "", self._identity.user, self._users))
        if not text:
            if place.is_direct or self._identity.user in MENTION.findall(event.get("text") or ""):
                welcome = self._bot.welcome(place.locale)
                note = message_format.note_message(self._answers.adapt_text(welcome.text))
                await self._answers.api.post(place.channel, note, place.thread)
            return
        request = Request(
            user=place.limit_rights(user),
            place=place.to_place(self._identity.team),
            text=text,
            # Slack tells the bot of no direct messages but its own.
            alone=place.is_direct,
            message=event["ts"],
            resume=place.as_json(),
        )
        decision = self._bot.prepare(request)
        whispered = decision.private and not place.is_direct
        view = self._answers.ephemeral_view(place) if whispered else self._answers.thread_view(place)
        await self._answers.follow(view, decision.start())
