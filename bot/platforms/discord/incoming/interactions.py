"""Commands, buttons and forms: each interaction is acknowledged in the way that its answer needs, then answered."""

from __future__ import annotations

import logging
import time
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import discord
from sqlalchemy.exc import SQLAlchemyError

from bot.answers.decision import Answer, Change, Choose, FollowUp, OpenForm, Refuse
from bot.core.background import in_time
from bot.core.button_ids import FormId, Kind
from bot.core.errors import BotError, DatabaseUnavailable, RequestRefused, UserError
from bot.core.i18n import translate
from bot.core.messages import Action, Reply, Request
from bot.platforms.answer_tasks import FAILED, read_only_reply
from bot.platforms.discord.convert.requests import (
    PLATFORM,
    fetch_files,
    files_of,
    from_interaction,
    plain_text,
    with_empty_files,
)
from bot.platforms.discord.incoming import modal
from bot.platforms.discord.incoming.command_limits import THREAD
from bot.platforms.discord.outgoing import render
from bot.platforms.discord.outgoing.answer_view import THINKING, AnswerView, SentMessage
from bot.platforms.discord.outgoing.answers import resume_data
from bot.platforms.discord.outgoing.targets import (
    ALREADY_ACKNOWLEDGED,
    NO_PINGS,
    UNKNOWN_INTERACTION,
    InteractionTarget,
    send_privately,
)
from bot.platforms.discord.outgoing.thread import NOT_OPENED, Thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from bot.core.messages import Form
    from bot.platforms.discord.outgoing.answers import DiscordAnswers
    from bot.storage.database import MessageRow

log = logging.getLogger(__name__)

UNCHANGED = "Discord does not let me change this message any more."
FIRST_PARTS_STAY = "The first parts of this answer stay: Discord let me delete them for 15 minutes only."
TOKEN_LIFETIME_SECONDS = 15 * 60.0
DATABASE_SECONDS = 1.5
"""How long all that the acknowledgement needs of the database may take; Discord waits for three seconds."""
THREAD_SUFFIX = f"+{THREAD}"
"""End of the custom_id of a form that is answered in a thread; no command's name ends so."""
PLAIN_TYPES = (str, int, float)
"""Options that suggestions may depend on; while somebody types, discord.py has not converted the others."""


@dataclass(frozen=True, slots=True)
class PendingInteraction:
    """An interaction that is being answered, and its request."""

    interaction: discord.Interaction
    request: Request
    locale: str
    """The language of the sentences for the asker."""
    wants_thread: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def database_seconds(self) -> float:
        """How long the database may still take before the interaction is acknowledged."""
        return max(0.0, self.began + DATABASE_SECONDS - time.monotonic())

    @property
    def command(self) -> str:
        """The name of the command that was used, or whose form was sent."""
        form = None if self.request.action is None else FormId.parse(self.request.action.id)
        return self.request.command if form is None else form.command

    @property
    def form_values(self) -> dict[str, Any]:
        """The values of the submitted form; empty if there is none."""
        fields = self.request.action.fields if self.request.action is not None else None
        return dict(fields or {})

    @property
    def has_bot(self) -> bool:
        """True if the bot is a member of the place, and so may write there without a token."""
        interaction = self.interaction
        if interaction.context.dm_channel:
            return True
        # Somebody may have added the commands to a server without the bot; then it is a member nowhere there.
        is_member = interaction.guild_id is not None and interaction.client.get_guild(interaction.guild_id) is not None
        return interaction.is_guild_integration() and is_member

    @property
    def channel_id(self) -> int:
        """The id of the channel, thread or direct message where it happened."""
        return int(self.request.place.thread or self.request.place.channel or 0)


