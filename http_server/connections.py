"""Connections: refused where there are too many, and closed if the other side reads nothing."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from http_server.shares import AddressShares


class LimitedConnection(asyncio.Protocol):
    """One connection: passed on to the protocol that `serve` makes, or closed at once if there are too many.

    If the other side takes none of what waits to be sent for `stall_seconds`, the system closes the connection.
    """

    def __init__(self, serve: Callable[[], asyncio.Protocol], connections: AddressShares, stall_seconds: float) -> None:
        self._serve = serve
        self._connections = connections
        self._stall_seconds = stall_seconds
        self._address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection and begin to serve it, or close it."""
        address = str((transport.get_extra_info("peername") or [""])[0])
        if not self._connections.add(address):
            transport.abort()  # type: ignore[attr-defined]
            return
        self._address = address
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = int(1000 * self._stall_seconds)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._served = self._serve()
        self._served.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Stop serving the connection, and count it no longer."""
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
        """Pass on that too much waits to be sent."""
        self._served.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that more can be sent."""
        self._served.resume_writing()
