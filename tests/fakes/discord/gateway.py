"""The gateway: sockets, and sessions that outlive them."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from fakes.discord.state import snowflake

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.discord.state import FakeGuild
    from fakes.discord.world import World

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, RESUME, RECONNECT, MEMBERS, INVALID, HELLO, ACK = (
    0,
    1,
    2,
    3,
    6,
    7,
    8,
    9,
    10,
    11,
)
GUILD_MEMBERS, PRESENCES, MESSAGE_CONTENT = 1 << 1, 1 << 8, 1 << 15


def compressor(kind: str) -> Callable[[bytes], bytes] | None:
    """Return the compressor of a connection's stream of messages; discord.py asks for zstd where Python has it."""
    if kind == "zlib-stream":
        zlib_stream = zlib.compressobj()
        return lambda data: zlib_stream.compress(data) + zlib_stream.flush(zlib.Z_SYNC_FLUSH)
    if kind == "zstd-stream":
        try:
            from compression import zstd
        except ImportError:
            import zstandard

            stream = zstandard.ZstdCompressor().compressobj()
            return lambda data: stream.compress(data) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        zstd_stream = zstd.ZstdCompressor()
        return lambda data: zstd_stream.compress(data, zstd_stream.FLUSH_BLOCK)
    return None


class Connection:
    """One socket. Messages from its queue are sent in order, compressed if the client asked for it."""

    def __init__(self, socket: web.WebSocketResponse, compression: str) -> None:
        self.socket = socket
        self.session: Session | None = None
        self._compressed = compressor(compression)
        self._outgoing: asyncio.Queue[dict[str, Any] | int] = asyncio.Queue()

    def send(self, op: int, data: Any = None, *, event: str | None = None, number: int | None = None) -> None:
        """Send one payload."""
        self._outgoing.put_nowait({"op": op, "d": data, "s": number, "t": event})

    def close(self, code: int) -> None:
        """Close the socket once the queue is empty."""
        if self.session is not None and self.session.connection is self:
            self.session.connection = None
        self._outgoing.put_nowait(code)

    async def write(self) -> None:
        """Send the messages of the queue until the socket is closed."""
        while True:
            payload = await self._outgoing.get()
            if isinstance(payload, int):
                await self.socket.close(code=payload)
                return
            text = json.dumps(payload)
            try:
                if self._compressed is None:
                    await self.socket.send_str(text)
                else:
                    await self.socket.send_bytes(self._compressed(text.encode()))
            except ConnectionError:
                return


@dataclass(eq=False)
class Session:
    """A session of the bot. It keeps its events, so that a new socket can resume after those that were sent."""

    shard: int
    intents: int
    connection: Connection | None
    id: str = field(default_factory=snowflake)
    number: int = 0
    events: deque[tuple[int, str, Any]] = field(default_factory=lambda: deque(maxlen=5000))

    def send(self, event: str, data: Any) -> None:
        """Send an event, now or when the session is resumed."""
        self.number += 1
        self.events.append((self.number, event, data))
        if self.connection is not None:
            self.connection.send(DISPATCH, data, event=event, number=self.number)


