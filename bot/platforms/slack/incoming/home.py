"""The App Home: what the bot can do, a user's own defaults, and what moderators find there."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.answers.buttons import field
from bot.core.caller import Caller
from bot.core.errors import UserError
from bot.core.i18n import translate
from bot.core.messages import Form, Place
from bot.core.splitting import append_typed_fields, select_typed_fields
from bot.core.text import cut
from bot.platforms.slack.api.client import reason
from bot.platforms.slack.api.message_format import note
from bot.platforms.slack.convert.commands import ROOT, usage
from bot.platforms.slack.incoming import home_settings, modal
from bot.platforms.slack.incoming.interactions import FIRST_SECONDS
from bot.platforms.slack.incoming.modal import plain
from bot.platforms.slack.outgoing.answers import FAILED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.app import Bot
    from bot.commands.command import Command
    from bot.commands.option import Option
    from bot.core.messages import User
    from bot.platforms.slack.outgoing.answers import SlackAnswers

    Json = dict[str, Any]
    People = Callable[[str], Awaitable[User]]

log = logging.getLogger(__name__)

CHANGE, SET, RESET = "home:change:", "home:set:", "home:reset"
COMMANDS, OPTIONS = 100, 60
"""How many are shown: a view has room for 100 blocks and 250 kB. The moderators' part takes fifteen."""
LINE, HEADER, BUTTON, SECTION = 150, 150, 75, 3000


def register(app: AsyncApp, answers: SlackAnswers, people: People) -> None:
    """Let `app` show the App Home and take what is pressed and sent there; `people` tells who has a Slack id."""
    home = _Home(app.client, answers, people)
    app.event("app_home_opened")(home.opened)
    app.action(re.compile(f"^{CHANGE}"))(home.change)
    app.view(re.compile(f"^{SET}"))(home.set)
    app.action(RESET)(home.reset)
    app.action(home_settings.PICK)(home.edit_setting)
    app.action(re.compile(f"^{home_settings.EDIT}"))(home.edit_setting)
    app.view(re.compile(f"^{home_settings.SAVE}"))(home.save_setting)


