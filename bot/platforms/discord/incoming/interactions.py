"""Commands, buttons and forms: acknowledged first, in the one right form, and then answered."""

from __future__ import annotations

import logging
import time
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import discord
from sqlalchemy.exc import SQLAlchemyError

from bot.answers import buttons as actions
from bot.core.errors import BotError, RequestRefused, UserError
from bot.core.i18n import translate
from bot.core.messages import Action, Reply, Request
from bot.platforms.discord.convert.requests import PLATFORM, announced, fetch_files, from_interaction, words
from bot.platforms.discord.incoming import modal
from bot.platforms.discord.incoming.commands import THREAD
from bot.platforms.discord.outgoing import render
from bot.platforms.discord.outgoing.answer_view import WAITING, AnswerView, SentMessage
from bot.platforms.discord.outgoing.answers import FAILED, only, resume
from bot.platforms.discord.outgoing.targets import (
    ALREADY_ACKNOWLEDGED,
    NO_PINGS,
    UNKNOWN_INTERACTION,
    InteractionTarget,
)
from bot.platforms.discord.outgoing.thread import NOT_OPENED, Thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bot.answers.decision import Decision
    from bot.platforms.discord.outgoing.answers import DiscordAnswers
    from bot.storage.database import MessageRow

log = logging.getLogger(__name__)

UNCHANGED = "Discord does not let me change this message any more."
FIRST_PARTS_STAY = "The first parts of this answer stay: Discord let me delete them for 15 minutes only."
TOKEN_LIVES = 15 * 60.0
"""Seconds."""
IN_THREAD = f"+{THREAD}"
"""What the custom_id of a form ends with that is to be answered in a thread; no command is called so."""
PLAIN = (str, int, float)
"""What a suggestion may depend on; people and places are not ours yet while somebody types."""


@dataclass(frozen=True, slots=True)
class PendingInteraction:
    """One interaction, and the request that it is."""

    interaction: discord.Interaction
    request: Request
    locale: str
    """The language that the asker is spoken to in."""
    wants_thread: bool = False

    @property
    def command(self) -> str:
        """The name of the command that was used, or whose form was sent."""
        action = self.request.action
        return self.request.command if action is None else action.id.removeprefix("c:")

    @property
    def typed(self) -> dict[str, Any]:
        """What stands in the form that was sent, if it was one."""
        fields = self.request.action.fields if self.request.action is not None else None
        return dict(fields or {})

    @property
    def is_heard(self) -> bool:
        """Whether the bot itself is there, and may write messages without a token."""
        return self.interaction.is_guild_integration() or self.interaction.context.dm_channel

    @property
    def channel(self) -> int:
        """Where it happened: a channel, a thread or a direct message."""
        return int(self.request.place.thread or self.request.place.channel or 0)


