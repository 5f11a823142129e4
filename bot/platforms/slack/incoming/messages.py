"""Messages that people write: mentions of the bot, direct messages to it, and threads that it is part of."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.core.messages import Request
from bot.platforms.slack.api import message_format
from bot.platforms.slack.convert import commands
from bot.platforms.slack.convert.requests import PLATFORM, AnswerPlace, words

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

    def __init__(self, answers: SlackAnswers, people: UserDirectory) -> None:
        self._answers = answers
        self._bot = answers.bot
        self._me = answers.me
        self._people = people

    async def said(self, event: Json) -> None:
        """A message came, or a mention of the bot, which Slack tells of as well."""
        if event.get("subtype") == "message_deleted":
            await self._answers.removed(event["channel"], event["deleted_ts"])
            return
        author = event.get("user", "")
        if event.get("subtype") not in SAID or event.get("bot_id") or not author or author == self._me.user:
            return
        where = AnswerPlace(
            channel=event["channel"],
            user=author,
            thread=event.get("thread_ts") or event["ts"],
            quoted=False,
            spoken="thread_ts" in event,
        )
        mentioned = set(MENTION.findall(event.get("text") or ""))
        if not await self._is_meant(event, where, mentioned):
            return
        # By the message itself and not by the event: a mention comes twice, as two events.
        if await self._bot.database.claim_event(PLATFORM, f"{where.channel}:{event['ts']}"):
            await self._answer(event, where)

    async def _is_meant(self, event: Json, where: AnswerPlace, mentioned: set[str]) -> bool:
        """Whether the bot is: everything in direct messages, mentions, and its threads unless others are spoken to."""
        if where.is_direct or event["type"] == "app_mention" or self._me.user in mentioned:
            return True
        if "thread_ts" not in event or mentioned:
            return False
        # What somebody was told alone among others does not make a thread the bot's.
        return await self._bot.messages.has_public_answer(where.place(self._me.team))

    async def _answer(self, event: Json, where: AnswerPlace) -> None:
        user = await self._people.find(where.user)
        where = replace(where, locale=self._bot.admission.language(user.locale, where.place(self._me.team)))
        text = commands.message(await words(event.get("text") or "", self._me.user, self._people))
        if not text:
            if where.is_direct or self._me.user in MENTION.findall(event.get("text") or ""):
                welcome = self._bot.welcome(where.locale)
                note = message_format.note(self._answers.typed(welcome.text))
                await self._answers.web.post(where.channel, note, where.thread)
            return
        request = Request(
            user=where.asker(user),
            place=where.place(self._me.team),
            text=text,
            # Slack tells the bot of no direct messages but its own.
            alone=where.is_direct,
            message=event["ts"],
            resume=where.as_json(),
        )
        decision = self._bot.prepare(request)
        whispered = decision.private and not where.is_direct
        outlet = self._answers.aside(where) if whispered else self._answers.room(where)
        await self._answers.follow(outlet, decision.start())