class _Home:
    """What happens in the App Home. What is pressed is acknowledged before it is done; a form may be refused."""

    def __init__(self, client: AsyncWebClient, answers: SlackAnswers, people: People) -> None:
        # Not the copy that Bolt hands to listeners, which would take a proxy from the environment.
        self._client = client
        self._answers = answers
        self._bot = answers.bot
        self._people = people

    async def opened(self, ack: AsyncAck, context: AsyncBoltContext, event: Json) -> None:
        await ack()
        # The same event tells that the other tab, Messages, was opened.
        if event.get("tab") == "home":
            await self._publish(context, event["user"])

    async def change(self, ack: AsyncAck, context: AsyncBoltContext, body: Json) -> None:
        await ack()
        name = body["actions"][0]["action_id"].removeprefix(CHANGE)
        user = await self._people(body["user"]["id"])
        caller, commands = self._caller(user, context.team_id)
        option = self._bot.defaults.offered(commands).get(name)
        if option is None:
            await self._publish(context, user.id)
            return
        form = _form(name, option, self._bot.defaults.mine(caller, commands), user.locale)
        await _calmly(self._client.views_open(trigger_id=body["trigger_id"], view=form, token=context.bot_token))

    async def set(self, ack: AsyncAck, context: AsyncBoltContext, body: Json, view: Json) -> None:
        name, locale = view["callback_id"].removeprefix(SET), view["private_metadata"]
        user = await self._people(body["user"]["id"])
        caller, commands = self._caller(user, context.team_id)
        if (option := self._bot.defaults.offered(commands).get(name)) is not None:
            try:
                await self._choose(caller, commands, name, modal.fields(view).get(option.name, ""))
            except UserError as error:
                sentence = error.sentence.in_language(locale)
                await ack(response_action="errors", errors=modal.errors(view, option.name, sentence))
                return
        await ack()
        await self._publish(context, user.id)

    async def reset(self, ack: AsyncAck, context: AsyncBoltContext, body: Json) -> None:
        await ack()
        user = await self._people(body["user"]["id"])
        caller, _ = self._caller(user, context.team_id)
        await self._bot.defaults.reset(caller)
        await self._publish(context, user.id)

    async def edit_setting(self, ack: AsyncAck, context: AsyncBoltContext, body: Json) -> None:
        await ack()
        pressed = body["actions"][0]
        picked = pressed.get("selected_option") or {}
        name = picked.get("value") or pressed["action_id"].removeprefix(home_settings.EDIT)
        user = await self._people(body["user"]["id"])
        settings = home_settings.moderated(self._bot, user, _place(context.team_id))
        if settings is None or not self._bot.settings.knows(name):
            await self._publish(context, user.id)
            return
        form = await home_settings.form(settings, name, user.locale)
        await _calmly(self._client.views_open(trigger_id=body["trigger_id"], view=form, token=context.bot_token))

    async def save_setting(self, ack: AsyncAck, context: AsyncBoltContext, body: Json, view: Json) -> None:
        self._answers.start(self._save(ack, context, body, view), "slack setting")

    async def _save(self, ack: AsyncAck, context: AsyncBoltContext, body: Json, view: Json) -> None:
        """Save a setting. What is wrong with it is told in the form, or in a direct message once that had to close."""
        user = await self._people(body["user"]["id"])
        async with asyncio.TaskGroup() as tasks:
            saving = tasks.create_task(self._try_to_save(user, context.team_id, view), name="slack setting saved")
            await asyncio.wait({saving}, timeout=FIRST_SECONDS)
            if saving.done() and saving.result():
                name = view["callback_id"].removeprefix(home_settings.SAVE)
                await ack(response_action="errors", errors=modal.errors(view, name, saving.result()))
                return
            await ack()
        await self._publish(context, user.id)
        if refusal := saving.result():
            await self._tell(
                user.id, append_typed_fields(refusal, select_typed_fields(modal.fields(view)), view["private_metadata"])
            )

    async def _try_to_save(self, user: User, team: str | None, view: Json) -> str:
        """Save the setting of a form; what keeps it from being saved, in the reader's language, or "" for nothing."""
        name = view["callback_id"].removeprefix(home_settings.SAVE)
        typed = str(modal.fields(view).get(name, ""))
        try:
            if home_settings.moderated(self._bot, user, _place(team)) is not None:
                await home_settings.save(self._bot, user, _place(team), name, typed)
        except UserError as error:
            sentence = error.sentence
        except Exception:
            log.exception("A setting could not be saved")
            sentence = FAILED
        else:
            return ""
        return self._answers.typed(sentence.in_language(view["private_metadata"]))

    async def _tell(self, user: str, text: str) -> None:
        """Say something to somebody alone who looks at the App Home, where no message can stand."""
        web = self._answers.web
        await web.post(await web.direct(user), note(text))

    def _caller(self, user: User, team: str | None) -> tuple[Caller, Sequence[Command]]:
        """Return the user in their workspace, and the commands that they may use there."""
        place = _place(team)
        return Caller(user, place), self._bot.commands_for(user, place)

    async def _choose(self, caller: Caller, commands: Sequence[Command], name: str, typed: str) -> None:
        """Set what was typed; nothing, and the bot's own default here, go back to that. Raises UserError."""
        defaults = self._bot.defaults
        option = defaults.offered(commands)[name]
        value = option.convert(typed) if typed.strip() else None
        if value is None or value == option.default:
            await defaults.reset(caller, name)
        else:
            await defaults.set(caller, commands, name, value)

    async def _publish(self, context: AsyncBoltContext, user: str) -> None:
        shown = view(self._bot, await self._people(user), _place(context.team_id))
        await _calmly(self._client.views_publish(user_id=user, view=shown, token=context.bot_token))


async def _calmly(call: Awaitable[object]) -> None:
    """Note why Slack shows nothing new, since nobody could be told there."""
    try:
        await call
    except SlackApiError as error:
        log.info("Slack does not show the App Home: %s", reason(error) or "no answer of Slack's")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        log.info("Slack does not show the App Home: %s", type(error).__name__)


def _place(team: str | None) -> Place:
    return Place("slack", "", server=team or "")


