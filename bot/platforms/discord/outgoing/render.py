"""Replies as messages of Discord: plain text within the limits, with buttons and files under the last message."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import discord

from bot.core.i18n import translate
from bot.core.links import show_addresses
from bot.core.messages import Attachment
from bot.core.splitting import (
    MessageLimits,
    append_typed_fields,
    compose,
    fit_into_messages,
    select_typed_fields,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bot.core.messages import Button, Reply

LIMITS = MessageLimits(characters=2000, messages=5)
SUBTEXT = "-# {}"
MAX_FILES, MAX_ALT_CHARACTERS = 10, 1024
MAX_BUTTONS, MAX_LABEL_CHARACTERS, MAX_ID_CHARACTERS = 25, 80, 100
TYPED_FILENAME = "form.txt"
NO_TEXT = "…"
"""Placeholder for missing text: Discord refuses an empty message."""

STYLES = {
    "primary": discord.ButtonStyle.primary,
    "secondary": discord.ButtonStyle.secondary,
    "danger": discord.ButtonStyle.danger,
}


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """One message of Discord as it should look."""

    content: str
    buttons: tuple[Button, ...] = ()
    files: tuple[Attachment, ...] = ()


def messages(
    reply: Reply, *, locale: str, max_file_bytes: int, max_messages: int = LIMITS.messages
) -> list[RenderedMessage]:
    """Return between one and `max_messages` messages that show `reply`.

    A final answer that is too long for them becomes a file; before that, only its beginning is shown. Where files are
    not permitted, `max_file_bytes` is 0.
    """
    written = reply.text
    reply = replace(reply, text=show_addresses(reply.text), quote=show_addresses(reply.quote))
    reply = _without_large_files(reply, locale, max_file_bytes)
    if reply.final and max_file_bytes:
        limits = replace(LIMITS, messages=max_messages)
        delivered = fit_into_messages(reply, limits, written=written, subtext=SUBTEXT, locale=locale)
        parts, overflow = list(delivered.parts), delivered.file
    else:
        parts, overflow = (
            split(compose(reply, subtext=SUBTEXT, locale=locale), LIMITS.characters, most=max_messages),
            None,
        )
    files = (*reply.attachments, *([] if overflow is None else [overflow]))
    # Discord takes no message of white space alone.
    *first, last = [part for part in parts if part.strip()] or [""]
    if not last and not files:
        last = NO_TEXT
    return [*map(RenderedMessage, first), RenderedMessage(last, buttons(reply), files)]


def buttons(reply: Reply) -> tuple[Button, ...]:
    """Return the buttons of a reply that Discord accepts."""
    return tuple(button for button in reply.buttons if button.id and len(button.id) <= MAX_ID_CHARACTERS)[:MAX_BUTTONS]


def is_blank(reply: Reply) -> bool:
    """Return whether there is nothing to see yet but the question."""
    return not (reply.text or reply.status or reply.attachments or reply.final)


def _without_large_files(reply: Reply, locale: str, max_bytes: int) -> Reply:
    """Leave out the files that Discord does not take, with a sentence about each in the status."""
    kept: list[Attachment] = []
    notes = [reply.status] if reply.status else []
    if reply.attachments and not max_bytes:
        notes.append(translate("I may not show files here; that needs the permission Attach Files.", locale))
        return replace(reply, attachments=(), status=" ".join(notes))
    for file in reply.attachments:
        if len(file.data) > max_bytes:
            sentence = "{file} is left out: it has {size} MB, and Discord takes {most} MB here."
            size = {"size": _megabytes(len(file.data)), "most": _megabytes(max_bytes)}
            notes.append(translate(sentence, locale, file=file.filename, **size))
        elif len(kept) == MAX_FILES - 1:
            # The last place is kept free for the text itself, should it become a file.
            sentence = "{file} is left out: Discord takes {most} files in a message."
            notes.append(translate(sentence, locale, file=file.filename, most=MAX_FILES - 1))
        else:
            kept.append(file)
    if len(kept) == len(reply.attachments):
        return reply
    return replace(reply, attachments=tuple(kept), status=" ".join(notes))


def _megabytes(count: int) -> str:
    return f"{math.ceil(count * 10 / 2**20) / 10:g}"


def button_view(shown: Sequence[Button]) -> discord.ui.View | None:
    """Return buttons as discord.py sends them; None if there are none.

    The view is stopped, so that discord.py does not store it: a press is handled by the button's id alone.
    """
    if not shown:
        return None
    view = discord.ui.View(timeout=None)
    for button in shown:
        style = STYLES.get(button.style, discord.ButtonStyle.secondary)
        label = button.label.strip()[:MAX_LABEL_CHARACTERS] or NO_TEXT
        view.add_item(discord.ui.Button(style=style, label=label, custom_id=button.id))
    view.stop()
    return view


def files(attachments: Iterable[Attachment]) -> list[discord.File]:
    """Return the attachments as discord.py sends them, each with its alt text."""
    return [
        discord.File(
            io.BytesIO(file.data),
            filename=file.filename,
            spoiler=file.spoiler,
            description=file.alt[:MAX_ALT_CHARACTERS] or None,
        )
        for file in attachments
    ]


def refused_form(sentence: str, fields: Mapping[str, Any], locale: str) -> RenderedMessage:
    """Return why a form was refused, with the typed values to copy: as code blocks, or as a file if they are long."""
    typed = select_typed_fields(fields)
    text = append_typed_fields(sentence, typed, locale)
    if not typed or len(text) <= LIMITS.characters:
        return RenderedMessage(split(text, LIMITS.characters, most=1)[0])
    data = "\n\n".join(f"{name}:\n{value}" for name, value in typed.items()).encode("utf-8", "replace")
    head = f"{sentence}\n\n{translate('This is what you typed:', locale)}"
    return RenderedMessage(
        split(head, LIMITS.characters, most=1)[0], files=(Attachment(TYPED_FILENAME, data, "text/plain"),)
    )
