"""What every adapter needs to send a growing reply: text in parts that fit, and a pace that the platform allows.

Nothing here knows a platform: its numbers come in as parameters, its mark-up as a template.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
import unicodedata
from collections import deque
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot.language import translate
from bot.message import Attachment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping

    from bot.message import Reply

SMALLEST_LIMIT = 100
"""The smallest limit of `split`, in characters: the longest added fence lines and 40 characters of text fit."""

LONGEST_RUN = 16
LONGEST_LANGUAGE = 24
SHORTEST_BODY = 20
MINUTE = 60.0
OVERFLOW = "This answer is too long for messages, so all of it is in the file {file}."
OVERFLOW_FILE = "answer.md"

_FENCE_LINE = re.compile(
    r"[ \t]*(?P<item>(?:[-*+]|\d{1,9}[.)])[ \t]+)?"
    r"(?P<run>`{3,}|~{3,})(?P<info>\s*(?P<language>[\w+#.-]{0,25})[^\n]*)"
)
_PARAGRAPH = re.compile(r"\n(?:[ \t\r]*\n)+")
_SENTENCE = re.compile(r"[.!?…][\"'”’»)\]*_]*[ \t]+|[。！？]+")
_WORD = re.compile(r"(?<=\S)[^\S\n]+|\n")
_SOON_A_WORD = re.compile(rf"\s{{0,{SHORTEST_BODY - 1}}}\S")
_BLOCK_MARK = re.compile(r"[#>*+=|~-]|\d+[.)]")
_ZERO_WIDTH_SPACE = "\u200b"
_JOINER = "\u200d"


@dataclass(frozen=True, slots=True)
class _Fence:
    run: str
    language: str


def split(text: str, limit: int) -> list[str]:
    """Break `text` into parts of at most `limit` characters, each good Markdown on its own.

    A part ends after a paragraph, else a line, a sentence, a word, and only then inside one, rather outside a code
    block than in it; characters that show as one stay together. The white space at a break stays at the end of the
    part before it, so nothing is lost: `join(split(text, limit)) == text`. An empty text has no parts.

    A code fence that is open at the end of a part (the last one too) is closed there and opened again, with its
    language, in the next. Spaces make that reversible: an added closing line ends in one, or in two where the line
    break before it was added as well; a closing line of the text's own that ends a part and ends in a space gets
    two more. Fences may be indented or open a list item; one longer than 16 characters is taken for text, and a
    language longer than 24 is not repeated.

    A part is blank only where white space runs on for 20 characters or more. Raises ValueError for a limit below
    `SMALLEST_LIMIT`.
    """
    if limit < SMALLEST_LIMIT:
        raise ValueError(f"The limit of a part must be at least {SMALLEST_LIMIT} characters; it is {limit}.")
    parts: list[str] = []
    position, fence = 0, None
    while position < len(text):
        head = f"{fence.run}{fence.language}\n" if fence else ""
        end = _end_of_part(text, position, limit - len(head), fence)
        body = text[position:end]
        parts.append(head + body + _tail(body, fence))
        position, fence = end, _state_after(body, fence)
    return parts


def join(parts: Iterable[str]) -> str:
    """The text that `split` broke into `parts`: the fence lines and spaces that it added are taken out again."""
    bodies = []
    reopened = False
    for part in parts:
        start, before = _states(part, None)[-1]
        last, body, closed = part[start:], part, False
        if before and _after_line(before, last) is None and last.endswith(" "):
            closed = not last.endswith("   ")
            body = part[: start - last.endswith("  ")] if closed else part[:-2]
        bodies.append(body.partition("\n")[2] if reopened else body)
        reopened = closed
    return "".join(bodies)


def _after_line(fence: _Fence | None, line: str) -> _Fence | None:
    """The fence that is open after `line`, where `fence` is open before it."""
    match = _FENCE_LINE.match(line)
    if match is None:
        return fence
    run, info, language = match["run"], match["info"].strip(), match["language"]
    if fence is not None:
        closes = run.startswith(fence.run) and not info and match["item"] is None
        return None if closes else fence
    if len(run) > LONGEST_RUN or (run.startswith("`") and "`" in info):
        return None
    return _Fence(run, language if len(language) <= LONGEST_LANGUAGE else "")


def _states(body: str, fence: _Fence | None) -> list[tuple[int, _Fence | None]]:
    """For each line of `body`: where it starts, and the fence that is open before it."""
    states = []
    start = 0
    for line in body.split("\n"):
        states.append((start, fence))
        fence = _after_line(fence, line)
        start += len(line) + 1
    return states


def _state_after(body: str, fence: _Fence | None) -> _Fence | None:
    start, before = _states(body, fence)[-1]
    return _after_line(before, body[start:])


def _tail(body: str, fence: _Fence | None) -> str:
    """What `split` adds behind `body`, as its docstring says."""
    start, before = _states(body, fence)[-1]
    after = _after_line(before, body[start:])
    if after:
        return f"{after.run} " if body.endswith("\n") else f"\n{after.run}  "
    return "  " if before and body.endswith(" ") else ""


def _end_of_part(text: str, start: int, room: int, fence: _Fence | None) -> int:
    """Where the part that starts at `start` ends best; body and tail have `room` characters."""
    limit = min(start + room, len(text))

    def fits(end: int) -> bool:
        return end - start + len(_tail(text[start:end], fence)) <= room

    if limit == len(text) and fits(limit):
        return limit
    window = text[start:limit]
    first_word = start + len(window) - len(window.lstrip())

    def words(end: int) -> bool:
        return end > first_word and _SOON_A_WORD.match(text, end) is not None

    def clusters(end: int) -> bool:
        return _between_clusters(text, end)

    def fence_lines(end: int) -> bool:
        line = text.rfind("\n", start, end) + 1 or start
        return line == end or not (_FENCE_LINE.match(text, line) or _FENCE_LINE.match(text, end))

    places = [start + place for place in _places(window, fence)]
    # What cannot all be had is given up in this order.
    for wanted in ((words, clusters, fence_lines), (words, clusters), (words,), (clusters,)):
        for end in places:
            if all(holds(end) for holds in wanted) and fits(end):
                return end
    return next(end for end in places if fits(end))


def _places(window: str, fence: _Fence | None) -> Iterator[int]:
    """Every place to break `window`, best first. A break near its start would leave too short a part."""
    states = dict(_states(window, fence))
    lines = list(states)[1:]
    paragraphs = [match.end() for match in _PARAGRAPH.finditer(window)]
    words = [match.end() for match in _WORD.finditer(window)]
    levels = (
        [place for place in paragraphs if states[place] is None],
        [place for place in lines if states[place] is None],
        paragraphs,
        lines,
        [match.end() for match in _SENTENCE.finditer(window)],
        words,
    )
    for level in levels:
        yield from (place for place in reversed(level) if place >= len(window) / 3)
    yield from (place for place in reversed(words) if place >= len(window) / 8)
    yield from range(len(window), 0, -1)


def _between_clusters(text: str, place: int) -> bool:
    """Whether no character that shows as one (an accent, an emoji made of several, a flag) is torn at `place`."""
    if place >= len(text):
        return True
    before, after = text[place - 1], text[place]
    if f"{before}{after}" == "\r\n" or _JOINER in (before, after):
        return False
    if "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff":
        return False
    if unicodedata.category(after).startswith("M") or _in(after, 0x1F3FB, 0x1F3FF) or _in(after, 0xE0020, 0xE007F):
        return False
    letters = place
    while letters and _in(text[letters - 1], 0x1F1E6, 0x1F1FF):
        letters -= 1
    return not (_in(after, 0x1F1E6, 0x1F1FF) and (place - letters) % 2)


def _in(character: str, first: int, last: int) -> bool:
    return first <= ord(character) <= last


@dataclass(frozen=True, slots=True)
class Limits:
    """What a platform takes: `characters` in a message, and how many `messages` an answer may fill."""

    characters: int
    messages: int

    def __post_init__(self) -> None:
        if self.characters < SMALLEST_LIMIT or self.messages < 1:
            raise ValueError(f"A platform takes at least one message of {SMALLEST_LIMIT} characters; this is {self}.")


@dataclass(frozen=True, slots=True)
class Parts:
    """The messages that show a reply, in order; `file` holds the answer where it is too long for them."""

    parts: tuple[str, ...]
    file: Attachment | None = None


def deliverable(reply: Reply, limits: Limits, *, subtext: str = "{}", locale: str = "en") -> Parts:
    """`compose` in parts; where these are too many, the text becomes a file and a sentence in its place says so."""
    parts = split(compose(reply, subtext=subtext), limits.characters)
    if len(parts) <= limits.messages:
        return Parts(tuple(parts))
    file = Attachment(OVERFLOW_FILE, reply.text.encode("utf-8", "replace"), "text/markdown")
    note = replace(reply, text=translate(OVERFLOW, locale, file=OVERFLOW_FILE))
    return Parts(tuple(split(compose(note, subtext=subtext), limits.characters)), file)


def compose(reply: Reply, *, subtext: str = "{}") -> str:
    """The Markdown that shows `reply` where there is only text: quote, text, status and card, blank lines between.

    `subtext` is the platform's template for small print, "-# {}" or "_{}_".
    """
    text = reply.text
    small = [line for line in (reply.status, card_line(reply.card)) if line]
    if small and (fence := _state_after(text, None)):
        text += fence.run if text.endswith("\n") else f"\n{fence.run}"
    return "\n\n".join(block for block in (quote_line(reply.quote), text, *map(subtext.format, small)) if block)


def card_line(card: Mapping[str, str]) -> str:
    """The card as one line: "model qwen · temperature 0.7"; empty for an empty card."""
    return " · ".join(" ".join(f"{name} {value}".split()) for name, value in card.items())


def quote_line(prompt: str, limit: int = 200) -> str:
    """`prompt` as one quoted line of at most `limit` characters, cut with … after a word; empty for a blank one.

    What is in it stays in it: backticks are replaced, mentions and angle brackets broken by a space of no width.
    """
    line = " ".join(prompt.split()).replace("`", "ˋ")
    line = re.sub("[@<]", rf"\g<0>{_ZERO_WIDTH_SPACE}", line)
    if not line:
        return ""
    mark = f"> {_ZERO_WIDTH_SPACE}" if _BLOCK_MARK.match(line) else "> "
    room = limit - len(mark)
    if len(line) <= room:
        return mark + line
    end = room - 1
    while end > 1 and not _between_clusters(line, end):
        end -= 1
    space = line.rfind(" ", 0, end + 1)
    return f"{mark}{line[: space if space > end / 2 else end]}…"


def grows(previous: Reply | None, current: Reply) -> bool:
    """Whether appending to `previous` gives `current`'s text; else the whole message has to be edited."""
    return previous is None or current.text.startswith(previous.text)