class Gateway:
    """Who is connected. `log` tells what clients did: ("identify", shard), ("resume", shard), ("heartbeat", shard)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shards = 1
        self.tells_guilds = True
        """Whether sessions begin with GUILD_CREATE, which comes late where a bot is in thousands of servers."""
        self.heartbeat_seconds = 41.25
        self.session_starts_left = 1000
        self.max_concurrency = 1
        self.starts: list[tuple[int, float]] = []
        """The shard and the time of each IDENTIFY, by which `max_concurrency` can be checked."""
        self.sessions: dict[str, Session] = {}
        self.log: list[tuple[str, int]] = []
        self.identified: list[dict[str, Any]] = []
        """The data of each IDENTIFY, without the token."""
        self.connections: set[Connection] = set()

    @property
    def connected(self) -> bool:
        """True once every shard is connected and has its guilds."""
        there = {session.shard for session in self.sessions.values() if session.connection is not None}
        return there == set(range(self.shards))

    def shard(self, guild: FakeGuild) -> int:
        """Return the shard that receives the events of a guild."""
        return (int(guild.id) >> 22) % self.shards

    def dispatch(
        self,
        event: str,
        data: Any,
        hidden: Any = None,
        *,
        guild: FakeGuild | None = None,
        intents: int = 0,
    ) -> None:
        """Send an event to the sessions with its shard and intents; `hidden` to those that may not read content."""
        shard = self.shard(guild) if guild else 0
        for session in self.sessions.values():
            if session.shard == shard and (not intents or session.intents & intents):
                read = hidden is None or session.intents & MESSAGE_CONTENT
                session.send(event, data if read else hidden)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one socket."""
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        compress = request.query.get("compress", "")
        connection = Connection(socket, compress)
        self.connections.add(connection)
        writer = asyncio.create_task(connection.write())
        try:
            if request.query.get("v") != "10" or request.query.get("encoding") != "json":
                connection.close(4012)
            else:
                connection.send(HELLO, {"heartbeat_interval": int(self.heartbeat_seconds * 1000), "_trace": []})
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._received(connection, json.loads(message.data))
            await self._ended(connection)
        finally:
            self.connections.discard(connection)
            writer.cancel()
            self.world.changed()
        return socket

    async def _ended(self, connection: Connection) -> None:
        session = connection.session
        if session is not None and session.connection is connection:
            session.connection = None
            if connection.socket.close_code in (1000, 1001):
                self.sessions.pop(session.id, None)

    def _received(self, connection: Connection, payload: dict[str, Any]) -> None:
        op, data = payload["op"], payload.get("d")
        if op == HEARTBEAT:
            connection.send(ACK)
            self.log.append(("heartbeat", connection.session.shard if connection.session else -1))
        elif op == IDENTIFY:
            self._identify(connection, data)
        elif op == RESUME:
            self._resume(connection, data)
        elif connection.session is None:
            connection.close(4003)
        elif op == MEMBERS:
            self._members(connection.session, data)
        elif op != PRESENCE:
            connection.close(4001)
        self.world.changed()

    def _identify(self, connection: Connection, data: dict[str, Any]) -> None:
        shard, shards = data.get("shard", (0, 1))
        intents = data["intents"]
        self.log.append(("identify", shard))
        self.starts.append((shard, time.monotonic()))
        self.identified.append({key: value for key, value in data.items() if key != "token"})
        if connection.session is not None:
            return connection.close(4005)
        if data["token"] != self.world.token:
            return connection.close(4004)
        if shard >= shards or shards != self.shards:
            return connection.close(4010)
        if intents & (GUILD_MEMBERS | PRESENCES) or (
            intents & MESSAGE_CONTENT and not self.world.message_content_allowed
        ):
            return connection.close(4014)
        self.session_starts_left -= 1
        session = connection.session = Session(shard, intents, connection)
        self.sessions[session.id] = session
        guilds = [guild for guild in self.world.guilds.values() if guild.bot and self.shard(guild) == shard]
        ready = {
            "v": 10,
            "user": self.world.bot.payload(),
            "guilds": [{"id": guild.id, "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.world.gateway_url,
            "shard": [shard, shards],
            "application": {"id": self.world.application_id, "flags": 0},
            "private_channels": [],
        }
        session.send("READY", ready)
        for guild in guilds if self.tells_guilds else ():
            session.send("GUILD_CREATE", self.world.guild_payload(guild) | {"unavailable": False})
        return None

    def _resume(self, connection: Connection, data: dict[str, Any]) -> None:
        session = self.sessions.get(data["session_id"])
        self.log.append(("resume", session.shard if session else -1))
        if data["token"] != self.world.token:
            return connection.close(4004)
        if session is None or data["seq"] > session.number:
            return connection.send(INVALID, False)
        session.connection, connection.session = connection, session
        for number, event, payload in session.events:
            if number > data["seq"]:
                connection.send(DISPATCH, payload, event=event, number=number)
        session.send("RESUMED", {"_trace": []})
        return None

    def _members(self, session: Session, data: dict[str, Any]) -> None:
        guild = self.world.guilds[str(data["guild_id"])]
        asked = [self.world.users[one] for one in map(str, data.get("user_ids", ())) if one in guild.members]
        members = [guild.member(user) | {"user": user.payload()} for user in asked]
        chunk = {"guild_id": guild.id, "members": members, "chunk_index": 0, "chunk_count": 1}
        session.send("GUILD_MEMBERS_CHUNK", chunk | {"nonce": data.get("nonce")})

    # Failures of connections.

    def close(self, code: int) -> None:
        """Close every socket; after 4000 the client may resume, after 4004 it may not come back."""
        for connection in list(self.connections):
            connection.close(code)

    def send_opcode(self, op: int, data: Any = None) -> None:
        """Send an opcode to every client: 7 asks it to reconnect and resume, 1 for a heartbeat."""
        for connection in self.connections:
            connection.send(op, data)

    def invalidate(self, *, resumable: bool) -> None:
        """Opcode 9: the session is over, or (resumable) only this socket is."""
        for connection in self.connections:
            if connection.session is not None and not resumable:
                self.sessions.pop(connection.session.id, None)
            connection.send(INVALID, resumable)
