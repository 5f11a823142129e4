"""What the core makes of the replies of a handler: it checks them, adds notes, and turns errors into replies."""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.commands.source import describe_handler
from bot.core.errors import UserError
from bot.core.i18n import translate
from bot.core.messages import Reply
from bot.core.splitting import closing, join_growing_columns, merge_columns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from bot.commands.command import Command
    from bot.core.i18n import Sentence
    from bot.core.messages import Request

log = logging.getLogger(__name__)


async def check_replies(command: Command, handler: AsyncGenerator[Reply, None]) -> AsyncGenerator[Reply, None]:
    """Yield what the handler of a command yields. If that is not one reply or more, log it for the handler's author."""
    fault = "returned without a reply; it must yield at least one Reply"
    async with aclosing(handler) as replies:
        async for reply in replies:
            if not isinstance(reply, Reply):
                fault = f"yielded a {type(reply).__name__} instead of a Reply"
                break
            fault = ""
            yield reply
    if fault:
        place = describe_handler(command.handler)
        log.error("/%s of the plugin “%s” %s (%s).", command.name, command.plugin, fault, place)
        raise UserError(
            "/{command} has given no answer. Its plugin has a fault, which is described in the bot's log.",
            command=command.name,
        )


def ending_status(state: str, locale: str) -> str:
    """Return the status of an answer that was stopped or interrupted; "" for any other."""
    match state:
        case "stopped":
            return translate("Stopped.", locale)
        case "interrupted":
            return translate("Interrupted: the bot was restarted.", locale)
        case _:
            return ""


def decorate(
    reply: Reply,
    note: Sentence | None,
    model_notes: Sequence[Sentence],
    locale: str,
    *,
    private: bool,
    spoiler: bool,
) -> Reply:
    """Return a handler's reply as people see it: columns as text, notes for the asker, pictures as spoilers."""
    if reply.columns:
        reply = replace(reply, text=join_growing_columns(reply.columns))
    if note is not None and (reply.final or not reply.status):
        reply = replace(reply, status=" ".join(filter(None, (reply.status, note.in_language(locale)))))
    if model_notes:
        sentences = [sentence.in_language(locale) for sentence in model_notes]
        reply = replace(reply, status=" ".join(filter(None, (reply.status, *sentences))))
    if spoiler:
        reply = replace(reply, attachments=tuple(replace(file, spoiler=True) for file in reply.attachments))
    return replace(reply, private=reply.private or private)


def error_reply(last: Reply, sentence: Sentence, request: Request, option: str = "") -> Reply:
    """Return the last reply with the error under it; the reply is private if nothing was shown before."""
    text = sentence.in_language(request.user.locale)
    last = merge_columns(last)
    if last.text:
        text = f"{last.text}{closing(last.text)}\n\n{text}"
    partial = bool(last.text or last.attachments)
    last = replace(last, text=text, status="", buttons=(), final=True, error=True, partial=partial, option=option)
    return replace(last, private=last.private or not partial)
