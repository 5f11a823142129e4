"""Ordinary messages to the bot: direct messages, mentions, replies, and all messages in its own threads."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import discord

from bot.answers.decision import Refuse
from bot.answers.greeting import welcome
from bot.core.errors import DatabaseUnavailable
from bot.core.i18n import translate
from bot.core.latest import Stream
from bot.core.messages import Place, Reply
from bot.platforms.answer_tasks import read_only_reply
from bot.platforms.discord.convert.requests import PLATFORM, from_message, plain_text
from bot.platforms.discord.outgoing import render
from bot.platforms.discord.outgoing.answer_view import AnswerView
from bot.platforms.discord.outgoing.answers import resume_data

if TYPE_CHECKING:
    from bot.core.messages import Request
    from bot.platforms.discord.outgoing.answers import DiscordAnswers
    from bot.platforms.discord.outgoing.targets import ChannelTarget

log = logging.getLogger(__name__)

USER_MESSAGE_TYPES = (discord.MessageType.default, discord.MessageType.reply)
MENTION_NEEDED = "I read here only what mentions me, {name}, or replies to me with a ping."
GREETING_PERIOD = timedelta(days=1)
"""How long after the bot was added to a server it still greets, since it may not have been running then."""


class MessageListener:
    """Answers messages. `reads_all` says whether Discord lets the bot read messages that do not mention it."""

    def __init__(self, answers: DiscordAnswers, client: discord.Client, *, reads_all: bool) -> None:
        self._answers = answers
        self._bot = answers.bot
        self._client = client
        self._reads_all = reads_all

    def handle(self, message: discord.Message) -> None:
        """Answer a message in a task, unless it is from another bot, a webhook or Discord itself."""
        if message.webhook_id is not None or message.author.bot or message.type not in USER_MESSAGE_TYPES:
            return
        if message.guild is None and (
            not isinstance(message.channel, discord.DMChannel) or isinstance(message.author, discord.Member)
        ):
            # The bot has just left this server, or does not know it yet: what is not allowed there is unknown.
            return
        if isinstance(message.channel, discord.PartialMessageable) and not self._is_addressed(message):
            # Until Discord has told about a server, its channels are unknown.
            return
        if self._is_addressed(message) or self._may_be_reply(message) or self._is_own_thread(message):
            self._answers.start(self._answer_if_addressed(message), "discord message")

    def _is_addressed(self, message: discord.Message) -> bool:
        return message.guild is None or self._client.user in message.mentions

    def _is_own_thread(self, message: discord.Message) -> bool:
        channel, me = message.channel, self._client.user
        return isinstance(channel, discord.Thread) and me is not None and channel.owner_id == me.id

    async def _answer_if_addressed(self, message: discord.Message) -> None:
        if isinstance(message.channel, discord.PartialMessageable):
            # It may be a thread, in which other rules hold, and another conversation.
            message.channel = await self._client.fetch_channel(message.channel.id)  # type: ignore[assignment]
        is_addressed, is_own_thread = self._is_addressed(message), self._is_own_thread(message)
        if not message.content and not is_addressed:
            # Without the intent, Discord gives the text of a message only where it mentions the bot.
            if is_own_thread and not self._reads_all:
                await self._explain_mentions(message)
            return
        if not (is_addressed or is_own_thread or await self._is_reply(message)):
            return
        try:
            if not await self._bot.database.claim_event(PLATFORM, str(message.id)):
                return
        except DatabaseUnavailable as error:
            await self._reply(message, Reply(text=error.sentence.in_language(self._locale(message)), error=True))
            return
        me = self._client.user
        text = plain_text(message, me.id if me is not None else 0)
        if text:
            await self._answer(message, from_message(message, text))
        else:
            place = from_message(message, "").place
            await self._reply(message, welcome(self._bot, self._locale(message), place, names_all=True))

    def _may_be_reply(self, message: discord.Message) -> bool:
        """Return whether a message replies to one of the bot, as far as Discord tells whose that one is."""
        if message.reference is None or message.type is not discord.MessageType.reply:
            return False
        replied = message.reference.resolved
        return replied is None or (isinstance(replied, discord.Message) and replied.author == self._client.user)

    async def _is_reply(self, message: discord.Message) -> bool:
        """Return whether a message replies to an answer of the bot."""
        request = from_message(message, "")
        row = await self._bot.messages.find(request.place, request.reply_to)
        return row is not None and row.role == "assistant"

    async def _explain_mentions(self, message: discord.Message) -> None:
        """Say once in each thread which of its messages the bot can read."""
        if self._client.user is not None and await self._bot.database.claim_event(
            PLATFORM, f"thread {message.channel.id}"
        ):
            text = translate(MENTION_NEEDED, self._locale(message), name=f"@{self._client.user.display_name}")
            await self._answers.channel_target(message.channel.id, None, reply_to=message.id).post(
                render.RenderedMessage(text)
            )

    async def _reply(self, message: discord.Message, reply: Reply) -> None:
        """Reply to a message with something that is not stored as an answer."""
        target = self._answers.channel_target(message.channel.id, None, reply_to=message.id)
        await _post(target, reply, self._locale(message))

    async def _answer(self, message: discord.Message, request: Request) -> None:
        decision = self._bot.prepare(request)
        if isinstance(decision, Refuse):
            await self._refuse(message, await read_only_reply(decision.start()))
            return
        guild, channel = message.guild, self._channel_target(message)
        direct = self._answers.direct_target(message.author.id)
        locale = self._locale(message)
        if decision.private and guild is not None:
            direct_channel = await self._client.create_dm(message.author)
            # If the author takes no direct messages, the channel says so.
            view = AnswerView(self._bot, direct, direct_target=channel, locale=locale)
            resume = resume_data(request, channel=direct_channel.id, shows_question=True)
        else:
            view = AnswerView(
                self._bot,
                channel,
                direct_target=self._channel_target(message),
                private_target=None if guild is None else direct,
                locale=locale,
                shows_question=False,
            )
            resume = resume_data(request, channel=message.channel.id, shows_question=False, question=str(message.id))
        await self._answers.follow(view, decision.start(resume=resume), _with_public_error)

    async def _refuse(self, message: discord.Message, reply: Reply) -> None:
        """Say why a request is refused; a refusal by a rule is sent to the author alone where others could read it."""
        if message.guild is None or not reply.refused:
            await self._reply(message, reply)
            return
        direct = self._answers.direct_target(message.author.id)
        view = AnswerView(self._bot, direct, direct_target=self._channel_target(message), locale=self._locale(message))
        await self._answers.follow(view, Stream.of(reply))

    def _locale(self, message: discord.Message) -> str:
        """Return the language of the sentences for the author of a message."""
        request = from_message(message, "")
        return self._bot.settings.language(request.place, request.user.locale)

    def _channel_target(self, message: discord.Message) -> ChannelTarget:
        """Return the channel of a message; the first message that is written there replies to it."""
        guild = message.guild.id if message.guild is not None else None
        return self._answers.channel_target(message.channel.id, guild, reply_to=message.id)

    async def greet(self, guild: discord.Guild) -> None:
        """Greet a server once, if the bot was added to it lately, in a channel that everybody can read."""
        joined = guild.me.joined_at
        if joined is None or discord.utils.utcnow() - joined > GREETING_PERIOD:
            return
        if not await self._bot.database.claim_event(PLATFORM, f"joined {guild.id} {joined.timestamp()}"):
            return
        channels = [guild.system_channel, *guild.text_channels]
        writable = (channel for channel in channels if channel and channel.permissions_for(guild.me).send_messages)
        if channel := next(writable, None):
            place = Place(PLATFORM, str(channel.id), str(guild.id))
            locale = self._bot.settings.language(place, guild.preferred_locale.value)
            greeting = welcome(self._bot, locale, names_all=True)
            await _post(self._answers.channel_target(channel.id, guild.id), greeting, locale)


async def _post(target: ChannelTarget, reply: Reply, locale: str) -> None:
    for message in render.messages(reply, locale=locale, max_file_bytes=target.max_file_bytes):
        await target.post(message)


def _with_public_error(reply: Reply) -> Reply:
    """Return the reply; an error is shown where the question was asked, unless a rule refused the request."""
    return replace(reply, private=reply.private and (reply.refused or not reply.error))