class Budget:
    """One allowance of requests that many streams share: `per_minute` (at least 2) in any sixty seconds.

    A quarter is kept for final snapshots. The others spend the first half of theirs freely and the rest evenly
    over what is left of the minute, so that no stream stands still for long. `clock` gives seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        if per_minute < 2:
            raise ValueError(f"A budget has at least 2 requests a minute; this one has {per_minute}.")
        self._most = per_minute
        self._unreserved = per_minute - math.ceil(per_minute / 4)
        self._clock = clock
        self._spent: deque[float] = deque()
        self._blocked_until = -math.inf

    def delay(self, *, final: bool) -> float:
        """Seconds until a snapshot may be sent; 0 for at once."""
        now = self._clock()
        while self._spent and self._spent[0] <= now - MINUTE:
            self._spent.popleft()
        return max(0.0, self._blocked_until - now, self._next(final) - now)

    def spend(self) -> None:
        """Count one request."""
        self._spent.append(self._clock())

    def block_for(self, seconds: float) -> None:
        """Let nothing pass for `seconds`, final or not, as a Retry-After asks."""
        self._blocked_until = max(self._blocked_until, self._clock() + seconds)

    def _next(self, final: bool) -> float:
        allowed = self._most if final else self._unreserved
        spent = len(self._spent)
        if spent >= allowed:
            return self._spent[spent - allowed] + MINUTE
        if final or 2 * spent < allowed:
            return -math.inf
        latest = self._spent[-1]
        return latest + (self._spent[0] + MINUTE - latest) / (allowed - spent + 1)


class Pacer:
    """When the next snapshot of one message may go out: one every `interval` seconds, within the shared `budget`.

    The final one does not wait for the interval. Times are the running loop's.
    """

    def __init__(self, interval: float, budget: Budget | None = None) -> None:
        self._interval = interval
        self._budget = budget
        self._next = -math.inf
        self._held_until = -math.inf

    def delay(self, *, final: bool) -> float:
        """Seconds until a snapshot may be sent; 0 for at once."""
        due = self._held_until if final else max(self._held_until, self._next)
        budget = self._budget.delay(final=final) if self._budget else 0.0
        return max(0.0, due - _now(), budget)

    def sent(self) -> None:
        """Count one snapshot."""
        self._next = _now() + self._interval
        if self._budget:
            self._budget.spend()

    def slow_down(self, seconds: float) -> None:
        """Let nothing of this message pass for `seconds`, as the platform's rate-limit headers ask."""
        self._held_until = max(self._held_until, _now() + seconds)