def view(bot: Bot, user: User, place: Place) -> Json:
    """The App Home as `user` sees it."""
    user = bot.recognised(user, place)
    commands = bot.commands_for(user, place)
    offered, mine = bot.defaults.offered(commands), bot.defaults.mine(Caller(user, place), commands)
    blocks = [
        *_abilities(commands, user.locale),
        *_manners(commands, user.locale),
        *_defaults(offered, mine, user.locale),
    ]
    if (settings := home_settings.moderated(bot, user, place)) is not None:
        blocks += [
            _header(translate("For moderators", user.locale)),
            *home_settings.blocks(settings, user.locale),
        ]
    return {"type": "home", "blocks": blocks}


def _abilities(commands: Sequence[Command], locale: str) -> list[Json]:
    blocks = [_header(translate("What I can do", locale))]
    if commands:
        items = [_item(usage(command), translate(command.description, locale)) for command in commands[:COMMANDS]]
        bullets = {"type": "rich_text_list", "style": "bullet", "elements": items}
        blocks.append({"type": "rich_text", "elements": [bullets]})
    if len(commands) > COMMANDS:
        more = {"count": len(commands) - COMMANDS, "command": f"{ROOT} help"}
        blocks.append(_section(translate("There are {count} more: {command} lists them all.", locale, **more)))
    return blocks


def _manners(commands: Sequence[Command], locale: str) -> list[Json]:
    sentences = [
        translate("Mention me in a channel, or write to me under “Messages”: I answer in a thread.", locale),
        translate("A thread is a conversation: there I know what was asked before.", locale),
    ]
    if labels := ", ".join(command.in_messages for command in commands if command.in_messages):
        sentences.append(translate("Among the shortcuts of a message you find: {labels}", locale, labels=labels))
    return [_header(translate("How to talk to me", locale)), _section("\n".join(sentences))]


def _defaults(offered: Mapping[str, Option], mine: Mapping[str, Any], locale: str) -> list[Json]:
    if not offered:
        return []
    blocks = [
        _header(translate("Your own defaults", locale)),
        _section(translate("What options are for you when you do not say:", locale)),
    ]
    for name, option in list(offered.items())[:OPTIONS]:
        button = _button(translate("Change", locale), f"{CHANGE}{name}")
        blocks.append(_section(_line(name, option, mine, locale)) | {"accessory": button})
    if len(offered) > OPTIONS:
        more = {"count": len(offered) - OPTIONS, "command": f"{ROOT} defaults show"}
        blocks.append(_section(translate("There are {count} more: {command} lists them all.", locale, **more)))
    if mine:
        elements = [_button(translate("Reset all", locale), RESET)]
        blocks.append({"type": "actions", "elements": elements})
    return blocks


def _line(name: str, option: Option, mine: Mapping[str, Any], locale: str) -> str:
    if name in mine:
        value = _shown(mine[name], locale)
    else:
        value = f"{_shown(option.default, locale)} ({translate('default', locale)})"
    about = translate(option.description, locale) if option.description else ""
    return "\n".join(cut(line, LINE) for line in (f"{name}: {value}", about) if line)


def _form(name: str, option: Option, mine: Mapping[str, Any], locale: str) -> Json:
    """The modal that changes one default, filled in with what it is now."""
    only = replace(field(option, mine.get(name, option.default)), required=False)
    made = modal.build(Form(f"{SET}{name}", name, (only,)), private_metadata=locale, locale=locale)
    sentence = "The bot's own default is {value}. Choose that, or leave the field empty, to go back to it."
    note = translate(sentence, locale, value=_shown(option.default, locale))
    made["blocks"].append({"type": "context", "elements": [plain(note)]})
    return made


def _shown(value: Any, locale: str) -> str:
    return home_settings.shown(value, locale)


def _item(code: str, text: str) -> Json:
    """A line of a list: what to type, and what for."""
    parts = [
        {"type": "text", "text": cut(code, LINE), "style": {"code": True}},
        {"type": "text", "text": f" – {cut(text, LINE)}"},
    ]
    return {"type": "rich_text_section", "elements": parts}


def _header(text: str) -> Json:
    return {"type": "header", "text": plain(cut(text, HEADER))}


def _section(text: str) -> Json:
    return {"type": "section", "text": plain(cut(text, SECTION))}


def _button(label: str, action_id: str) -> Json:
    return {"type": "button", "text": plain(cut(label, BUTTON)), "action_id": action_id}
