"""A client that misbehaves: it sends what it likes over a plain TCP connection, and reads only if it is told to."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE_SECONDS = 60
"""How long a test waits before it fails. No test depends on this time."""
SMALL_BUFFER = 2048
STUCK_SECONDS = 0.5


class RawClient:
    """One connection. What is not read stays in the small buffer of its socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._loop.sock_sendall(self._connection, data)

    async def send_until_stuck(self, data: bytes) -> None:
        """Send the same again and again, until the server has taken nothing for a while."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(STUCK_SECONDS):
                        await self._loop.sock_sendall(self._connection, data)

    async def give_signs_of_life(self) -> None:
        """Send bytes that no program sees until the connection is closed. Its system answers them, and waits on."""
        with suppress(ConnectionError):
            while await asyncio.sleep(0.05, True):
                # Urgent data is always acknowledged in full, while the system passes over acknowledgements in others.
                self._connection.send(b"!", socket.MSG_OOB)

    def end(self) -> None:
        """Tell the server that nothing more comes."""
        self._connection.shutdown(socket.SHUT_WR)

    async def read(self) -> bytes:
        """Return what arrives next; b"" once the server has closed the connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with suppress(ConnectionError):
                return await self._loop.sock_recv(self._connection, 1 << 16)
        return b""

    async def read_until(self, end: bytes) -> bytes:
        """Return what arrives until `end` is in it."""
        data = b""
        while end not in data:
            data += await self._read_more()
        return data

    async def read_answer(self) -> tuple[int, str]:
        """Return the status and the text of a response."""
        head, _, body = (await self.read_until(b"\r\n\r\n")).partition(b"\r\n\r\n")
        lengths = re.findall(rb"(?i)^content-length: (\d+)\r?$", head, re.MULTILINE)
        while len(body) < int((lengths or [0])[0]):
            body += await self._read_more()
        return int(head.split()[1]), body.decode(errors="replace")

    async def _read_more(self) -> bytes:
        chunk = await self.read()
        assert chunk, "the connection was closed"
        return chunk

    async def read_to_end(self) -> bytes:
        """Return all that arrives until the server closes the connection, which it must do."""
        data = b""
        while chunk := await self.read():
            data += chunk
        return data


@asynccontextmanager
async def raw_client(url: str) -> AsyncIterator[RawClient]:
    """Connect to the server at `url` with a small receive buffer."""
    address = urlsplit(url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        connection.setblocking(False)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.get_running_loop().sock_connect(connection, (address.hostname, address.port))
        yield RawClient(connection)


def request(url: str, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of a request. Underscores in the names of headers are hyphens; empty ones are left out."""
    fields = {"Host": urlsplit(url).netloc, "Origin": url, "Content_Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items() if value]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body


def upgrade(url: str, path: str = "/socket", **headers: str) -> bytes:
    """Return the bytes of a request for a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    asked = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": key}
    return request(url, "GET", path, **asked, **headers)


def frame(text: bytes, opcode: int = 1) -> bytes:
    """Return a masked frame of a WebSocket. The mask is of zeros."""
    length = len(text)
    if length < 126:
        size = bytes([0x80 | length])
    else:
        size = b"\xfe" + length.to_bytes(2, "big") if length < 1 << 16 else b"\xff" + length.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + size + bytes(4) + text
