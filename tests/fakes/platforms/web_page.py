"""A page of the web chat without a browser: what it sends and is sent, over a real socket."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


PATIENCE_SECONDS = 60
"""When a test that waits gives up; none of them is about time."""
UNMARKED = frozenset({"name", "enter", "typing", "ping", "sign_out"})
"""What is sent without a mark, since nothing answers it."""


class Page:
    """One open WebSocket. `exchanges` holds the newest state of each exchange, `received` everything in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.received: list[dict[str, Any]] = []
        self.exchanges: dict[int, dict[str, Any]] = {}
        self._refs = itertools.count(1)

    async def read(self) -> dict[str, Any]:
        """The next message."""
        # The socket's own time begins anew with each heartbeat.
        async with asyncio.timeout(PATIENCE_SECONDS):
            message: dict[str, Any] = await self.socket.receive_json()
        self.received.append(message)
        if message["type"] == "exchange":
            self.exchanges[message["id"]] = message
        elif message["type"] == "gone":
            self.exchanges.pop(message["id"], None)
        elif message["type"] == "welcome":
            self.exchanges = {exchange["id"]: exchange for exchange in message["exchanges"]}
        return message

    async def until(self, kind: str, holds: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """Read until a message of this type for which `holds`."""
        while True:
            message = await self.read()
            if message["type"] == kind and holds(message):
                return message

    async def final(self) -> dict[str, Any]:
        """Read until an exchange is final."""
        return await self.until("exchange", lambda message: message["reply"]["final"])

    async def send(self, kind: str, **values: Any) -> str:
        """Send a message with a mark of its own, and give back the mark."""
        ref = values.pop("ref", None) or f"r{next(self._refs)}"
        marked = values if kind in UNMARKED else {**values, "ref": ref}
        await self.socket.send_json({"type": kind, **marked})
        return ref

    async def press(self, exchange: dict[str, Any], label: str) -> str:
        """Press the button with this label under an exchange."""
        button = next(button for button in exchange["reply"]["buttons"] if button["label"] == label)
        return await self.send("press", exchange=exchange["id"], id=button["id"])

    async def say(self, text: str, ref: str | None = None, **about: Any) -> str:
        """Send a line."""
        return await self.send("say", text=text, ref=ref, **about)


class Visitor:
    """A browser with its cookies, and nothing else of one."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    @asynccontextmanager
    async def page(self, name: str = "", room: str = "", locale: str = "en", **options: Any) -> AsyncIterator[Page]:
        """Open a page and read its welcome."""
        address = f"{self.url}/socket?name={name}&locale={locale}&room={room}"
        async with self.session.ws_connect(address, origin=self.url, max_msg_size=0, **options) as socket:
            page = Page(socket)
            await page.until("welcome")
            yield page

    async def sign_in(self, code: str) -> int:
        """Give a teacher's code; the status that the chat answers with."""
        about = {"data": {"code": code}, "headers": {"Origin": self.url}, "allow_redirects": False}
        async with self.session.post(f"{self.url}/teacher", **about) as response:
            return response.status


@asynccontextmanager
async def visitor(url: str) -> AsyncIterator[Visitor]:
    """A visitor who was never here before."""
    # Cookies of addresses are off by default, since they have no domain; the chat's own address is one.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Visitor(session, url)
