"""Renders replies as Slack messages: Markdown that notifies nobody, small print, buttons and files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.core.i18n import translate
from bot.core.links import CODE, reveal_address, show_addresses
from bot.core.messages import Reply
from bot.core.splitting import MessageLimits, card_line, compose, fit_into_messages, split
from bot.core.text import cut
from bot.platforms.slack.api.blocks import MAX_SECTION, button, plain_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bot.core.messages import Attachment, Button

    Json = dict[str, Any]

LIMITS = MessageLimits(characters=10_000, messages=5)
"""Slack allows 12,000 characters of Markdown in a message or stream; the rest is for closing a code fence."""
MAX_JSON_CHARACTERS = 11_000
"""The most Markdown in a message, as JSON: all blocks together may have 13,200, and buttons need some."""
DENSE = MessageLimits(characters=MAX_JSON_CHARACTERS // 2, messages=5)
"""Limits for texts with many quotation marks and line breaks, which take two characters each in JSON."""
MAX_FALLBACK = 4000
"""The longest `text` that chat.update takes; notifications and screen readers use it."""
MAX_SMALL, MAX_ALT_TEXT = 2000, 2000
MAX_BUTTONS = 25
STYLES = frozenset({"primary", "danger"})
PLACEHOLDER = "…"
MAX_STRONG = 300
"""The longest text in bold or struck out that mrkdwn keeps so, as a search without an end would take quadratic time."""

_ZERO_WIDTH_SPACE = "\u200b"
_PING = re.compile(
    r"<(?=@[UWB][A-Z0-9]|#[CGD][A-Z0-9]|!(?:channel|here|everyone|subteam|date)\b)|@(?=(?:channel|here|everyone)\b)",
    re.IGNORECASE,
)
_LABELLED_LINK = re.compile(r"<(?P<address>(?:https?://|mailto:|tel:)[^|>\s]+)(?:\|(?P<label>[^>\n]*)(?P<end>>?))?")
"""Also what only begins like a link, so that nothing of it is searched twice; without `end` it is none."""
_DEFINITION = re.compile(r"^( {0,3}\[[^\]\n]+\]):", re.MULTILINE)
_UNFINISHED = re.compile(
    r"(?:!?\[[^\]\n]{0,300}+(?:\](?:\((?:[^()\n]|\([^()\n]*+\)){0,500}+(?:\([^()\n]*+)?)?)?"
    r"|<[^>\n]{0,300}+|@\w{0,20}+|!)\Z"
)
_UNFINISHED_REACH = 2000
"""How far from the end of a text an unfinished link is looked for."""


def neutralise(markdown: str) -> str:
    """Return Markdown that notifies nobody and shows the address beside each link with another text.

    In code only mentions are changed. The function is idempotent.
    """
    parts = CODE.split(show_addresses(_PING.sub(rf"\g<0>{_ZERO_WIDTH_SPACE}", markdown)))
    for index in range(0, len(parts), 2):
        text = _LABELLED_LINK.sub(lambda link: reveal_address(link) if link["end"] else link[0], parts[index])
        parts[index] = _DEFINITION.sub(rf"\1{_ZERO_WIDTH_SPACE}:", text)
    return "".join(parts)


def settled_prefix(text: str) -> str:
    """Return the longest prefix of a growing text whose neutralised form cannot change as more text arrives."""
    line = text.rfind("\n") + 1
    while True:
        if open_part := _UNFINISHED.search(text, max(line, len(text) - _UNFINISHED_REACH)):
            text = text[: open_part.start()]
        elif text.count("`", line) % 2:
            text = text[: text.rfind("`")]
        else:
            return text


def escape(text: str) -> str:
    """Escape the three special characters of mrkdwn."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def to_mrkdwn(markdown: str) -> str:
    """Convert Markdown to mrkdwn, Slack's own older mark-up."""
    parts = CODE.split(escape(markdown))
    for index in range(0, len(parts), 2):
        text = re.sub(rf"\*\*(?=\S)(.{{1,{MAX_STRONG}}}?)(?<=\S)\*\*", r"*\1*", parts[index])
        text = re.sub(rf"~~(?=\S)(.{{1,{MAX_STRONG}}}?)(?<=\S)~~", r"~\1~", text)
        text = re.sub(r"^#{1,6}[ \t]+(\S.*)$", lambda heading: f"*{heading[1].rstrip()}*", text, flags=re.MULTILINE)
        text = re.sub(r"^([^\S\n]*)[-*+][ \t]+", r"\1• ", text, flags=re.MULTILINE)
        parts[index] = re.sub(r"^&gt; ?", "> ", text, flags=re.MULTILINE)
    return "".join(parts)


