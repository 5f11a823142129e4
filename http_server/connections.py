"""Connections: refused where there are too many, and closed if the other side reads nothing."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from http_server.shares import AddressShares


class LimitedConnection(asyncio.Protocol):
    """One connection: passed on to the protocol that `serve` makes, or closed at once if there are too many.

    It is also closed if the other side takes none of what waits to be sent for `stall_seconds`. The system does that
    for one that has gone. One that reads nothing, and sends a little all the time, is never given up by it.
    """

    def __init__(self, serve: Callable[[], asyncio.Protocol], connections: AddressShares, stall_seconds: float) -> None:
        self._serve = serve
        self._connections = connections
        self._stall_seconds = stall_seconds
        self._address: str | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection and begin to serve it, or close it."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a TCP server makes
        self._transport = transport
        address = str((transport.get_extra_info("peername") or [""])[0])
        if not self._connections.add(address):
            transport.abort()
            return
        self._address = address
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = int(1000 * self._stall_seconds)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._served = self._serve()
        self._served.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Stop serving the connection, and count it no longer."""
        self._stop_watching()
        if self._address is not None:
            self._connections.remove(self._address)
            self._served.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Pass on what arrived."""
        if self._address is not None:
            self._served.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on that nothing more arrives."""
        return self._served.eof_received() if self._address is not None else None

    def pause_writing(self) -> None:
        """Pass on that too much waits to be sent, and see whether any of it is taken."""
        self._watch(self._unsent())
        self._served.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that more can be sent."""
        self._stop_watching()
        self._served.resume_writing()

    def _watch(self, before: tuple[int, int]) -> None:
        self._stalled = asyncio.get_running_loop().call_later(self._stall_seconds, self._close_if_stalled, before)

    def _stop_watching(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()

    def _close_if_stalled(self, before: tuple[int, int]) -> None:
        now = self._unsent()
        if all(waiting >= waited for waiting, waited in zip(now, before, strict=True)):
            self._transport.abort()
        else:
            self._watch(now)

    def _unsent(self) -> tuple[int, int]:
        """Return how many bytes wait here, and how many in the system, of which the other side has not taken any."""
        in_system = bytes(struct.calcsize("i"))
        with suppress(OSError):
            in_system = fcntl.ioctl(self._transport.get_extra_info("socket"), termios.TIOCOUTQ, in_system)
        return self._transport.get_write_buffer_size(), int.from_bytes(in_system, sys.byteorder)
