"""What a reply looks like on Slack: Markdown that pings nobody, small print and buttons below it, files beside it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.core.i18n import translate
from bot.core.messages import Reply
from bot.core.splitting import MessageLimits, card_line, compose, fit_into_messages, split
from bot.core.text import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bot.core.messages import Attachment, Button

    Json = dict[str, Any]

LIMITS = MessageLimits(characters=10_000, messages=5)
"""A message takes 12,000 characters in Markdown blocks, as a stream does; what closes a code fence needs some."""
MOST_WEIGHT = 11_000
"""Of the Markdown in a message, as JSON: all its blocks together take 13,200 so, and buttons need some."""
DENSE = MessageLimits(characters=MOST_WEIGHT // 2, messages=5)
"""For texts that are full of quotation marks and line breaks, each of which takes two characters in JSON."""
FALLBACK = 4000
"""Of `text`, which notifications and screen readers use; chat.update takes no more."""
SECTION, SMALL, LABEL, ALT_TEXT = 3000, 2000, 75, 2000
MOST_BUTTONS = 25
STYLES = frozenset({"primary", "danger"})
NOTHING = "…"

_ZERO_WIDTH_SPACE = "\u200b"
_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]*`)", re.DOTALL)
_PING = re.compile(
    r"<(?=@[UWB][A-Z0-9]|#[CGD][A-Z0-9]|!(?:channel|here|everyone|subteam|date)\b)|@(?=(?:channel|here|everyone)\b)",
    re.IGNORECASE,
)
_LINK = re.compile(
    r"!?\[(?P<label>[^\]\n]{0,300})\]\(\s*<?(?P<address>(?:[^\s()<>]|\([^\s()]*\)){1,2000})>?(?:\s+[\"'(][^\n]{0,300}?[\"')])?\s*\)"
)
_NAMED = re.compile(r"<(?P<address>(?:https?://|mailto:|tel:)[^|>\s]+)\|(?P<label>[^>\n]*)>")
_DEFINITION = re.compile(r"^( {0,3}\[[^\]\n]+\]):", re.MULTILINE)
_OPEN = re.compile(
    r"(?:!?\[[^\]\n]{0,300}(?:\](?:\((?:[^()\n]|\([^()\n]*\)){0,500}(?:\([^()\n]*)?)?)?|<[^>\n]{0,300}|@\w{0,20}|!)\Z"
)


def neutral(markdown: str) -> str:
    """Markdown that pings nobody and hides no address: a link with another text has its address beside it.

    What stands in code stays as it is, but for pings. Doing it twice changes nothing more.
    """
    parts = _CODE.split(_PING.sub(rf"\g<0>{_ZERO_WIDTH_SPACE}", markdown))
    for place in range(0, len(parts), 2):
        text = _NAMED.sub(_open_link, _LINK.sub(_open_link, parts[place]))
        parts[place] = _DEFINITION.sub(rf"\1{_ZERO_WIDTH_SPACE}:", text)
    return "".join(parts)


def _open_link(match: re.Match[str]) -> str:
    label, address = match["label"].strip(), match["address"]
    bare = re.sub(r"^(?:https?://|mailto:|tel:)", "", address).rstrip("/")
    return address if label.rstrip("/") in ("", address.rstrip("/"), bare) else f"{label} ({address})"


def settled(text: str) -> str:
    """As much of a growing text as `neutral` will not see differently once more of it has come."""
    line = text.rfind("\n") + 1
    while True:
        if open_part := _OPEN.search(text, line):
            text = text[: open_part.start()]
        elif text.count("`", line) % 2:
            text = text[: text.rfind("`")]
        else:
            return text


def escaped(text: str) -> str:
    """Text that mrkdwn shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mrkdwn(markdown: str) -> str:
    """Markdown in Slack's own, older mark-up."""
    parts = _CODE.split(escaped(markdown))
    for place in range(0, len(parts), 2):
        text = re.sub(r"\*\*(?=\S)(.+?)(?<=\S)\*\*", r"*\1*", parts[place])
        text = re.sub(r"~~(?=\S)(.+?)(?<=\S)~~", r"~\1~", text)
        text = re.sub(r"^#{1,6}[ \t]+(.+?)[ \t]*$", r"*\1*", text, flags=re.MULTILINE)
        text = re.sub(r"^(\s*)[-*+][ \t]+", r"\1• ", text, flags=re.MULTILINE)
        parts[place] = re.sub(r"^&gt; ?", "> ", text, flags=re.MULTILINE)
    return "".join(parts)


