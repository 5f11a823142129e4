"""What a reply looks like on Discord: plain text in messages that fit, buttons and files under the last one."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import discord

from bot.core.i18n import translate
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
MOST_FILES, MOST_ALT = 10, 1024
MOST_BUTTONS, MOST_LABEL, MOST_ID = 25, 80, 100
TYPED_FILE = "form.txt"
NOTHING = "…"
"""Stands where there is no text yet, since a message cannot be empty."""

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


def messages(reply: Reply, *, locale: str, bytes_each: int, most: int = LIMITS.messages) -> list[RenderedMessage]:
    """The messages that show `reply`, one at least and `most` of them; files are of at most `bytes_each`.

    An answer that is too long becomes a file once it is final; until then its beginning stands still. Where there are
    no files, `bytes_each` is 0.
    """
    reply = _without_large_files(reply, locale, bytes_each)
    if reply.final and bytes_each:
        delivered = fit_into_messages(reply, replace(LIMITS, messages=most), subtext=SUBTEXT, locale=locale)
        parts, overflow = list(delivered.parts), delivered.file
    else:
        parts, overflow = split(compose(reply, subtext=SUBTEXT), LIMITS.characters)[:most], None
    files = (*reply.attachments, *([] if overflow is None else [overflow]))
    # Discord takes no message of white space alone.
    *first, last = [part for part in parts if part.strip()] or [""]
    if not last and not files:
        last = NOTHING
    return [*map(RenderedMessage, first), RenderedMessage(last, buttons(reply), files)]


def buttons(reply: Reply) -> tuple[Button, ...]:
    """Those of the reply's buttons that Discord takes."""
    return tuple(button for button in reply.buttons if button.id and len(button.id) <= MOST_ID)[:MOST_BUTTONS]


def is_blank(reply: Reply) -> bool:
    """Whether there is nothing to see yet beside the question."""
    return not (reply.text or reply.status or reply.attachments or reply.final)


def _without_large_files(reply: Reply, locale: str, most: int) -> Reply:
    """The reply with the files that Discord takes, and with a sentence for each that it does not."""
    kept: list[Attachment] = []
    notes = [reply.status] if reply.status else []
    if reply.attachments and not most:
        notes.append(translate("I may not show files here; that needs the permission Attach Files.", locale))
        return replace(reply, attachments=(), status=" ".join(notes))
    for file in reply.attachments:
        if len(file.data) > most:
            sentence = "{file} is left out: it has {size} MB, and Discord takes {most} MB here."
            size = {"size": _megabytes(len(file.data)), "most": _megabytes(most)}
            notes.append(translate(sentence, locale, file=file.filename, **size))
        elif len(kept) == MOST_FILES - 1:
            # The last place is kept free for the text itself, should it become a file.
            sentence = "{file} is left out: Discord takes {most} files in a message."
            notes.append(translate(sentence, locale, file=file.filename, most=MOST_FILES - 1))
        else:
            kept.append(file)
    if len(kept) == len(reply.attachments):
        return reply
    return replace(reply, attachments=tuple(kept), status=" ".join(notes))


def _megabytes(count: int) -> str:
    return f"{math.ceil(count * 10 / 2**20) / 10:g}"


def view(shown: Sequence[Button]) -> discord.ui.View | None:
    """Buttons as discord.py sends them; None for none.

    It is stopped, so that discord.py keeps nothing of it: presses are understood by their ids alone.
    """
    if not shown:
        return None
    made = discord.ui.View(timeout=None)
    for button in shown:
        style = STYLES.get(button.style, discord.ButtonStyle.secondary)
        label = button.label.strip()[:MOST_LABEL] or NOTHING
        made.add_item(discord.ui.Button(style=style, label=label, custom_id=button.id))
    made.stop()
    return made


def files(attachments: Iterable[Attachment]) -> list[discord.File]:
    """The attachments as discord.py sends them, each with its alt text."""
    return [
        discord.File(
            io.BytesIO(file.data),
            filename=file.filename,
            spoiler=file.spoiler,
            description=file.alt[:MOST_ALT] or None,
        )
        for file in attachments
    ]


def refused(sentence: str, fields: Mapping[str, Any], locale: str) -> RenderedMessage:
    """Why a form was refused, and under it what was typed into it, to be copied: as code blocks, or as a file."""
    typed = select_typed_fields(fields)
    text = append_typed_fields(sentence, typed, locale)
    if not typed or len(text) <= LIMITS.characters:
        return RenderedMessage(split(text, LIMITS.characters)[0])
    data = "\n\n".join(f"{name}:\n{value}" for name, value in typed.items()).encode("utf-8", "replace")
    head = f"{sentence}\n\n{translate('This is what you typed:', locale)}"
    return RenderedMessage(split(head, LIMITS.characters)[0], files=(Attachment(TYPED_FILE, data, "text/plain"),))
