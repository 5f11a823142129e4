"""People on the three platforms who ask again and again, and see what becomes of what they asked."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from fakes.platforms.web_page import Page, visitor
from fakes.slack import NotAcknowledgedError
from quality.chaos.ledger import MARK, Asked, Seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from fakes.discord import FakeDiscord, FakeInteraction, FakeMessage, FakeUser
    from fakes.discord.state import FakeChannel
    from fakes.slack import FakeMessage as SlackMessage
    from fakes.slack import FakeSlack
    from quality.chaos.ledger import Ledger

ROW = re.compile(r"\bt:\w+:(\d+)\b")
"""A row in the id of a button."""
REQUESTS = {
    "ask": "tell me all about foxes in the snow " + "and what they do there " * 12,
    "imagine": "a fox in the snow",
    "explain": "what is a GAN?",
}
"""What people ask for: texts, pictures and explanations."""
PATIENCE_SECONDS = 30.0
"""How long somebody waits before they ask for something else. What they see later still counts."""
RECONNECT_SECONDS = 0.5


class Person(Protocol):
    """Somebody on one platform."""

    platform: str

    async def ask(self, asked: Asked) -> None:
        """Send a request, and note whether it was acknowledged."""


async def keep_asking(person: Person, ledger: Ledger, over: asyncio.Event, random: Random, pause: float) -> None:
    """Let somebody ask one thing after the other until it is over; `pause` is about how long they think between."""
    await asyncio.sleep(random.uniform(0, pause))
    while not over.is_set():
        kind = random.choice(list(REQUESTS))
        asked = ledger.open(person.platform, kind, REQUESTS[kind])
        await person.ask(asked)
        if asked.acknowledged:
            await wait_for(lambda: bool(asked.ended), time.monotonic() + PATIENCE_SECONDS)  # noqa: B023
        await asyncio.sleep(random.uniform(0.5, 1.5) * pause)


async def note_ends(ledger: Ledger) -> None:
    """Note when the final messages of requests are there, for as long as this runs."""
    while True:
        recent = time.monotonic() - PATIENCE_SECONDS
        for asked in ledger.requests:
            if asked.ended and asked.ended < recent:
                continue
            if (finals := asked.look().finals) > asked.finals:
                asked.finals, asked.ended = finals, time.monotonic()
        await asyncio.sleep(0.2)


async def wait_for(holds: Callable[[], bool], until: float) -> None:
    """Wait until `holds` is true or a time has come."""
    while True:
        if holds() or time.monotonic() > until:
            return
        await asyncio.sleep(0.1)


class WebPerson:
    """Somebody with a page of the web chat, which connects again and sends again as the real one does."""

    platform = "web"

    def __init__(self, url: str, name: str, *, alone: bool) -> None:
        """Somebody who is `alone` is in their private place, others are in the room that everybody sees."""
        self._url, self._name, self._alone = url, name, alone
        self._room = "general"
        self._page: Page | None = None
        self._untaken: dict[str, str] = {}
        self._asked: dict[str, Asked] = {}
        """The requests by the references under which they were sent."""
        self._final: dict[int, set[tuple[int, str]]] = {}
        """The final exchanges by mark: the row of each, or its words where there is none."""
        self._shown: dict[int, dict[str, Any]] = {}
        """The newest exchange by its id, in the process that the page is connected to."""
        self._rows: dict[int, set[int]] = {}

    async def live(self) -> None:
        """Stay connected for as long as this runs."""
        async with visitor(self._url) as browser:
            while True:
                # Reading JSON from a socket that closes raises TypeError.
                with suppress(aiohttp.ClientError, OSError, TimeoutError, TypeError, ValueError):
                    async with browser.page(self._name, room=self._room) as page:
                        own = page.received[-1]["private"]
                        if self._alone and self._room != own:
                            self._room = own
                            continue
                        await self._read(page)
                self._page = None
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _read(self, page: Page) -> None:
        self._shown = {}
        for exchange in page.exchanges.values():
            self._note(exchange)
        self._page = page
        for ref, text in self._untaken.items():
            await page.say(text, ref=ref)
        while True:
            message = await page.read()
            if message["type"] == "exchange":
                self._note(message)
            elif message["type"] == "gone":
                self._shown.pop(message["id"], None)
            elif message["type"] in ("taken", "refused") and message["ref"] in self._untaken:
                del self._untaken[message["ref"]]
                self._asked[message["ref"]].acknowledged = time.monotonic() * (message["type"] == "taken")

    def _note(self, exchange: dict[str, Any]) -> None:
        found = MARK.search(exchange["question"])
        if not exchange["mine"] or found is None:
            return
        mark, reply = int(found[1]), exchange["reply"]
        self._shown[exchange["id"]] = exchange
        row = exchange.get("row") or 0
        if row:
            self._rows.setdefault(mark, set()).add(row)
        if reply["final"]:
            self._final.setdefault(mark, set()).add((row, "" if row else reply["text"]))

    async def cut(self) -> None:
        """Break the connection of the page."""
        response = self._page.socket._response if self._page is not None else None
        if response is not None and response.connection is not None and response.connection.transport is not None:
            response.connection.transport.abort()

    async def ask(self, asked: Asked) -> None:
        line = f"/{asked.kind} {'count:1 ' if asked.kind == 'imagine' else ''}{asked.words}"
        ref, asked.look = f"ref-{asked.number}", lambda: self._look(asked.number)
        self._untaken[ref], self._asked[ref] = line, asked
        if self._page is not None:
            with suppress(aiohttp.ClientError, OSError):
                await self._page.say(line, ref=ref)
        await wait_for(lambda: ref not in self._untaken, time.monotonic() + PATIENCE_SECONDS)

    def _look(self, mark: int) -> Seen:
        finals = self._final.get(mark, set())
        # An error that nobody stored is forgotten by a new process, and may be followed by the answer.
        stored = {row for row, _ in finals if row}
        is_shown = any(f"q{mark}x" in exchange["question"] for exchange in self._shown.values())
        return Seen(len(stored) or len(finals), bool(finals) or is_shown, self._rows.get(mark, set()))


@dataclass
class DiscordPerson:
    """Somebody who uses slash commands in a channel."""

    discord: FakeDiscord
    user: FakeUser
    channel: FakeChannel
    platform: str = field(default="Discord", init=False)

    async def ask(self, asked: Asked) -> None:
        option = "question" if asked.kind == "explain" else "prompt"
        options: dict[str, Any] = {option: asked.words} | ({"count": 1} if asked.kind == "imagine" else {})
        used = await self.discord.slash(self.user, self.channel, asked.kind, **options)
        asked.look = lambda: self._look(used)
        with suppress(AssertionError):
            await used.acknowledged()
            asked.acknowledged = time.monotonic()

    def _look(self, used: FakeInteraction) -> Seen:
        own = [one for one in (used.original, *used.followups) if one is not None]
        shown = [one for one in own if not one.deleted]
        finals = [one for one in shown if _has_ended(one)]
        rows = {int(row) for one in shown for row in ROW.findall(json.dumps(one.components))}
        # A long answer has several messages, of which the last one has the buttons.
        return Seen(min(1, len(finals)) if len(rows) <= 1 else len(rows), bool(shown), rows)


def _has_ended(message: FakeMessage) -> bool:
    ids = [button["custom_id"] for button in message.buttons.values() if "custom_id" in button]
    return not (message.loading or message.content == "…" or any(one.startswith("t:stop") for one in ids))


@dataclass
class SlackPerson:
    """Somebody who uses slash commands and mentions the bot in a channel."""

    slack: FakeSlack
    user: str
    channel: str
    mentions: Callable[[], bool]
    """Whether the next thing is asked by mentioning the bot."""
    platform: str = field(default="Slack", init=False)

    async def ask(self, asked: Asked) -> None:
        since = len(self.slack.workspace.messages)
        text = f"count:1 {asked.words}" if asked.kind == "imagine" else asked.words
        if self.mentions():
            said = await self.slack.say(self.user, self.channel, f"/{asked.kind} {text}", mention=True)
            asked.look = lambda: self._look(since, said)
            delivery = said.events[-1]
        else:
            asked.look = lambda: self._look(since, None, asked.number)
            delivery = await self.slack.command(self.user, self.channel, f"/{asked.kind}", text)
        with suppress(NotAcknowledgedError):
            await delivery.acknowledged()
            asked.acknowledged = time.monotonic()

    def _look(self, since: int, question: SlackMessage | None, mark: int = 0) -> Seen:
        later = [one for one in self.slack.workspace.messages[since:] if one.user == self.slack.bot_user]
        told = [one for one in later if one.ephemeral_to == self.user and "Stop" not in one.buttons]
        question = question or self._find_question(later, mark)
        below = [] if question is None else self.slack.thread(self.channel, question.ts)
        below = [one for one in below if one.user == self.slack.bot_user]
        finals = [one for one in below if one.buttons and "Stop" not in one.buttons and not one.streaming]
        rows = {int(row) for one in below for row in ROW.findall(json.dumps(one.blocks))}
        is_shown = bool(below or told or (mark and question is not None))
        return Seen(len(finals) or min(1, len(told)), is_shown, rows)

    def _find_question(self, later: list[SlackMessage], mark: int) -> SlackMessage | None:
        """Return the message in which the bot repeats what was asked; its words may be withheld at first."""
        asked = [one for one in later if one.channel == self.channel and not one.thread_ts and not one.deleted]
        mine = [one for one in asked if self.user in one.shown or self.user in one.text]
        marked = [one for one in mine if f"q{mark}x" in one.shown]
        unmarked = [one for one in mine if not MARK.search(one.shown)]
        return next(iter(marked or unmarked), None)