def _cut(escaped_text: str, limit: int) -> str:
    """`cut` for escaped text: no entity is torn."""
    if len(escaped_text) <= limit:
        return escaped_text
    return f"{re.sub('&[a-z]{0,3}$', '', escaped_text[: limit - 1])}…"


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """One message of Slack as it should look: Markdown, and blocks below it."""

    markdown: str = ""
    below: tuple[Json, ...] = ()
    fallback: str = ""
    """The `text` of a message without Markdown."""

    @property
    def pictures(self) -> list[str]:
        """The ids of the files that `picture` blocks show."""
        return [block["slack_file"]["id"] for block in self.below if "slack_file" in block]

    def content(self, *, sections: bool = False) -> Json:
        """`text` and `blocks` for the Web API; with `sections` for servers that know no Markdown blocks."""
        blocks = [*(_sections(self.markdown) if sections else text_blocks(self.markdown)), *self.below]
        text = _cut(mrkdwn(self.markdown), FALLBACK) if self.markdown.strip() else cut(self.fallback, FALLBACK)
        return {"text": text or NOTHING, "blocks": blocks or text_blocks(NOTHING)}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A reply as Slack shows it: messages, then files, then what comes below the files."""

    messages: tuple[SlackMessage, ...]
    files: tuple[Attachment, ...] = ()
    tail: SlackMessage | None = None


def rendered(reply: Reply, *, locale: str) -> Rendered:
    """What shows `reply`. Buttons stand under the last message, which is one of their own where there are files."""
    body = neutral(body_of(reply))
    overflow = None
    limits = _limits(body)
    if reply.final:
        delivered = fit_into_messages(Reply(text=body), limits, locale=locale)
        texts = delivered.parts
        if delivered.file is not None:
            overflow = replace(delivered.file, data=reply.text.encode("utf-8", "replace"))
    else:
        texts = tuple(split(body, limits.characters)[: limits.messages])
    small = [line for line in (reply.status, card_line(reply.card)) if line]
    below = (*small_print(small), *buttons(reply.buttons))
    fallback = escaped(small[0] if small else NOTHING)
    if files := (*reply.attachments, *([] if overflow is None else [overflow])):
        tail = SlackMessage(below=below, fallback=fallback) if below else None
        return Rendered(tuple(map(SlackMessage, texts)), files, tail)
    *first, last = texts or ("",)
    return Rendered((*map(SlackMessage, first), SlackMessage(last, below, fallback)))


def _limits(body: str) -> MessageLimits:
    parts = split(body, LIMITS.characters)
    return LIMITS if all(len(json.dumps(part, ensure_ascii=False)) <= MOST_WEIGHT for part in parts) else DENSE


def body_of(reply: Reply) -> str:
    """The question that is quoted and the text, as Markdown."""
    return compose(replace(reply, status="", card={}))


def text_blocks(markdown: str) -> list[Json]:
    """The block that shows Markdown of at most 12,000 characters; none for a blank one."""
    return [{"type": "markdown", "text": markdown}] if markdown.strip() else []


def _sections(markdown: str) -> list[Json]:
    parts = split(mrkdwn(markdown), SECTION) if markdown.strip() else []
    return [{"type": "section", "text": {"type": "mrkdwn", "text": part, "verbatim": True}} for part in parts]


def small_print(lines: Iterable[str]) -> list[Json]:
    """Lines in small grey letters, exactly as they are."""
    elements = [{"type": "plain_text", "text": cut(line, SMALL), "emoji": False} for line in lines if line.strip()]
    return [{"type": "context", "elements": elements[:10]}] if elements else []


def picture(file: str, alt: str) -> Json:
    """A picture that Slack was brought as a file."""
    return {"type": "image", "slack_file": {"id": file}, "alt_text": cut(alt.strip() or NOTHING, ALT_TEXT)}


def buttons(pressed: Sequence[Button]) -> list[Json]:
    """The buttons that have an id."""
    elements: list[Json] = []
    for button in pressed[:MOST_BUTTONS]:
        if not button.id:
            continue
        label = {"type": "plain_text", "text": cut(button.label.strip() or NOTHING, LABEL), "emoji": True}
        element: Json = {"type": "button", "text": label, "action_id": button.id}
        if button.style in STYLES:
            element["style"] = button.style
        elements.append(element)
    return [{"type": "actions", "elements": elements}] if elements else []


def question(user: str, asked: str, *, locale: str) -> SlackMessage:
    """Who asked what with a slash command, which leaves no message of its own. Mentioned, they hear of the answer."""
    who = translate("{name} asks:", locale, name=f"<@{user}>")
    lines = "\n".join(f"> {line}" for line in escaped(_PING.sub(rf"\g<0>{_ZERO_WIDTH_SPACE}", asked)).splitlines())
    text = _cut(f"{who}\n{lines}", SECTION)
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
    return SlackMessage(below=(section,), fallback=text)


def note(text: str, small: Sequence[str] = ()) -> SlackMessage:
    """A plain sentence of the bot's own, with small print."""
    return SlackMessage(cut(neutral(text), LIMITS.characters), tuple(small_print(small)))
