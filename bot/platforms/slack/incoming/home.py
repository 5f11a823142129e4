"""The App Home: what the bot can do, a user's own defaults, and the settings for moderators."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.answers.buttons import make_field
from bot.core.caller import Caller
from bot.core.errors import UserError
from bot.core.i18n import translate
from bot.core.messages import Form, Place
from bot.core.splitting import append_typed_fields, select_typed_fields
from bot.core.text import cut
from bot.platforms.answer_tasks import FAILED
from bot.platforms.slack.api.blocks import button, header, section
from bot.platforms.slack.api.client import error_code
from bot.platforms.slack.api.errors import NO_ANSWER
from bot.platforms.slack.api.message_format import note_message
from bot.platforms.slack.convert.commands import ROOT, usage
from bot.platforms.slack.incoming import home_settings, modal
from bot.platforms.slack.incoming.forms import FORM_OPEN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from slack_bolt.async_app import AsyncAck

    from bot.app import Bot
    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.core.messages import User
    from bot.platforms.slack.outgoing.answers import SlackAnswers

    Json = dict[str, Any]
    FindUser = Callable[[str], Awaitable[User]]
    Save = Callable[[User, Json], Awaitable[None]]

log = logging.getLogger(__name__)

CHANGE, SET, RESET = "home:change:", "home:set:", "home:reset"
MAX_COMMANDS, MAX_OPTIONS = 100, 60
"""The most that are listed: a view has room for 100 blocks and 250 kB, and the moderators' part takes 15 blocks."""
MAX_LINE = 150


class Home:
    """Handles events in the App Home of one workspace. Buttons are acknowledged before they act; a form may be refused.

    `find_user` looks up a Slack id.
    """

    def __init__(self, answers: SlackAnswers, find_user: FindUser) -> None:
        # Bolt hands its listeners a copy of the client, which would take a proxy from the environment.
        self._client = answers.api.client
        self._answers = answers
        self._place = Place(answers.identity.platform, "", server=answers.identity.team)
        self._bot = answers.bot
        self._find_user = find_user

    async def opened(self, ack: AsyncAck, event: Json) -> None:
        await ack()
        # Slack sends the same event for the other tab, Messages.
        if event.get("tab") == "home":
            await self._publish(event["user"])

    async def change(self, ack: AsyncAck, body: Json) -> None:
        await ack()
        name = body["actions"][0]["action_id"].removeprefix(CHANGE)
        user = await self._find_user(body["user"]["id"])
        caller, commands = self._caller(user)
        option = self._bot.defaults.offered(commands).get(name)
        if option is None:
            await self._publish(user.id)
            return
        form = _form(name, option, self._bot.defaults.mine(caller, commands), user.locale)
        await _log_refusal(self._client.views_open(trigger_id=body["trigger_id"], view=form))

    async def set(self, ack: AsyncAck, body: Json, view: Json) -> None:
        self._answers.start(self._save(ack, body, view, self._save_default), "slack default")

    async def reset(self, ack: AsyncAck, body: Json) -> None:
        await ack()
        user = await self._find_user(body["user"]["id"])
        caller, _ = self._caller(user)
        await self._bot.defaults.reset(caller)
        await self._publish(user.id)

    async def edit_setting(self, ack: AsyncAck, body: Json) -> None:
        await ack()
        pressed = body["actions"][0]
        picked = pressed.get("selected_option") or {}
        name = picked.get("value") or pressed["action_id"].removeprefix(home_settings.EDIT)
        user = await self._find_user(body["user"]["id"])
        settings = home_settings.moderator_view(self._bot, user, self._place)
        if settings is None or not self._bot.settings.knows(name):
            await self._publish(user.id)
            return
        form = await home_settings.form(settings, name, user.locale)
        await _log_refusal(self._client.views_open(trigger_id=body["trigger_id"], view=form))

    async def save_setting(self, ack: AsyncAck, body: Json, view: Json) -> None:
        self._answers.start(self._save(ack, body, view, self._save_setting), "slack setting")

    async def _save(self, ack: AsyncAck, body: Json, view: Json, save: Save) -> None:
        """Save a form. An error appears in the form, or in a direct message if the form had to close first."""
        user = await self._find_user(body["user"]["id"])
        async with asyncio.TaskGroup() as tasks:
            saving = tasks.create_task(self._save_explained(user, view, save), name="slack setting saved")
            await asyncio.wait({saving}, timeout=FORM_OPEN_SECONDS)
            if saving.done() and saving.result():
                # Each of these forms has one field.
                await ack(response_action="errors", errors=modal.field_errors(view, "", saving.result()))
                return
            await ack()
        await self._publish(user.id)
        if refusal := saving.result():
            await self._send_direct_message(
                user.id,
                append_typed_fields(refusal, select_typed_fields(modal.read_fields(view)), view["private_metadata"]),
            )

    async def _save_explained(self, user: User, view: Json, save: Save) -> str:
        """Save a form. Return "", or why it could not be saved, in the reader's language."""
        try:
            await save(user, view)
        except UserError as error:
            sentence = error.sentence
        except Exception:
            log.exception("A form of the App Home could not be saved")
            sentence = FAILED
        else:
            return ""
        return self._answers.adapt_text(sentence.in_language(view["private_metadata"]))

    async def _save_setting(self, user: User, view: Json) -> None:
        name = view["callback_id"].removeprefix(home_settings.SAVE)
        if home_settings.moderator_view(self._bot, user, self._place) is not None:
            typed = str(modal.read_fields(view).get(name, ""))
            await home_settings.save(self._bot, user, self._place, name, typed)

    async def _save_default(self, user: User, view: Json) -> None:
        name = view["callback_id"].removeprefix(SET)
        caller, commands = self._caller(user)
        if (option := self._bot.defaults.offered(commands).get(name)) is not None:
            await self._set_default(caller, commands, name, modal.read_fields(view).get(option.name, ""))

    async def _send_direct_message(self, user: str, text: str) -> None:
        """Send a direct message to a user of the App Home, which has no place for messages."""
        api = self._answers.api
        await api.post(await api.open_direct_messages(user), note_message(text))

    def _caller(self, user: User) -> tuple[Caller, Sequence[Command]]:
        """Return the user in their workspace, and the commands that they may use there."""
        return Caller(user, self._place), self._bot.admission.commands_for(user, self._place)

    async def _set_default(self, caller: Caller, commands: Sequence[Command], name: str, typed: str) -> None:
        """Save a typed default. An empty value, or the bot's own default, removes the user's. Raises UserError."""
        defaults = self._bot.defaults
        option = defaults.offered(commands)[name]
        value = option.convert(typed) if typed.strip() else None
        if value is None or value == option.default:
            await defaults.reset(caller, name)
        else:
            await defaults.set(caller, commands, name, value)

    async def _publish(self, user: str) -> None:
        home = view(self._bot, await self._find_user(user), self._place)
        await _log_refusal(self._client.views_publish(user_id=user, view=home))


