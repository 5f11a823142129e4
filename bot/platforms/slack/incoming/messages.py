"""Messages to the bot: mentions, direct messages, and messages in threads where it has answered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bot.answers.greeting import welcome
from bot.core.messages import Request
from bot.platforms.slack.api.message_format import note_message
from bot.platforms.slack.convert.commands import read_message
from bot.platforms.slack.convert.requests import AnswerPlace, files_of, read_text, team_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.platforms.slack.incoming.request_handler import RequestHandler

    Json = Mapping[str, Any]

USER_SUBTYPES = frozenset({None, "file_share", "thread_broadcast"})
"""Subtypes of messages that people write; the others report edits, joins and the like."""
MAX_BEGUN = 1000
"""Messages that are remembered as begun; the two events of a mention come within moments."""
MENTION = re.compile(r"<@([UW]\w+)")


class Messages:
    """Handles messages in the channels that the bot is in."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._answers = handler.answers
        self._bot = handler.bot
        self._identity = handler.identity
        self._begun: dict[str, None] = {}

    async def handle(self, event: Json) -> None:
        """Handle a message event, or the event that Slack sends for a mention in addition."""
        if event.get("subtype") == "message_deleted":
            await self._answers.delete_answer_of(event["channel"], event["deleted_ts"])
            return
        author = event.get("user", "")
        if (
            event.get("subtype") not in USER_SUBTYPES
            or event.get("bot_id")
            or not author
            or author == self._identity.user
        ):
            return
        place = AnswerPlace(
            channel=event["channel"],
            user=author,
            thread=event.get("thread_ts") or event["ts"],
            quoted=False,
            spoken="thread_ts" in event,
            team=team_of(event.get("user_team"), event.get("team")),
        )
        mentioned = set(MENTION.findall(event.get("text") or ""))
        if not await self._is_addressed(event, place, mentioned):
            return
        # The key is the message and not the event, because a mention comes as two events, or as one if it has a file.
        key = f"{place.channel}:{event['ts']}"
        if self._begin(key) and await self._handler.is_new(key, place):
            await self._answer(event, place)

    def _begin(self, key: str) -> bool:
        """Return whether a message is new here. Whoever was told that it failed gets no answer to its other event."""
        if key in self._begun:
            return False
        self._begun[key] = None
        if len(self._begun) > MAX_BEGUN:
            del self._begun[next(iter(self._begun))]
        return True

    async def _is_addressed(self, event: Json, place: AnswerPlace, mentioned: set[str]) -> bool:
        """Return whether a message is for the bot: direct, a mention, or in its thread without mentions of others."""
        if place.is_direct or event["type"] == "app_mention" or self._identity.user in mentioned:
            return True
        # Without words, such as a file alone, it gets no answer even in a thread of the bot.
        if "thread_ts" not in event or mentioned or not (event.get("text") or "").strip():
            return False
        here = self._handler.to_place(place)
        # Neither a private answer nor a mention in a thread that people began makes it a thread of the bot.
        began = not self._bot.settings.value("answers.threads", here)
        return await self._bot.messages.has_public_answer(here, began=began)

    async def _answer(self, event: Json, place: AnswerPlace) -> None:
        user = await self._handler.users.find(place.user)
        place = self._handler.for_user(place, user)
        text = read_message(await read_text(event.get("text") or "", self._identity.user, self._handler.users))
        if not text:
            if place.is_direct or self._identity.user in MENTION.findall(event.get("text") or ""):
                greeting = welcome(self._bot, place.locale, self._handler.to_place(place))
                note = note_message(self._answers.adapt_text(greeting.text))
                await self._answers.api.post(place.channel, note, place.thread)
            return
        request = Request(
            user=place.limit_rights(user),
            place=self._handler.to_place(place),
            text=text,
            # Slack sends the bot no direct messages between other people.
            alone=place.is_direct,
            message=event["ts"],
            message_files=await files_of(event, self._handler.api),
            resume=place.as_json(),
        )
        decision = self._bot.prepare(request)
        is_ephemeral = decision.private and not place.is_direct
        view = self._answers.ephemeral_view(place) if is_ephemeral else self._answers.thread_view(place)
        await self._answers.follow(view, decision.start())
