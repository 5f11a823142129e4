"""Slash commands and message shortcuts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bot.core.errors import UserError
from bot.platforms.slack.adapter import link_to
from bot.platforms.slack.convert.commands import read_slash_command
from bot.platforms.slack.convert.requests import files_of, read_text, unescape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.platforms.slack.incoming.request_handler import RequestHandler

    Json = Mapping[str, Any]

LINK = re.compile(r"<(?:mailto:)?(?P<address>https?://[^<>|\s]+|[^<>|\s@#!]+@[^<>|\s]+)(?:\|[^<>]*)?>")
"""An address as Slack escapes it behind a command."""
SHORTCUT = "m:"
"""Prefix of a message shortcut's callback_id; the name of the command follows."""


class Commands:
    """Handles slash commands, and commands that are chosen in the menu of a message."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler

    async def run_command(self, body: Json) -> None:
        """Answer a slash command."""
        handler = self._handler
        user = await handler.users.find(body["user_id"], body.get("user_name", ""))
        place = handler.answer_place(body, user, channel=body["channel_id"])
        if not await handler.is_new(body["trigger_id"], place):
            return
        line = read_slash_command(body["command"], unescape(LINK.sub(r"\g<address>", body.get("text", ""))))
        await handler.answer(handler.build_request(user, place, text=line), place, body["trigger_id"])

    async def run_shortcut(self, body: Json) -> None:
        """Answer a command that was chosen in the menu of a message."""
        handler = self._handler
        message, ts = body["message"], body["message_ts"]
        user = await handler.find_user(body)
        thread = message.get("thread_ts") or ts
        place = handler.answer_place(body, user, thread=thread, spoken="thread_ts" in message)
        if not await handler.is_new(body["trigger_id"], place):
            return
        if stored := await handler.bot.messages.find(handler.to_place(place), ts):
            text = stored.text
        else:
            text = await read_text(message.get("text", ""), handler.identity.user, handler.users)
        try:
            command = handler.bot.registry.find(body["callback_id"].removeprefix(SHORTCUT))
        except UserError as error:
            await handler.answers.refuse(place, error)
            return
        options = command.options_from_message(text, link_to(body["channel"]["id"], ts))
        about = {"reply_to": ts, "message_files": await files_of(message, handler.api)}
        request = handler.build_request(user, place, command=command.name, options=options, **about)
        await handler.answer(request, place, body["trigger_id"])