async def _log_refusal(call: Awaitable[object]) -> None:
    """Await a call that changes what the user sees, and log a failure: the App Home has no place for messages."""
    try:
        await call
    except SlackApiError as error:
        log.info("Slack does not show the App Home: %s", error_code(error) or NO_ANSWER)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        log.info("Slack does not show the App Home: %s", type(error).__name__)


def view(bot: Bot, user: User, place: Place) -> Json:
    """Return the App Home as `user` sees it."""
    user = bot.admission.resolve_user(user, place)
    commands = bot.admission.commands_for(user, place)
    offered, mine = bot.defaults.offered(commands), bot.defaults.mine(Caller(user, place), commands)
    blocks = [
        *_command_blocks(commands, user.locale),
        *_usage_blocks(commands, user.locale),
        *_default_blocks(offered, mine, user.locale),
    ]
    if (settings := home_settings.moderator_view(bot, user, place)) is not None:
        blocks += [
            header(translate("For moderators", user.locale)),
            *home_settings.blocks(settings, user.locale),
        ]
    return {"type": "home", "blocks": blocks}


def _command_blocks(commands: Sequence[Command], locale: str) -> list[Json]:
    blocks = [header(translate("What I can do", locale))]
    if commands:
        items = [_item(usage(command), translate(command.description, locale)) for command in commands[:MAX_COMMANDS]]
        bullets = {"type": "rich_text_list", "style": "bullet", "elements": items}
        blocks.append({"type": "rich_text", "elements": [bullets]})
    if len(commands) > MAX_COMMANDS:
        blocks.append(_more(len(commands) - MAX_COMMANDS, f"{ROOT} help", locale))
    return blocks


def _more(count: int, command: str, locale: str) -> Json:
    one = "There is 1 more: {command} lists them all."
    several = "There are {count} more: {command} lists them all."
    return section(translate(one, locale, several, count=count, command=command))


def _usage_blocks(commands: Sequence[Command], locale: str) -> list[Json]:
    sentences = [
        translate("Mention me in a channel, or write to me under “Messages”: I answer in a thread.", locale),
        translate("A thread is a conversation: there I know what was asked before.", locale),
    ]
    if labels := ", ".join(command.in_messages for command in commands if command.in_messages):
        sentences.append(translate("Among the shortcuts of a message you find: {labels}", locale, labels=labels))
    return [header(translate("How to talk to me", locale)), section("\n".join(sentences))]


def _default_blocks(offered: Mapping[str, Option], mine: Mapping[str, Any], locale: str) -> list[Json]:
    if not offered:
        return []
    blocks = [
        header(translate("Your own defaults", locale)),
        section(translate("What options are for you when you do not say:", locale)),
    ]
    for name, option in list(offered.items())[:MAX_OPTIONS]:
        change = button(translate("Change", locale), f"{CHANGE}{name}")
        blocks.append(section(_line(name, option, mine, locale)) | {"accessory": change})
    if len(offered) > MAX_OPTIONS:
        blocks.append(_more(len(offered) - MAX_OPTIONS, f"{ROOT} defaults show", locale))
    if mine:
        elements = [button(translate("Reset all", locale), RESET)]
        blocks.append({"type": "actions", "elements": elements})
    return blocks


def _line(name: str, option: Option, mine: Mapping[str, Any], locale: str) -> str:
    if name in mine:
        value = home_settings.format_value(mine[name], locale)
    else:
        value = f"{home_settings.format_value(option.default, locale)} ({translate('default', locale)})"
    about = translate(option.description, locale) if option.description else ""
    return "\n".join(cut(line, MAX_LINE) for line in (f"{name}: {value}", about) if line)


def _form(name: str, option: Option, mine: Mapping[str, Any], locale: str) -> Json:
    """Return the modal that changes one default, filled in with its value."""
    only = replace(make_field(option, mine.get(name, option.default)), required=False)
    sentence = "The bot's own default is {value}. Choose that, or leave the field empty, to go back to it."
    note = translate(sentence, locale, value=home_settings.format_value(option.default, locale))
    return modal.build(Form(f"{SET}{name}", name, (only,)), private_metadata=locale, locale=locale, note=note)


def _item(code: str, text: str) -> Json:
    """Return an item of a list: what to type, and its purpose."""
    parts = [
        {"type": "text", "text": cut(code, MAX_LINE), "style": {"code": True}},
        {"type": "text", "text": f" – {cut(text, MAX_LINE)}"},
    ]
    return {"type": "rich_text_section", "elements": parts}