class Interactions:
    """From interactions to answers."""

    def __init__(self, answers: DiscordAnswers) -> None:
        self._answers = answers
        self._bot = answers.bot

    async def run(self, interaction: discord.Interaction, command: str, options: dict[str, Any]) -> None:
        """A slash command."""
        given = {name: value for name, value in options.items() if name != THREAD}
        request = from_interaction(interaction, command=command, options=given, can_show_forms=True)
        self._begin(interaction, request, wants_thread=bool(options.get(THREAD)))

    async def run_on_message(self, interaction: discord.Interaction, command: str, message: discord.Message) -> None:
        """A command that was chosen in the menu of a message."""
        known = next((known for known in self._bot.commands if known.name == command), None)
        text = words(message, interaction.application_id)
        options = {} if known is None else known.options_from_message(text, message.jump_url)
        request = from_interaction(interaction, command=command, options=options, reply_to=str(message.id))
        self._begin(interaction, request)

    async def complete(self, interaction: discord.Interaction, command: str, option: str, typed: str) -> Sequence[str]:
        """What fits an option as typed so far."""
        given = {name: value for name, value in interaction.namespace if name != option and isinstance(value, PLAIN)}
        return await self._bot.complete(from_interaction(interaction, command=command, options=given), option, typed)

    def pressed(self, interaction: discord.Interaction, button: str) -> None:
        """A button under a message of the bot."""
        action = Action(button, private=_is_private(interaction))
        request = from_interaction(interaction, action=action, can_show_forms=True, can_turn_pages=True)
        self._begin(interaction, request)

    def submitted(self, interaction: discord.Interaction, form: str) -> None:
        """A form that was sent."""
        wants_thread = form.endswith(IN_THREAD)
        form = form.removesuffix(IN_THREAD)
        action = Action(form, modal.fields(interaction), private=_is_private(interaction))
        self._begin(interaction, from_interaction(interaction, action=action), wants_thread=wants_thread)

    def _begin(self, interaction: discord.Interaction, request: Request, *, wants_thread: bool = False) -> None:
        locale = self._bot.admission.language(request.user.locale, request.place)
        self._answers.start(
            self._take(PendingInteraction(interaction, request, locale, wants_thread)), "discord interaction"
        )

    async def _take(self, asked: PendingInteraction) -> None:
        try:
            await self._acknowledge(asked)
        except discord.HTTPException as error:
            if error.code not in (UNKNOWN_INTERACTION, ALREADY_ACKNOWLEDGED):
                raise
            log.info("An interaction is left to whoever acknowledged it, or came too late: %s", error)
        except Exception:
            log.exception("An interaction was not answered")
            await self._whisper(asked, Reply(text=translate(FAILED, asked.locale)))

    async def _acknowledge(self, asked: PendingInteraction) -> None:
        """Say at once what is coming, in the one right form; then let it come."""
        response = asked.interaction.response
        try:
            decision = self._bot.prepare(announced(asked.request))
            if decision.form is not None:
                form = await decision.form()
                if asked.wants_thread:
                    form = replace(form, id=f"{form.id}{IN_THREAD}")
                await response.send_modal(modal.build(form, asked.locale))
                return
        except UserError as error:
            if isinstance(error, RequestRefused):
                if not await self._is_ours(asked):
                    return
                await self._bot.refusals.note(asked.request, error)
            await self._whisper(asked, Reply(text=error.sentence.in_language(asked.locale)))
            return
        if decision.refused:
            if await self._is_ours(asked):
                await self._whisper(asked, await only(decision.start()))
        elif decision.in_place:
            await response.defer()
            await self._change(asked, decision)
        else:
            promised = await response.defer(ephemeral=decision.private, thinking=True)
            message = promised.message_id if promised is not None else None
            await self._answer(asked, decision, message or (await asked.interaction.original_response()).id)

    async def _is_ours(self, asked: PendingInteraction) -> bool:
        """Whether this process is to tell a refusal. It is noted before Discord could say who was first."""
        try:
            return await self._bot.database.claim_event(PLATFORM, str(asked.interaction.id))
        except SQLAlchemyError:
            log.exception("Whether another process tells a refusal is not known")
            return True

    async def _whisper(self, asked: PendingInteraction, reply: Reply) -> None:
        """Say something to the asker alone, with what they typed."""
        message = render.refused(reply.text, asked.typed, asked.locale)
        interaction, files = asked.interaction, render.files(message.files) or discord.utils.MISSING
        if interaction.response.is_done():
            await interaction.followup.send(message.content, files=files, ephemeral=True, allowed_mentions=NO_PINGS)
        else:
            await interaction.response.send_message(
                message.content, files=files, ephemeral=True, allowed_mentions=NO_PINGS
            )

    # What changes the message under which the button is

    async def _change(self, asked: PendingInteraction, decision: Decision) -> None:
        action = asked.request.action
        name, row = actions.parse(action.id if action is not None else "")
        # Before anything changes: what is just being shown may not be noted yet.
        showing = self._answers.showing(row)
        shown = await self._bot.shown(row)
        answer = await self._bot.messages.get(row)
        question = await self._question(answer)
        async with aclosing(decision.start()) as replies:
            async for reply in replies:
                if reply.deleted:
                    await self._delete(asked, answer, shown, showing)
                    if question is not None and await self._bot.messages.get(question.id) is None:
                        await self._answers.withdraw(question.channel, question.thread, question.external)
                elif not reply.row:
                    await self._whisper(asked, reply)
                elif actions.is_turning(name):
                    await self._turn(asked, answer, shown, reply)
                else:
                    async with self._or_say_so(asked):
                        await asked.interaction.edit_original_response(
                            view=render.view(render.buttons(reply)), allowed_mentions=NO_PINGS
                        )

    async def _turn(
        self, asked: PendingInteraction, answer: MessageRow | None, shown: Sequence[str], reply: Reply
    ) -> None:
        """Show the page that an answer has now in the message with the button; until then, the one before stays."""
        pressed = asked.interaction.message
        if not reply.final or answer is None or pressed is None:
            return
        outlet = self._outlet(asked, [SentMessage(pressed.id)], private=reply.private, answer=answer)
        async with self._or_say_so(asked):
            await outlet.show(reply)
            others = [message for message in shown if message not in outlet.ids]
            if asked.is_heard:
                await self._answers.delete(asked.channel, others)
            else:
                await self._answers.take_back(answer, others)

    async def _delete(
        self, asked: PendingInteraction, answer: MessageRow | None, shown: Sequence[str], showing: Sequence[AnswerView]
    ) -> None:
        pressed = asked.interaction.message
        async with self._or_say_so(asked):
            with suppress(discord.NotFound):
                await asked.interaction.delete_original_response()
        others = [message for message in shown if pressed is None or message != str(pressed.id)]
        removing = {message for outlet in showing for message in outlet.ids}
        await self._answers.delete(asked.channel, others if asked.is_heard else (), showing)
        if asked.is_heard or answer is None or removing.issuperset(others):
            return
        if not await self._answers.take_back(answer, others):
            await self._whisper(asked, Reply(text=translate(FIRST_PARTS_STAY, asked.locale)))

    async def _question(self, answer: MessageRow | None) -> MessageRow | None:
        """What an answer is one to, if it is stored."""
        return None if answer is None or answer.parent is None else await self._bot.messages.get(answer.parent)

    @asynccontextmanager
    async def _or_say_so(self, asked: PendingInteraction) -> AsyncIterator[None]:
        """Tell the asker if Discord refuses the change to the message, as in a thread that was closed."""
        try:
            yield
        except (discord.HTTPException, BotError) as error:
            log.info("A message stays as it is: %s", error)
            await self._whisper(asked, Reply(text=translate(UNCHANGED, asked.locale)))

    # What is answered with a new message

    async def _answer(self, asked: PendingInteraction, decision: Decision, message: int) -> None:
        """Fetch the files, now that there is time for them, and show what comes."""
        thread, note = None, ""
        if asked.wants_thread and not decision.private:
            thread, note = self._thread(asked, message)
        shown = [SentMessage(message, WAITING)]
        outlet = self._outlet(asked, shown, private=decision.private, thread=thread, note=note)
        known = self._resume(asked, message, private=decision.private, in_thread=thread is not None)
        facts: dict[str, Any] = {"resume": known}
        if thread is not None:
            # A thread has the number of the message that it hangs on, which becomes the question.
            facts |= {"place": replace(asked.request.place, thread=str(message)), "message": str(message)}
        try:
            files = await fetch_files(asked.request)
        except UserError as error:
            await outlet.remove()
            await self._whisper(asked, Reply(text=error.sentence.in_language(asked.locale)))
            return
        await self._answers.follow(outlet, decision.start(files=files, **facts), partial(_with_typed, asked=asked))

    def _outlet(
        self,
        asked: PendingInteraction,
        shown: Sequence[SentMessage],
        *,
        private: bool,
        thread: Thread | None = None,
        note: str = "",
        answer: MessageRow | None = None,
    ) -> AnswerView:
        """Where an answer is shown that this interaction asked for, or another page of a stored `answer`."""
        interaction, answers = asked.interaction, self._answers
        known = {} if answer is None else answer.resume
        most = interaction.filesize_limit
        aside = InteractionTarget(interaction.followup, bytes_each=most, private=True)
        room = answers.room(asked.channel, interaction.guild_id)
        return AnswerView(
            self._bot,
            InteractionTarget(interaction.followup, bytes_each=most, private=private),
            direct=answers.direct(interaction.user.id),
            locale=known.get("locale", asked.locale),
            aside=None if private else aside,
            later=None if private or not asked.is_heard else room,
            seconds=answers.token_seconds,
            shown=shown,
            quoted=known.get("quoted", True),
            note=note,
            thread=thread,
        )

    def _resume(self, asked: PendingInteraction, message: int, *, private: bool, in_thread: bool) -> dict[str, Any]:
        channel = message if in_thread else asked.channel
        more: dict[str, Any] = {"message": str(message)}
        if in_thread:
            more["parent"] = str(asked.channel)
        if private or not asked.is_heard:
            more |= {"token": asked.interaction.token, "until": time.time() + TOKEN_LIVES}
        return resume(asked.request, channel=channel, quoted=not in_thread, **more)

    def _thread(self, asked: PendingInteraction, message: int) -> tuple[Thread | None, str]:
        """The thread to be opened under the response, or else what keeps us from it.

        Where there are no threads, or in one, the answer simply comes where it was asked.
        """
        interaction = asked.interaction
        channel, allowed = interaction.channel, interaction.app_permissions
        if not isinstance(channel, discord.TextChannel) or not interaction.is_guild_integration():
            return None, ""
        if not (allowed.create_public_threads and allowed.send_messages_in_threads):
            return None, NOT_OPENED.in_language(asked.locale)
        hook = InteractionTarget(interaction.followup, bytes_each=interaction.filesize_limit)
        above = self._answers.room(asked.channel, interaction.guild_id)
        room = self._answers.room(message, interaction.guild_id)
        opened = Thread(interaction.client, channel, message, hook=hook, above=above, room=room, command=asked.command)
        return opened, ""


def _with_typed(reply: Reply, asked: PendingInteraction) -> Reply:
    """Return the reply; one that refuses a form holds what was typed into it."""
    if reply.error and not reply.row and asked.typed:
        refused = render.refused(reply.text, asked.typed, asked.locale)
        return replace(reply, text=refused.content, attachments=refused.files)
    return reply


def _is_private(interaction: discord.Interaction) -> bool:
    return interaction.message is not None and interaction.message.flags.ephemeral