def _cut_escaped(escaped_text: str, limit: int) -> str:
    """Cut escaped text without splitting an entity."""
    if len(escaped_text) <= limit:
        return escaped_text
    return f"{re.sub('&[a-z]{0,3}$', '', escaped_text[: limit - 1])}…"


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """The content of one Slack message: Markdown, and blocks below it."""

    markdown: str = ""
    blocks: tuple[Json, ...] = ()
    fallback: str = ""
    """The `text` of a message without Markdown."""

    @property
    def pictures(self) -> list[str]:
        """Ids of the files that the picture blocks show."""
        return [block["slack_file"]["id"] for block in self.blocks if "slack_file" in block]

    def content(self, *, sections: bool = False) -> Json:
        """Return `text` and `blocks` for the Web API; `sections` is for servers that do not know Markdown blocks."""
        blocks = [*(_section_blocks(self.markdown) if sections else text_blocks(self.markdown)), *self.blocks]
        text = (
            _cut_escaped(to_mrkdwn(self.markdown), MAX_FALLBACK)
            if self.markdown.strip()
            else cut(self.fallback, MAX_FALLBACK)
        )
        return {"text": text or PLACEHOLDER, "blocks": blocks or text_blocks(PLACEHOLDER)}


@dataclass(frozen=True, slots=True)
class RenderedReply:
    """A reply as Slack shows it: messages, then files, then `tail`, the message below the files."""

    messages: tuple[SlackMessage, ...]
    files: tuple[Attachment, ...] = ()
    tail: SlackMessage | None = None


def render(reply: Reply, *, locale: str) -> RenderedReply:
    """Render a reply. Buttons go under the last message, or into a message of their own below files."""
    body = neutralise(body_markdown(reply))
    overflow = None
    limits = _limits(body)
    if reply.final:
        delivered = fit_into_messages(Reply(text=body), limits, written=reply.text, locale=locale)
        texts, overflow = delivered.parts, delivered.file
    else:
        texts = tuple(split(body, limits.characters, most=limits.messages))
    small = [line for line in (reply.status, card_line(reply.card, locale)) if line]
    blocks = (*small_print(small), *button_blocks(reply.buttons))
    fallback = escape(small[0] if small else PLACEHOLDER)
    if files := (*reply.attachments, *([] if overflow is None else [overflow])):
        tail = SlackMessage(blocks=blocks, fallback=fallback) if blocks else None
        return RenderedReply(tuple(map(SlackMessage, texts)), files, tail)
    *first, last = texts or ("",)
    return RenderedReply((*map(SlackMessage, first), SlackMessage(last, blocks, fallback)))


def _limits(body: str) -> MessageLimits:
    parts = split(body, LIMITS.characters, most=LIMITS.messages + 1)
    return LIMITS if all(len(json.dumps(part, ensure_ascii=False)) <= MAX_JSON_CHARACTERS for part in parts) else DENSE


def body_markdown(reply: Reply) -> str:
    """Return the quoted question and the text of a reply as Markdown."""
    return compose(replace(reply, status="", card={}))


def text_blocks(markdown: str) -> list[Json]:
    """Return the block that shows Markdown of at most 12,000 characters; no block for blank text."""
    return [{"type": "markdown", "text": markdown}] if markdown.strip() else []


def _section_blocks(markdown: str) -> list[Json]:
    parts = split(to_mrkdwn(markdown), MAX_SECTION) if markdown.strip() else []
    return [{"type": "section", "text": {"type": "mrkdwn", "text": part, "verbatim": True}} for part in parts]


def small_print(lines: Iterable[str]) -> list[Json]:
    """Return the block that shows lines of plain text in small grey letters."""
    elements = [plain_text(cut(line, MAX_SMALL)) for line in lines if line.strip()]
    return [{"type": "context", "elements": elements[:10]}] if elements else []


def picture_block(file: str, alt: str) -> Json:
    """Return the block that shows an uploaded picture."""
    return {"type": "image", "slack_file": {"id": file}, "alt_text": cut(alt.strip() or PLACEHOLDER, MAX_ALT_TEXT)}


def button_blocks(buttons: Sequence[Button]) -> list[Json]:
    """Return the block with those buttons that have an id."""
    elements: list[Json] = []
    for pressable in buttons[:MAX_BUTTONS]:
        if not pressable.id:
            continue
        element = button(pressable.label.strip() or PLACEHOLDER, pressable.id, emoji=True)
        if pressable.style in STYLES:
            element["style"] = pressable.style
        elements.append(element)
    return [{"type": "actions", "elements": elements}] if elements else []


def question_message(user: str, question: str, *, locale: str) -> SlackMessage:
    """Return the message that says who asked what with a slash command, which leaves no message of its own.

    The mention notifies the asker of the answer in the thread.
    """
    who = translate("{name} asks:", locale, name=f"<@{user}>")
    lines = "\n".join(f"> {line}" for line in escape(_PING.sub(rf"\g<0>{_ZERO_WIDTH_SPACE}", question)).splitlines())
    text = _cut_escaped(f"{who}\n{lines}", MAX_SECTION)
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
    return SlackMessage(blocks=(section,), fallback=text)


def note_message(text: str) -> SlackMessage:
    """Return a message with a sentence of the bot's own."""
    return SlackMessage(cut(neutralise(text), LIMITS.characters))
