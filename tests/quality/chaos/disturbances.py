"""What is done to the programs while people ask: each returns once everything is as before."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import psutil
from fakes.platforms.raw_client import frame, raw_client, request, upgrade
from quality.chaos.ledger import KILL_OF_BOT
from quality.chaos.machines import KEY, START_SECONDS

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Awaitable, Callable

    from fakes.discord import FakeDiscord
    from fakes.slack import FakeSlack
    from quality.chaos.ledger import Ledger
    from quality.chaos.machines import Disk, Postgres, Program
    from quality.chaos.people import WebPerson

FLOOD = 320
"""More requests than wait in the queue of a model."""
RAW_SECONDS = 2.0
WORKER_SECONDS = 15.0
"""How long a worker whose model server was killed may take to end, on a machine that is busy with all this."""
NONSENSE = (b"\xff\xfe", b"{", b"[]", b'{"type": "say"}', b'{"type": "say", "text": 7, "ref": []}', b"x" * 100_000)


class Relay:
    """Passes on connections to a server, and can cut all of them."""

    def __init__(self, target: str) -> None:
        self._address = urlsplit(target)
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the context lasts."""
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            await self.cut()

    async def cut(self) -> None:
        """Cut all connections."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, to = await asyncio.open_connection(self._address.hostname, self._address.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, to}
        try:
            # At the end of the run these are cancelled.
            await asyncio.gather(_copy(reader, to), _copy(there, writer), return_exceptions=True)
        finally:
            self._writers -= {writer, to}
            for one in (writer, to):
                one.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


@dataclass
class World:
    """Everything that can be disturbed."""

    ledger: Ledger
    random: random.Random
    bot: Program
    models: Program
    postgres: Postgres
    disk: Disk
    discord: FakeDiscord
    slack: FakeSlack
    relays: list[Relay]
    web_url: str
    models_url: str
    hold: float = 4.0
    """How many seconds the queue or the disk stays full, or PostgreSQL stopped."""
    visitors: list[WebPerson] = field(default_factory=list)

    async def disturb(self, name: str) -> None:
        """Do one of `DISTURBANCES`, and note when."""
        noted = self.ledger.begin(name)
        await DISTURBANCES[name](self)
        noted.ended = time.monotonic()


async def kill_worker(world: World) -> None:
    """Kill the worker process of one model, each in turn."""
    workers = world.models.workers()
    killed = sum(one.name == "kill -9 of a worker" for one in world.ledger.disturbances)
    if workers:
        name = sorted(workers)[killed % len(workers)]
        with suppress(psutil.NoSuchProcess):
            workers[name].kill()
    await asyncio.sleep(0.5)
    await world.models.ready()


async def kill_models(world: World) -> None:
    """Kill the model server, whose workers end with it."""
    workers = world.models.workers()
    await world.models.kill()
    _, left = await asyncio.to_thread(psutil.wait_procs, list(workers.values()), timeout=WORKER_SECONDS)
    names = [name for name, worker in workers.items() if worker in left]
    world.ledger.complaints += [f"The worker of {name} outlived its model server." for name in names]


async def kill_bot(world: World) -> None:
    """Kill the bot, and wait until it is on all platforms again."""
    # Sockets of a killed process are closed at once, but may not have been noticed.
    sockets = set(world.slack.courier.sockets)
    sessions = set(world.discord.gateway.sessions)
    await world.bot.kill()

    def is_back() -> bool:
        new = [one for key, one in world.discord.gateway.sessions.items() if key not in sessions]
        return bool(set(world.slack.courier.sockets) - sockets) and any(one.connection for one in new)

    async with asyncio.timeout(START_SECONDS):
        while True:
            if is_back():
                return
            await asyncio.sleep(0.1)


async def cut_sockets(world: World) -> None:
    """Cut every connection: of pages, of both platforms, to the models and to the database."""
    world.slack.drop_socket()
    for connection in world.discord.gateway.connections:
        if (transport := connection.socket._req.transport) is not None:
            transport.abort()
    for relay in world.relays:
        await relay.cut()
    for person in world.visitors:
        await person.cut()
    others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
    await world.postgres.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    await asyncio.sleep(world.hold)


async def fill_queue(world: World) -> None:
    """Let other clients of the model server fill the queue of the language model."""
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {KEY}"}, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        async with session.get(f"{world.models_url}/v1/models") as response:
            models = (await response.json())["data"]
        name = next(one["id"] for one in models if one["tempera"]["task"] == "chat")

        async def hold(number: int) -> None:
            body = {"model": name, "messages": [{"role": "user", "content": "forever"}], "user": f"flood-{number}"}
            with suppress(aiohttp.ClientError):
                async with session.post(
                    f"{world.models_url}/v1/chat/completions", json=body | {"stream": True, "max_tokens": 4096}
                ) as response:
                    await response.read()

        held = [asyncio.create_task(hold(number)) for number in range(FLOOD)]
        await asyncio.sleep(world.hold)
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def send_nonsense(world: World) -> None:
    """Send malformed frames and requests to the web chat and the model server, and events that lack fields."""
    frames = [
        *(frame(text) for text in NONSENSE),
        frame(b"\x00" * 200, opcode=2),
        # An unknown kind of frame, one without a mask, one that is longer than any memory, a part of one.
        frame(b"x", opcode=3),
        b"\x81\x02hi",
        b"\x81\xff" + b"\x7f" * 8 + bytes(4),
        b"\x81\xfe\x10",
        os.urandom(512),
    ]
    await asyncio.gather(*(_send_raw(world.web_url, upgrade(world.web_url), data) for data in frames))
    for url, path in ((world.web_url, "/socket"), (world.models_url, "/v1/chat/completions")):
        wrong = [
            os.urandom(256),
            b"GET / HTTP/9.9\r\n\r\n",
            request(url, "POST", path, b"{", Authorization=f"Bearer {KEY}", Content_Type="application/json"),
            request(url, "POST", path, b"[1]", Authorization=f"Bearer {KEY}", Content_Length="99999999"),
        ]
        await asyncio.gather(*(_send_raw(url, data) for data in wrong))
    for session in world.discord.gateway.sessions.values():
        for event in ("MESSAGE_CREATE", "INTERACTION_CREATE"):
            session.send(event, {"id": "1", "nonsense": True})
    for socket in tuple(world.slack.courier.sockets):
        with suppress(ConnectionError):
            await socket.response.send_json({"type": "events_api", "envelope_id": "nonsense", "payload": {}})
            await socket.response.send_json({"type": "slash_commands", "envelope_id": "more", "payload": {"a": 1}})


async def _send_raw(url: str, *data: bytes) -> None:
    with suppress(OSError, TimeoutError, AssertionError):
        async with raw_client(url) as client, asyncio.timeout(RAW_SECONDS):
            for one in data:
                await client.send(one)
                if one.startswith(b"GET"):
                    await client.read_until(b"\r\n\r\n")
            await client.read_to_end()


async def fill_disk(world: World) -> None:
    """Let the disk be full for a while; a database that ended because of that is started again, as by a supervisor."""
    if not world.disk.is_small:
        # The disk of others is not filled.
        return
    empty = await asyncio.to_thread(world.disk.fill)
    try:
        await asyncio.sleep(world.hold)
    finally:
        empty()
    await world.postgres.start()


async def stop_postgres(world: World) -> None:
    """Stop PostgreSQL for a while."""
    await world.postgres.stop()
    await asyncio.sleep(world.hold)
    await world.postgres.start()


DISTURBANCES: dict[str, Callable[[World], Awaitable[Any]]] = {
    "kill -9 of a worker": kill_worker,
    "kill -9 of the model server": kill_models,
    KILL_OF_BOT: kill_bot,
    "every socket cut": cut_sockets,
    "queue of the model full": fill_queue,
    "malformed frames": send_nonsense,
    "disk full": fill_disk,
    "PostgreSQL stopped and started": stop_postgres,
}
