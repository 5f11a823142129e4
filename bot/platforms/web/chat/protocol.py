"""The messages that a page is sent over its WebSocket, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.core.button_ids import ANYBODY, Kind
from bot.core.i18n import shown_name, shown_value, translate
from bot.core.messages import is_made_by_ai
from bot.core.text import format_number
from bot.platforms.web.chat.files import PICTURE_TYPES
from bot.platforms.web.chat.room import private_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.commands.command import Command
    from bot.core.messages import Button, Cause, Form, Reply, User
    from bot.core.model_events import Token
    from bot.platforms.web.chat.files import File
    from bot.platforms.web.chat.room import Exchange, Room

EMPTY_EXCHANGE_CHARS = 1000
"""About how long the message with an exchange is without its texts."""


def welcome_message(
    user: User,
    room: Room,
    rooms: Sequence[str],
    offers: Mapping[str, Any],
    earlier: Sequence[Exchange],
    exchanges: Sequence[Exchange],
    notice: str,
    *,
    is_named: bool,
) -> dict[str, Any]:
    """Return the message for a page that opens or enters another room.

    It has the user, the rooms, the `exchanges` and what the page offers. Of the `earlier` exchanges it only says which
    they are, so that a page that shows them already keeps them. `notice` is a sentence to show, or "".
    """
    return {
        "type": "welcome",
        "you": own_user_json(user, is_named=is_named),
        "room": room.name,
        "private": private_name(user.id),
        "rooms": list(rooms),
        "earlier": [{"id": one.id, "at": one.began, "row": one.reply.row} for one in earlier],
        "exchanges": [exchange_message(user, exchange) for exchange in exchanges],
        "notice": notice,
        **offers,
    }


def count_fitting(exchanges: Sequence[Exchange], most: int) -> int:
    """Return how many of the last `exchanges` fit into a message of about `most` characters."""
    count = 0
    for exchange in reversed(exchanges):
        most -= _count_characters(exchange)
        if most < 0:
            break
        count += 1
    return count


def _count_characters(exchange: Exchange) -> int:
    """Return about how long the message with an exchange is."""
    reply = exchange.reply
    columns = sum(len(column.text) for column in reply.columns)
    return EMPTY_EXCHANGE_CHARS + len(exchange.question) + len(reply.quote) + len(reply.text) + columns


def user_json(user: User) -> dict[str, Any]:
    """Return a user as others see them."""
    return {"id": user.id, "name": user.name, "moderator": user.is_moderator}


def own_user_json(user: User, *, is_named: bool) -> dict[str, Any]:
    """Return a user as their own page knows them; a guest has no name to keep."""
    return user_json(user) | {"named": is_named}


def exchange_message(user: User, exchange: Exchange) -> dict[str, Any]:
    """Return the message with the newest state of an exchange, as `user` sees it."""
    reply, cause = exchange.reply, exchange.reply.cause
    mine = exchange.author.id == user.id
    # What a button asked again is quoted in the answer; it is no question that somebody typed.
    asked = reply.quote if cause is None or cause.asks else ""
    shown = [(file, name) for file, name in exchange.files if file.media_type in PICTURE_TYPES]
    return {
        "type": "exchange",
        "id": exchange.id,
        "at": exchange.began,
        "author": user_json(exchange.author),
        "mine": mine,
        "row": reply.row,
        "thread": exchange.thread,
        "parent": exchange.parent,
        "private": exchange.private,
        "for_moderators": exchange.for_moderators,
        "unchecked": exchange.unchecked,
        "question": exchange.question or asked,
        "cause": None if cause is None else _cause_json(cause, user.locale),
        "announcement": exchange.announcement,
        "reply": _reply_json(reply, user.locale, mine=mine, may_change=mine or user.is_moderator)
        | {
            "pictures": [_picture_json(file, name) for file, name in shown],
            "files": [_file_json(file, name) for file, name in exchange.files if (file, name) not in shown],
        },
    }


def form_message(form: Form, locale: str) -> dict[str, Any]:
    """Return the message that shows a form in the reader's language."""
    fields = [
        {
            "name": field.name,
            "title": shown_name(field.name, locale),
            "label": "" if field.label == field.name else translate(field.label, locale),
            "kind": field.kind,
            "value": field.value,
            "required": field.required,
            "minimum": field.minimum,
            "maximum": field.maximum,
            "choices": _choices_json(field.choices, locale),
        }
        for field in form.fields
    ]
    return {"type": "form", "id": form.id, "title": form.title, "fields": fields}


