"""A page of the web chat without a browser: sends and receives messages over a real WebSocket."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping


PATIENCE_SECONDS = 60
"""How long a test waits before it fails. No test depends on this time."""
WITHOUT_REF = frozenset({"dismiss", "name", "enter", "typing", "ping", "sign_out"})
"""Types of messages that need no reference."""
REFS = itertools.count(1)
"""The numbers of references: never the same twice, not even after a restart, as in a browser."""


class Page:
    """One open WebSocket. `exchanges` holds the newest state of each exchange, `received` everything in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.received: list[dict[str, Any]] = []
        self.exchanges: dict[int, dict[str, Any]] = {}

    async def read(self) -> dict[str, Any]:
        """Return the next message."""
        # The socket's own timeout would start again with each heartbeat.
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
        """Read up to a message of this type for which `holds` is true, and return it."""
        while True:
            message = await self.read()
            if message["type"] == kind and holds(message):
                return message

    async def final(self) -> dict[str, Any]:
        """Read up to a final exchange, and return it."""
        return await self.until("exchange", lambda message: message["reply"]["final"])

    async def send(self, kind: str, **values: Any) -> str:
        """Send a message, with a new reference unless one is given, and return the reference."""
        given = values.pop("ref", None)
        ref = given or f"r{next(REFS)}"
        fields = values if kind in WITHOUT_REF and not given else {**values, "ref": ref}
        await self.socket.send_json({"type": kind, **fields})
        return ref

    async def press(self, exchange: dict[str, Any], label: str) -> str:
        """Press the button with this label under an exchange, and return the reference."""
        button = next(button for button in exchange["reply"]["buttons"] if button["label"] == label)
        return await self.send("press", exchange=exchange["id"], id=button["id"])

    async def say(self, text: str, ref: str | None = None, **about: Any) -> str:
        """Send a typed line, and return the reference."""
        return await self.send("say", text=text, ref=ref, **about)

    async def ask(self, text: str, **about: Any) -> dict[str, Any]:
        """Send a typed line, and return the next final exchange."""
        await self.say(text, **about)
        return await self.final()

    async def refused(self, kind: str, **values: Any) -> str:
        """Send a message, and return the sentence with which it is refused."""
        ref = await self.send(kind, **values)
        while (told := await self.read()).get("ref") != ref:
            pass
        return str(told.get("text"))

    async def make_room(self, name: str) -> str:
        """Open a room, as a moderator, and return its name."""
        ref = await self.send("make_room", name=name)
        return str((await self.until("taken", lambda one: one["ref"] == ref))["room"])


@dataclass(frozen=True)
class Answer:
    """What the chat answers to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def data(self) -> Any:
        """What the body says as JSON."""
        return json.loads(self.body)


class Visitor:
    """A visitor: a session with cookies, as a browser has it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    @asynccontextmanager
    async def page(
        self, name: str = "", room: str = "general", locale: str = "en", **options: Any
    ) -> AsyncIterator[Page]:
        """Open a page and read its welcome message. Without a `room` it opens where the chat decides."""
        address = f"{self.url}/socket?name={name}&locale={locale}&room={room}"
        async with self.session.ws_connect(address, origin=self.url, max_msg_size=0, **options) as socket:
            page = Page(socket)
            await page.until("welcome")
            yield page

    async def get(self, path: str, **about: Any) -> Answer:
        """Ask for an address below that of the chat."""
        async with self.session.get(f"{self.url}{path}", **about) as response:
            return Answer(response.status, response.headers, await response.read())

    async def post(self, path: str, **about: Any) -> Answer:
        """Send something to an address below that of the chat, as a page of its own does."""
        headers = {"Origin": self.url} | about.pop("headers", {})
        async with self.session.post(f"{self.url}{path}", headers=headers, **about) as response:
            return Answer(response.status, response.headers, await response.read())

    async def upload(self, data: bytes, name: str = "notes.txt") -> str:
        """Upload a file, and return the name that the chat gives it."""
        answer = await self.post(f"/files?name={name}", data=data, headers={"Content-Type": "text/plain"})
        return str(answer.data["name"])

    async def sign_in(self, code: str, name: str = "") -> int:
        """Send a teacher's code and return the status of the response."""
        about = {"data": {"code": code, "name": name}, "headers": {"Origin": self.url}, "allow_redirects": False}
        async with self.session.post(f"{self.url}/teacher", **about) as response:
            return response.status

    async def act(self, **what: Any) -> tuple[int, Any]:
        """Do something to people, as their page does for Kim, and return the status and what was answered."""
        about = {"json": what, "headers": {"Origin": self.url}}
        async with self.session.post(f"{self.url}/people/data?name=Kim&locale=en", **about) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else await response.text()

    async def knock(self, name: str) -> tuple[int, Any]:
        """Knock at the door, and return the status and what was answered."""
        about = {"json": {"name": name}, "headers": {"Origin": self.url}}
        async with self.session.post(f"{self.url}/knock", **about) as response:
            return response.status, await response.json()

    async def state_at_door(self) -> str:
        """Return what the page at the door is told."""
        async with self.session.get(f"{self.url}/knock/state") as response:
            return str((await response.json())["state"])


@asynccontextmanager
async def visitor(url: str, address: str = "") -> AsyncIterator[Visitor]:
    """Yield a new visitor, without cookies; with an `address`, as a proxy passes one on."""
    headers = {"X-Forwarded-For": address} if address else {}
    # By default aiohttp keeps no cookies for IP addresses, and the chat's address is one.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers=headers) as session:
        yield Visitor(session, url)
