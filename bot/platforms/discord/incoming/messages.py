"""What is said to the bot without a slash: direct messages, mentions, replies, and all that its own threads hold."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import discord

from bot.core.i18n import translate
from bot.core.latest import Stream
from bot.core.messages import Place
from bot.platforms.discord.convert.requests import PLATFORM, from_message, words
from bot.platforms.discord.outgoing import render
from bot.platforms.discord.outgoing.answer_view import AnswerView
from bot.platforms.discord.outgoing.answers import only, resume

if TYPE_CHECKING:
    from bot.core.messages import Reply, Request
    from bot.platforms.discord.outgoing.answers import DiscordAnswers
    from bot.platforms.discord.outgoing.targets import ChannelTarget

log = logging.getLogger(__name__)

SAID = (discord.MessageType.default, discord.MessageType.reply)
DEAF = "I read here only what mentions me, {name}, or replies to me with a ping."
NEW = timedelta(days=1)
"""For how long a server that the bot has come to is greeted, should the bot not have been running when it came."""


class MessageListener:
    """From messages to answers. `reads_all` says whether Discord lets the bot read messages without a mention."""

    def __init__(self, answers: DiscordAnswers, client: discord.Client, *, reads_all: bool) -> None:
        self._answers = answers
        self._bot = answers.bot
        self._client = client
        self._reads_all = reads_all

    def heard(self, message: discord.Message) -> None:
        """Take a message in; what other bots, webhooks and Discord itself say is left alone."""
        if message.webhook_id is not None or message.author.bot or message.type not in SAID:
            return
        if self._is_addressed(message) or message.reference is not None or self._is_own_thread(message):
            self._answers.start(self._hear(message), "discord message")

    def _is_addressed(self, message: discord.Message) -> bool:
        return message.guild is None or self._client.user in message.mentions

    def _is_own_thread(self, message: discord.Message) -> bool:
        channel, me = message.channel, self._client.user
        return isinstance(channel, discord.Thread) and me is not None and channel.owner_id == me.id

    async def _hear(self, message: discord.Message) -> None:
        if not (self._is_addressed(message) or self._is_own_thread(message) or await self._is_reply(message)):
            return
        if not message.content and not self._is_addressed(message):
            # Without the intent, Discord gives the text of a message only where it mentions the bot.
            if self._is_own_thread(message) and not self._reads_all:
                await self._explain(message)
            return
        if not await self._bot.database.claim_event(PLATFORM, str(message.id)):
            return
        me = self._client.user
        text = words(message, me.id if me is not None else 0)
        if text:
            await self._answer(message, from_message(message, text))
        else:
            await self._say(message, self._bot.welcome(self._locale(message), names_all=True))

    async def _is_reply(self, message: discord.Message) -> bool:
        """Whether it replies to an answer of the bot."""
        request = from_message(message, "")
        row = await self._bot.messages.find(request.place, request.reply_to) if request.reply_to else None
        return row is not None and row.role == "assistant"

    async def _explain(self, message: discord.Message) -> None:
        """Say once in each thread what can be heard there."""
        if self._client.user is not None and await self._bot.database.claim_event(
            PLATFORM, f"thread {message.channel.id}"
        ):
            text = translate(DEAF, self._locale(message), name=f"@{self._client.user.display_name}")
            await self._answers.room(message.channel.id, None, reply_to=message.id).post(render.RenderedMessage(text))

    async def _say(self, message: discord.Message, reply: Reply) -> None:
        """Reply with something that is no answer."""
        room = self._answers.room(message.channel.id, None, reply_to=message.id)
        for part in render.messages(reply, locale=self._locale(message), bytes_each=room.bytes_each):
            await room.post(part)

    async def _answer(self, message: discord.Message, request: Request) -> None:
        decision = self._bot.prepare(request)
        if decision.refused:
            await self._refuse(message, await only(decision.start()))
            return
        guild, room = message.guild, self._room(message)
        direct = self._answers.direct(message.author.id)
        locale = self._locale(message)
        if decision.private and guild is not None:
            channel = (await self._client.create_dm(message.author)).id
            # Where direct messages are closed, the room is told.
            outlet = AnswerView(self._bot, direct, direct=room, locale=locale)
            known = resume(request, channel=channel, quoted=True)
        else:
            aside = None if guild is None else direct
            outlet = AnswerView(self._bot, room, direct=self._room(message), aside=aside, locale=locale, quoted=False)
            known = resume(request, channel=message.channel.id, quoted=False, question=str(message.id))
        await self._answers.follow(outlet, decision.start(resume=known), _error_in_place)

    async def _refuse(self, message: discord.Message, reply: Reply) -> None:
        """Tell a refusal that is known at once; where others read along, what a rule forbids to the asker alone."""
        if message.guild is None or not reply.refused:
            await self._say(message, reply)
            return
        direct = self._answers.direct(message.author.id)
        outlet = AnswerView(self._bot, direct, direct=self._room(message), locale=self._locale(message))
        await self._answers.follow(outlet, Stream.of(reply))

    def _locale(self, message: discord.Message) -> str:
        """The language that whoever wrote a message is spoken to in."""
        request = from_message(message, "")
        return self._bot.admission.language(request.user.locale, request.place)

    def _room(self, message: discord.Message) -> ChannelTarget:
        """Where something was said; what is written there first replies to it."""
        guild = message.guild.id if message.guild is not None else None
        return self._answers.room(message.channel.id, guild, reply_to=message.id)

    async def greet(self, guild: discord.Guild) -> None:
        """Say hello once to a server that the bot has come to lately, where everybody can read it."""
        joined = guild.me.joined_at
        if joined is None or discord.utils.utcnow() - joined > NEW:
            return
        if not await self._bot.database.claim_event(PLATFORM, f"joined {guild.id} {joined.timestamp()}"):
            return
        channels = [guild.system_channel, *guild.text_channels]
        open_ones = (channel for channel in channels if channel and channel.permissions_for(guild.me).send_messages)
        if channel := next(open_ones, None):
            room = self._answers.room(channel.id, guild.id)
            place = Place(PLATFORM, str(channel.id), str(guild.id))
            locale = self._bot.admission.language(guild.preferred_locale.value, place)
            welcome = self._bot.welcome(locale, names_all=True)
            for part in render.messages(welcome, locale=locale, bytes_each=room.bytes_each):
                await room.post(part)


def _error_in_place(reply: Reply) -> Reply:
    """Return the reply; what went wrong is told where the question was asked, a rule's refusal to the asker alone."""
    return replace(reply, private=reply.private and (reply.refused or not reply.error))