def _reply_json(reply: Reply, locale: str, *, mine: bool, may_change: bool) -> dict[str, Any]:
    """Return a reply with its status and its buttons, which are stored in English, in the reader's language."""
    facts, titles = list(reply.card.items()), [shown_name(name, locale) for name in reply.card]
    if is_made_by_ai(reply.card):
        facts.insert(0, ("made by", translate("AI", locale)))
        titles.insert(0, translate("made by", locale))
    return {
        "quote": reply.quote,
        "text": reply.text,
        "status": translate(reply.status, locale),
        "final": reply.final,
        "error": reply.error,
        "card": facts,
        "card_titles": titles,
        "columns": [[column.text, column.final] for column in reply.columns],
        "tokens": reply.final and not reply.error and bool(reply.text) and "tokens" in reply.card,
        "buttons": [
            # The label of a plugin's button may be anything, such as a token, and is not translated.
            {
                "id": button.id,
                "label": translate(button.label, locale) if button.action else button.label,
                "style": button.style,
                "title": button.title,
                "picture": button.picture,
                "aside": button.aside,
            }
            for button in reply.buttons
            if button.id and _is_offered(button, mine=mine, may_change=may_change)
        ],
    }


def _cause_json(cause: Cause, locale: str) -> dict[str, Any]:
    return {
        "text": cause.sentence.in_language(locale),
        "source": cause.source,
        "mark": cause.mark,
        "at": cause.at,
    }


def _is_offered(button: Button, *, mine: bool, may_change: bool) -> bool:
    """Return whether a page shows a button to the asker, to moderators or to others, who can reply to any answer."""
    if button.action == Kind.CONTINUE:
        return mine
    return may_change or bool(button.command) or button.action in ANYBODY


def _picture_json(file: File, name: str) -> dict[str, Any]:
    width, height = file.pixels or (None, None)
    return _file_json(file, name) | {
        "alt": file.alt,
        "spoiler": file.spoiler,
        "width": width,
        "height": height,
    }


def _file_json(file: File, name: str) -> dict[str, Any]:
    return {"url": f"/files/{name}", "name": file.filename, "size": file.size}


def command_json(command: Command, usual: Mapping[str, float], locale: str) -> dict[str, Any]:
    """Return a command; `usual` has the values that models choose where an option has no default."""
    return {
        "name": command.name,
        "description": translate(command.description, locale),
        "usage": command.usage(),
        "options": [
            {
                "name": option.name,
                "title": shown_name(option.name, locale),
                "description": translate(option.description, locale) if option.description else "",
                "kind": option.kind,
                "expects": option.expects().in_language(locale),
                "required": option.required,
                "default": None if option.default is None else str(option.default),
                "usual": format_number(usual[option.name]) if option.name in usual else "",
                "minimum": option.minimum,
                "maximum": option.maximum,
                "choices": _choices_json((True, False) if option.kind == "boolean" else option.choices, locale),
                "free_text": option.free_text,
                "completes": option.complete is not None,
            }
            for option in command.options
        ],
    }


def _choices_json(choices: Sequence[Any], locale: str) -> list[list[str]]:
    """Return each choice as it is typed and as people read it."""
    typed = {True: "true", False: "false"}
    return [[typed[one] if isinstance(one, bool) else str(one), shown_value(one, locale)] for one in choices]


def tokens_json(tokens: Sequence[Token]) -> list[list[Any]]:
    """Return each token of an answer as [text, probability, [[other text, probability], …]]; a hidden text is None."""
    return [
        [
            token.text,
            round_to_six_digits(token.probability),
            [[None if one.hidden else one.text, round_to_six_digits(one.probability)] for one in token.likely],
        ]
        for token in tokens
    ]


def round_to_six_digits(probability: float) -> float:
    """Return it with six significant digits, so that the probability of a drawn token is never rounded to 0."""
    return float(f"{probability:.6g}")