class Interactions:
    """Handles the interactions of Discord, each in a task of its own."""

    def __init__(self, answers: DiscordAnswers) -> None:
        self._answers = answers
        self._bot = answers.bot

    async def run(self, interaction: discord.Interaction, command: str, options: dict[str, Any]) -> None:
        """Answer a slash command."""
        values = {name: value for name, value in options.items() if name != THREAD}
        request = from_interaction(interaction, command=command, options=values, can_show_forms=True)
        self._begin(interaction, request, wants_thread=bool(options.get(THREAD)))

    async def run_on_message(self, interaction: discord.Interaction, command: str, message: discord.Message) -> None:
        """Answer a command that was chosen in the menu of a message."""
        known = next((known for known in self._bot.registry.commands if known.name == command), None)
        text = plain_text(message, interaction.application_id)
        options = {} if known is None else known.options_from_message(text, message.jump_url)
        about = {"reply_to": str(message.id), "message_files": files_of(message)}
        request = from_interaction(interaction, command=command, options=options, **about)
        self._begin(interaction, request)

    async def complete(self, interaction: discord.Interaction, command: str, option: str, typed: str) -> Sequence[str]:
        """Return suggestions for an option as typed so far."""
        others = {name: value for name, value in interaction.namespace if name != option}
        options = {name: value for name, value in others.items() if isinstance(value, PLAIN_TYPES)}
        return await self._bot.complete(from_interaction(interaction, command=command, options=options), option, typed)

    def press_button(self, interaction: discord.Interaction, button: str) -> None:
        """Answer a press of a button under a message of the bot."""
        action = Action(button, private=_is_private(interaction))
        request = from_interaction(interaction, action=action, can_show_forms=True, can_turn_pages=True)
        self._begin(interaction, request)

    def submit_form(self, interaction: discord.Interaction, form: str) -> None:
        """Answer a submitted form."""
        wants_thread = form.endswith(THREAD_SUFFIX)
        form = form.removesuffix(THREAD_SUFFIX)
        action = Action(form, modal.read_fields(interaction), private=_is_private(interaction))
        self._begin(interaction, from_interaction(interaction, action=action), wants_thread=wants_thread)

    def _begin(self, interaction: discord.Interaction, request: Request, *, wants_thread: bool = False) -> None:
        locale = self._bot.settings.language(request.place, request.user.locale)
        self._answers.start(
            self._handle(PendingInteraction(interaction, request, locale, wants_thread)), "discord interaction"
        )

    async def _handle(self, pending: PendingInteraction) -> None:
        try:
            await self._answer(pending)
        except discord.HTTPException as error:
            if error.code not in (UNKNOWN_INTERACTION, ALREADY_ACKNOWLEDGED):
                raise
            log.info("An interaction came too late, or another process acknowledged it: %s", error)
        except DatabaseUnavailable as error:
            await self._tell_privately(pending, Reply(text=error.sentence.in_language(pending.locale)))
        except Exception:
            log.exception("An interaction was not answered")
            await self._tell_privately(pending, Reply(text=FAILED.in_language(pending.locale)))

    async def _answer(self, pending: PendingInteraction) -> None:
        """Acknowledge the interaction in the way that its answer needs: form, refusal, change or new message."""
        response = pending.interaction.response
        try:
            decision = self._bot.prepare(with_empty_files(pending.request))
            if isinstance(decision, OpenForm):
                form = await self._form_in_time(pending, decision.make)
                if pending.wants_thread:
                    form = replace(form, id=f"{form.id}{THREAD_SUFFIX}")
                await response.send_modal(modal.build(form, pending.locale))
                return
        except UserError as error:
            if isinstance(error, RequestRefused) and not await self._may_tell_refusal(pending):
                return
            await self._tell_privately(pending, Reply(text=error.sentence.in_language(pending.locale)))
            if isinstance(error, RequestRefused):
                # Afterwards, because Discord waits for three seconds, and a busy database may take longer.
                await self._bot.refusals.record(pending.request, error)
            return
        match decision:
            case Refuse():
                if await self._may_tell_refusal(pending):
                    await self._tell_privately(pending, await read_only_reply(decision.start()))
            case Choose():
                await self._answer_choice(pending, decision)
            case Change():
                await response.defer()
                await self._change_answer(pending, decision)
            case Answer() | FollowUp():
                promised = await response.defer(ephemeral=decision.private, thinking=True)
                message = promised.message_id if promised is not None else None
                response_id = message or (await pending.interaction.original_response()).id
                await self._send_answer(pending, decision, response_id)

    async def _form_in_time(self, pending: PendingInteraction, make_form: Callable[[], Awaitable[Form]]) -> Form:
        """Return the form to show. Raises UserError if it cannot be made before Discord gives the interaction up."""
        try:
            return await in_time(make_form(), pending.database_seconds)
        except TimeoutError:
            log.warning("The database took longer than Discord waits for a form")
            raise UserError("My database was too slow to open the form in time. Please try again.") from None

    async def _may_tell_refusal(self, pending: PendingInteraction) -> bool:
        """Return whether this process shows a refusal: the first one that asks, since others receive the event, too."""
        try:
            claim = self._bot.database.claim_event(PLATFORM, str(pending.interaction.id))
            return await in_time(claim, pending.database_seconds)
        except (DatabaseUnavailable, TimeoutError):
            return True
        except SQLAlchemyError:
            log.exception("The database does not tell whether another process answers a refused interaction")
            return True

    async def _tell_privately(self, pending: PendingInteraction, reply: Reply) -> None:
        """Say something to the asker alone, with the values that they typed into a form."""
        message = render.refused_form(reply.text, pending.form_values, pending.locale)
        await send_privately(pending.interaction, message)

    async def _answer_choice(self, pending: PendingInteraction, decision: Choose) -> None:
        """Show what a choice led to, in the place of the message with the button if the asker alone sees that."""
        replaces = decision.replaces and _is_private(pending.interaction)
        await pending.interaction.response.defer(ephemeral=True, thinking=not replaces)
        async with decision.turn:
            reply = await read_only_reply(decision.start())
            if replaces and reply.error:
                await self._tell_privately(pending, reply)
                return
            [shown, *_] = render.messages(reply, locale=pending.locale, max_file_bytes=0, max_messages=1)
            await pending.interaction.edit_original_response(
                content=shown.content, view=render.button_view(shown.buttons), allowed_mentions=NO_PINGS
            )

    # Buttons that change the message above them

    async def _change_answer(self, pending: PendingInteraction, decision: Change) -> None:
        row = decision.button.row
        # Before anything changes: messages that are just being sent may not be stored yet.
        views = self._answers.active_views(row)
        message_ids = await self._bot.messages.get_external_ids(row)
        answer = await self._bot.messages.get(row)
        question = await self._find_question(answer)
        async with aclosing(decision.start()) as replies:
            async for reply in replies:
                if reply.deleted:
                    await self._delete_answer(pending, answer, message_ids, views)
                    if question is not None and await self._bot.messages.get(question.id) is None:
                        await self._answers.delete_question(question.channel, question.thread, question.external)
                elif not reply.row:
                    await self._tell_privately(pending, reply)
                elif decision.button.kind == Kind.PAGE:
                    await self._turn_page(pending, answer, message_ids, reply)
                else:
                    async with self._telling_refusal(pending):
                        await pending.interaction.edit_original_response(
                            view=render.button_view(render.buttons(reply)), allowed_mentions=NO_PINGS
                        )

    async def _turn_page(
        self, pending: PendingInteraction, answer: MessageRow | None, message_ids: Sequence[str], reply: Reply
    ) -> None:
        """Show the new page of an answer in the message with the button; until it is final, the old one stays."""
        pressed = pending.interaction.message
        if not reply.final or answer is None or pressed is None:
            return
        view = self._view(pending, [SentMessage(pressed.id)], private=reply.private, answer=answer)
        async with self._telling_refusal(pending):
            await view.show(reply)
            others = [message for message in message_ids if message not in view.ids]
            if pending.has_bot:
                await self._answers.delete_messages(pending.channel_id, others)
            else:
                await self._answers.delete_with_token(answer, others)

    async def _delete_answer(
        self,
        pending: PendingInteraction,
        answer: MessageRow | None,
        message_ids: Sequence[str],
        views: Sequence[AnswerView],
    ) -> None:
        pressed = pending.interaction.message
        async with self._telling_refusal(pending):
            with suppress(discord.NotFound):
                await pending.interaction.delete_original_response()
        others = [message for message in message_ids if pressed is None or message != str(pressed.id)]
        removed = {message for view in views for message in view.ids}
        await self._answers.delete_messages(pending.channel_id, others if pending.has_bot else (), views)
        if pending.has_bot or answer is None or removed.issuperset(others):
            return
        if not await self._answers.delete_with_token(answer, others):
            await self._tell_privately(pending, Reply(text=translate(FIRST_PARTS_STAY, pending.locale)))

    async def _find_question(self, answer: MessageRow | None) -> MessageRow | None:
        """Return the question of an answer, if it is stored."""
        return None if answer is None or answer.parent is None else await self._bot.messages.get(answer.parent)

    @asynccontextmanager
    async def _telling_refusal(self, pending: PendingInteraction) -> AsyncIterator[None]:
        """Tell the asker if Discord refuses the change to the message, as in a thread that was closed."""
        try:
            yield
        except (discord.HTTPException, BotError) as error:
            log.info("A message stays as it is: %s", error)
            await self._tell_privately(pending, Reply(text=translate(UNCHANGED, pending.locale)))

    # Answers in a new message

    async def _send_answer(self, pending: PendingInteraction, decision: Answer | FollowUp, message: int) -> None:
        """Fetch the files, for which there is time since the acknowledgement, and show the answer."""
        thread, note = None, ""
        if pending.wants_thread and not decision.private:
            thread, note = self._prepare_thread(pending, message)
        sent = [SentMessage(message, THINKING)]
        view = self._view(pending, sent, private=decision.private, thread=thread, note=note)
        resume = self._resume_data(pending, message, private=decision.private, in_thread=thread is not None)
        stored: dict[str, Any] = {"resume": resume}
        if thread is not None:
            # A thread has the id of the message that it is opened under, which becomes the question.
            stored |= {"place": replace(pending.request.place, thread=str(message)), "message": str(message)}
        try:
            files = await fetch_files(pending.request)
        except UserError as error:
            await view.remove()
            await self._tell_privately(pending, Reply(text=error.sentence.in_language(pending.locale)))
            return
        replies = decision.start(files=files, **stored)
        await self._answers.follow(view, replies, partial(_with_form_values, pending=pending))

    def _view(
        self,
        pending: PendingInteraction,
        sent: Sequence[SentMessage],
        *,
        private: bool,
        thread: Thread | None = None,
        note: str = "",
        answer: MessageRow | None = None,
    ) -> AnswerView:
        """Return the view of the answer to this interaction, or of another page of a stored `answer`."""
        interaction, answers = pending.interaction, self._answers
        resume = {} if answer is None else answer.resume
        followup, max_bytes = interaction.followup, interaction.filesize_limit
        private_target = InteractionTarget(followup, max_file_bytes=max_bytes, private=True)
        channel_target = answers.channel_target(pending.channel_id, interaction.guild_id)
        return AnswerView(
            self._bot,
            InteractionTarget(followup, max_file_bytes=max_bytes, private=private),
            direct_target=answers.direct_target(interaction.user.id),
            locale=resume.get("locale", pending.locale),
            private_target=None if private else private_target,
            channel_target=None if private or not pending.has_bot else channel_target,
            token_seconds=answers.token_seconds,
            sent_messages=sent,
            shows_question=resume.get("quoted", True),
            note=note,
            thread=thread,
        )

    def _resume_data(
        self, pending: PendingInteraction, message: int, *, private: bool, in_thread: bool
    ) -> dict[str, Any]:
        channel = message if in_thread else pending.channel_id
        more: dict[str, Any] = {"message": str(message)}
        if in_thread:
            more["parent"] = str(pending.channel_id)
        if private or not pending.has_bot:
            more |= {"token": pending.interaction.token, "until": time.time() + TOKEN_LIFETIME_SECONDS}
        return resume_data(pending.request, channel=channel, shows_question=not in_thread, **more)

    def _prepare_thread(self, pending: PendingInteraction, message: int) -> tuple[Thread | None, str]:
        """Return the thread to open under the response, or None with a note for the answer.

        The note is empty where threads are impossible, as in another thread: the answer simply comes there.
        """
        interaction = pending.interaction
        channel, allowed = interaction.channel, interaction.app_permissions
        if not isinstance(channel, discord.TextChannel) or not pending.has_bot:
            return None, ""
        if not (allowed.create_public_threads and allowed.send_messages_in_threads):
            return None, NOT_OPENED.in_language(pending.locale)
        thread = Thread(
            interaction.client,
            channel,
            message,
            interaction_target=InteractionTarget(interaction.followup, max_file_bytes=interaction.filesize_limit),
            channel_target=self._answers.channel_target(pending.channel_id, interaction.guild_id),
            target=self._answers.channel_target(message, interaction.guild_id),
            command=pending.command,
        )
        return thread, ""


def _with_form_values(reply: Reply, pending: PendingInteraction) -> Reply:
    """Return the reply; one that refuses a form gets the values that were typed into it."""
    if reply.is_unstored_error and pending.form_values:
        refused = render.refused_form(reply.text, pending.form_values, pending.locale)
        return replace(reply, text=refused.content, attachments=refused.files)
    return reply


def _is_private(interaction: discord.Interaction) -> bool:
    return interaction.message is not None and interaction.message.flags.ephemeral
