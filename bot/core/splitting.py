"""Composes the text of a reply and splits it into messages that fit a platform.

Nothing here knows a platform: its limits come in as parameters, and its mark-up comes in as a template.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from bot.core.i18n import translate
from bot.core.messages import Attachment, is_made_by_ai

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bot.core.messages import Column, Reply

MIN_PART_CHARACTERS = 100
"""The smallest limit of `split`: the longest fence lines that it adds fit, and 40 characters of text beside them."""

MAX_FENCE_CHARACTERS = 16
MAX_LANGUAGE_CHARACTERS = 24
MIN_BODY_CHARACTERS = 20
OVERFLOW = "This answer is too long for messages, so all of it is in the file {file}."
OVERFLOW_FILE = "answer.md"

_FENCE_LINE = re.compile(
    r"[ \t]*(?P<item>(?:[-*+]|\d{1,9}[.)])[ \t]+)?"
    r"(?P<run>`{3,}|~{3,})(?P<info>\s*(?P<language>[\w+#.-]{0,25})[^\n]*)"
)
_FENCE_START = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?:`{3}|~{3})")
_FENCE_START_CHARACTERS = 100
"""How far such a start is looked for: in a line that is longer than all parts, each look could take a while."""
_PARAGRAPH = re.compile(r"\n(?:[ \t\r]*\n)+")
_SENTENCE = re.compile(r"[.!?…][\"'”’»)\]*_]*[ \t]+|[。！？]+")
_WORD = re.compile(r"(?<=\S)[^\S\n]+|\n")
_WORD_SOON = re.compile(rf"\s{{0,{MIN_BODY_CHARACTERS - 1}}}\S")
_BLOCK_MARK = re.compile(r"[#>*+=|~-]|\d+[.)]")
_ZERO_WIDTH_SPACE = "\u200b"
_JOINER = "\u200d"


@dataclass(frozen=True, slots=True)
class _Fence:
    run: str
    language: str


def split(text: str, limit: int, *, most: int | None = None) -> list[str]:
    """Break `text` into parts of at most `limit` characters, each good Markdown on its own; return the first `most`.

    A part ends after a paragraph if possible, otherwise after a line, a sentence or a word, and inside a word as the
    last resort; it ends outside a code block rather than inside one. Characters that are displayed as one stay
    together. The white space at a break stays at the end of the part before it, so nothing is lost: `join(split(text,
    limit)) == text`. An empty text has no parts.

    A code fence that is open at the end of a part (also of the last one) is closed there, and opened again with its
    language in the next part. Spaces make that reversible: a closing line that was added ends with one space, or with
    two if the line break before it was added as well. If the text's own closing line ends a part and has a space at its
    end, it gets two more. Fences may be indented or open a list item. A fence longer than 16 characters is treated as
    text, and a language longer than 24 characters is not repeated.

    A part is blank only if the text has 20 or more white space characters in a row. Raises ValueError for a limit below
    `MIN_PART_CHARACTERS`.
    """
    if limit < MIN_PART_CHARACTERS:
        raise ValueError(f"The limit of a part must be at least {MIN_PART_CHARACTERS} characters; it is {limit}.")
    parts: list[str] = []
    position, fence = 0, None
    while position < len(text) and len(parts) != most:
        head = f"{fence.run}{fence.language}\n" if fence else ""
        end = _find_part_end(text, position, limit - len(head), fence)
        body = text[position:end]
        parts.append(head + body + _closing_tail(body, fence))
        position, fence = end, _fence_after(body, fence)
    return parts


def join(parts: Iterable[str]) -> str:
    """Return the text that `split` broke into `parts`, without the fence lines and spaces that it added."""
    bodies = []
    reopened = False
    for part in parts:
        start, before = _fences_before_lines(part, None)[-1]
        last, body, closed = part[start:], part, False
        if before and _fence_after_line(before, last) is None and last.endswith(" "):
            closed = not last.endswith("   ")
            body = part[: start - last.endswith("  ")] if closed else part[:-2]
        bodies.append(body.partition("\n")[2] if reopened else body)
        reopened = closed
    return "".join(bodies)


def closing(text: str) -> str:
    """Return what closes a code fence that is open at the end of `text`, so that more text can follow; otherwise ""."""
    fence = _fence_after(text, None)
    return f"\n{fence.run}" if fence else ""


def ellipsis(text: str) -> str:
    """Return the … that shows that `text` was cut at its end; after a code fence, it is on a line of its own."""
    # On the line of a closing fence, it would keep the fence from closing the block.
    return "\n…" if _FENCE_LINE.match(text.rpartition("\n")[2]) else " …"


def join_growing_columns(columns: Sequence[Column]) -> str:
    """Join columns, which grow at the same time, to one text that only grows: up to the first that is not final."""
    ended = list(takewhile(lambda column: column.final, columns))
    return "\n\n".join(column.text for column in columns[: len(ended) + 1])


def merge_columns(reply: Reply) -> Reply:
    """Return `reply` with all of its columns, one below the other, as its text; unchanged if it has none."""
    if not reply.columns:
        return reply
    text = "\n\n".join(column.text + closing(column.text) for column in reply.columns)
    return replace(reply, text=text, columns=())


def _fence_after_line(fence: _Fence | None, line: str) -> _Fence | None:
    """Return the fence that is open after `line` if `fence` is open before it."""
    match = _FENCE_LINE.match(line)
    if match is None:
        return fence
    run, info, language = match["run"], match["info"].strip(), match["language"]
    if fence is not None:
        closes = run.startswith(fence.run) and not info and match["item"] is None
        return None if closes else fence
    if len(run) > MAX_FENCE_CHARACTERS or (run.startswith("`") and "`" in info):
        return None
    return _Fence(run, language if len(language) <= MAX_LANGUAGE_CHARACTERS else "")


def _fences_before_lines(body: str, fence: _Fence | None) -> list[tuple[int, _Fence | None]]:
    """Return for each line of `body` where it starts and which fence is open before it."""
    states = []
    start = 0
    for line in body.split("\n"):
        states.append((start, fence))
        fence = _fence_after_line(fence, line)
        start += len(line) + 1
    return states


def _fence_after(body: str, fence: _Fence | None) -> _Fence | None:
    start, before = _fences_before_lines(body, fence)[-1]
    return _fence_after_line(before, body[start:])


def _closing_tail(body: str, fence: _Fence | None) -> str:
    """Return what `split` adds after `body`: a closing fence line or spaces (see `split`)."""
    start, before = _fences_before_lines(body, fence)[-1]
    after = _fence_after_line(before, body[start:])
    if after:
        return f"{after.run} " if body.endswith("\n") else f"\n{after.run}  "
    return "  " if before and body.endswith(" ") else ""


def _find_part_end(text: str, start: int, room: int, fence: _Fence | None) -> int:
    """Return the best end of the part that starts at `start`; its body and tail must fit into `room` characters."""
    limit = min(start + room, len(text))

    def fits(end: int) -> bool:
        return end - start + len(_closing_tail(text[start:end], fence)) <= room

    if limit == len(text) and fits(limit):
        return limit
    window = text[start:limit]
    first_word = start + len(window) - len(window.lstrip())

    def keeps_words(end: int) -> bool:
        return end > first_word and _WORD_SOON.match(text, end) is not None

    def keeps_clusters(end: int) -> bool:
        return _is_cluster_boundary(text, end)

    def keeps_fence_lines(end: int) -> bool:
        line = text.rfind("\n", start, end) + 1 or start
        return line == end or not (_begins_fence(text, line) or _begins_fence(text, end))

    places = [start + place for place in _find_break_points(window, fence)]
    # Not every text has an end that keeps all of these; fence lines are given up first.
    for conditions in (
        (keeps_words, keeps_clusters, keeps_fence_lines),
        (keeps_words, keeps_clusters),
        (keeps_words,),
        (keeps_clusters,),
    ):
        for end in places:
            if all(is_kept(end) for is_kept in conditions) and fits(end):
                return end
    return next(end for end in places if fits(end))


def _find_break_points(window: str, fence: _Fence | None) -> Iterator[int]:
    """Yield every place to break `window`, the best first. A break near its start would make a part too short."""
    fences = dict(_fences_before_lines(window, fence))
    lines = list(fences)[1:]
    paragraphs = [match.end() for match in _PARAGRAPH.finditer(window)]
    words = [match.end() for match in _WORD.finditer(window)]
    levels = (
        [position for position in paragraphs if fences[position] is None],
        [position for position in lines if fences[position] is None],
        paragraphs,
        lines,
        [match.end() for match in _SENTENCE.finditer(window)],
        words,
    )
    for level in levels:
        yield from (position for position in reversed(level) if position >= len(window) / 3)
    yield from (position for position in reversed(words) if position >= len(window) / 8)
    yield from range(len(window), 0, -1)


def _begins_fence(text: str, position: int) -> bool:
    """Return whether a line of a code fence, as it would be at the start of a line, is at `position`."""
    return _FENCE_START.match(text, position, position + _FENCE_START_CHARACTERS) is not None


def _is_cluster_boundary(text: str, position: int) -> bool:
    """Return whether `position` is between two graphemes, not inside an accented letter, a combined emoji or a flag."""
    if position >= len(text):
        return True
    before, after = text[position - 1], text[position]
    if f"{before}{after}" == "\r\n" or _JOINER in (before, after):
        return False
    if "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff":
        return False
    if (
        unicodedata.category(after).startswith("M")
        or _is_in_range(after, 0x1F3FB, 0x1F3FF)
        or _is_in_range(after, 0xE0020, 0xE007F)
    ):
        return False
    # A flag is a pair of regional indicators.
    flags_start = position
    while flags_start and _is_in_range(text[flags_start - 1], 0x1F1E6, 0x1F1FF):
        flags_start -= 1
    return not (_is_in_range(after, 0x1F1E6, 0x1F1FF) and (position - flags_start) % 2)


def _is_in_range(character: str, first: int, last: int) -> bool:
    return first <= ord(character) <= last


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """The limits of a platform: `characters` in a message, and `messages` for an answer."""

    characters: int
    messages: int

    def __post_init__(self) -> None:
        if self.characters < MIN_PART_CHARACTERS or self.messages < 1:
            raise ValueError(
                f"A platform takes at least one message of {MIN_PART_CHARACTERS} characters; this is {self}."
            )


@dataclass(frozen=True, slots=True)
class SplitReply:
    """The texts of the messages that show a reply; `file` is the answer if it is too long for messages."""

    parts: tuple[str, ...]
    file: Attachment | None = None


def fit_into_messages(
    reply: Reply, limits: MessageLimits, *, written: str, subtext: str = "{}", locale: str = "en"
) -> SplitReply:
    """Compose a reply and split it; if it has too many parts, a file takes its place, and a sentence says so.

    The file has the text as it was `written`, before it was changed for the platform.
    """
    # Looking for good places in all of a text that becomes a file could take seconds.
    parts = split(compose(reply, subtext=subtext, locale=locale), limits.characters, most=limits.messages + 1)
    if len(parts) <= limits.messages:
        return SplitReply(tuple(parts))
    file = Attachment(OVERFLOW_FILE, written.encode("utf-8", "replace"), "text/markdown")
    note = replace(reply, text=translate(OVERFLOW, locale, file=OVERFLOW_FILE))
    return SplitReply(tuple(split(compose(note, subtext=subtext, locale=locale), limits.characters)), file)


def compose(reply: Reply, *, subtext: str = "{}", locale: str = "en") -> str:
    """Return the Markdown that shows `reply` as one text: quote, text, status and card, with blank lines between them.

    The quote says what led to the answer, if that was a button, and the question.
    `subtext` is the platform's template for small print, "-# {}" or "_{}_".
    """
    text = reply.text
    small = [line for line in (reply.status, card_line(reply.card, locale)) if line]
    if small and (fence := _fence_after(text, None)):
        text += fence.run if text.endswith("\n") else f"\n{fence.run}"
    cause = "" if reply.cause is None else reply.cause.sentence.in_language("en")
    quote = quote_line(" · ".join(filter(None, (cause, reply.quote))))
    return "\n\n".join(block for block in (quote, text, *map(subtext.format, small)) if block)


def append_typed_fields(sentence: str, typed: Mapping[str, str], locale: str) -> str:
    """Return `sentence`, which refuses a form, and below it the typed values as code blocks that can be copied."""
    if not typed:
        return sentence
    blocks = (f"{name}:\n```\n{value.replace('```', 'ˋˋˋ')}\n```" for name, value in typed.items())
    return "\n".join([f"{sentence}\n\n{translate('This is what you typed:', locale)}", *blocks])


def select_typed_fields(fields: Mapping[str, object]) -> dict[str, str]:
    """Return the text fields of a form that are not empty; its files are left out."""
    return {name: value for name, value in fields.items() if isinstance(value, str) and value.strip()}


def card_line(card: Mapping[str, str], locale: str = "en") -> str:
    """Return the card as one line: "made by AI · model qwen · temperature 0.7"; empty for an empty card."""
    label = [translate("made by AI", locale)] if is_made_by_ai(card) else []
    return " · ".join([*label, *(" ".join(f"{name} {value}".split()) for name, value in card.items())])


def quote_line(prompt: str, limit: int = 200) -> str:
    """Return `prompt` as one quoted line of at most `limit` characters, cut with … after a word; empty for a blank one.

    The line cannot affect the message around it: backticks are replaced, and a zero-width space follows @ and <.
    """
    line = " ".join(prompt.split()).replace("`", "ˋ")
    line = re.sub("[@<]", rf"\g<0>{_ZERO_WIDTH_SPACE}", line)
    if not line:
        return ""
    mark = f"> {_ZERO_WIDTH_SPACE}" if _BLOCK_MARK.match(line) else "> "
    return mark + cut_line(line, limit - len(mark))


def cut_line(line: str, limit: int) -> str:
    """Return `line` in at most `limit` characters, cut with … after a word if one ends in its second half."""
    if len(line) <= limit:
        return line
    end = limit - 1
    while end > 1 and not _is_cluster_boundary(line, end):
        end -= 1
    space = line.rfind(" ", 0, end + 1)
    return f"{line[: space if space > end / 2 else end]}…"