def _now() -> float:
    return asyncio.get_running_loop().time()


class _Newest:
    """The newest snapshot of a source that is read as fast as it gives, and closed where it is read."""

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self.ended = False
        self.changed = asyncio.Event()

    async def read(self, replies: AsyncGenerator[Reply, None]) -> None:
        try:
            async with aclosing(replies):
                async for self.reply in replies:
                    self.changed.set()
                    # A source that never waits itself would not let anybody else run.
                    await asyncio.sleep(0)
        finally:
            self.ended = True
            self.changed.set()


async def paced(replies: AsyncGenerator[Reply, None], pacer: Pacer) -> AsyncGenerator[Reply, None]:
    """The newest of `replies` whenever `pacer` lets one pass; those that came in between are left out.

    The source never waits for the consumer, its last snapshot is always given, no snapshot twice in a row, and
    what the source raises is raised after it. Closing this (use `aclosing`) stops and closes the source.
    """
    newest = _Newest()
    reader = asyncio.create_task(newest.read(replies))
    shown: Reply | None = None
    try:
        while True:
            current, final = newest.reply, newest.ended or (newest.reply is not None and newest.reply.final)
            if current is None or current == shown:
                if newest.ended:
                    break
                delay = None
            elif not (delay := pacer.delay(final=final)):
                pacer.sent()
                shown = current
                yield current
                continue
            newest.changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await newest.changed.wait()
        await reader
    finally:
        await _stop(reader)


async def _stop(reader: asyncio.Task[None]) -> None:
    """End the task and raise what its end raised, if anything but the cancellation."""
    reader.cancel()
    await asyncio.wait({reader})
    if not reader.cancelled():
        reader.result()
