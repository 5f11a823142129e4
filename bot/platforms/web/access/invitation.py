"""How others come in: the address that they open, the join code, and both as a QR code."""

from __future__ import annotations

import io
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import segno

from bot.config.sections import WILDCARDS, http_address, random_join_code
from bot.platforms.web.access.origin_check import is_loopback, strip_port

if TYPE_CHECKING:
    from aiohttp import web

    from bot.config.sections import WebSection

ANY_ADDRESS = ("192.0.2.1", 9)
"""An address for documentation (RFC 5737). Nothing is sent there: the system only says by which address it would be."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What somebody needs to come in. `address` is empty if only this computer can reach the chat."""

    address: str
    code: str

    @property
    def link(self) -> str:
        """The address that brings the code along. It stands behind the #, which browsers do not send to the server."""
        return f"{self.address}/join#code={quote(self.code, safe='')}" if self.code else self.address

    def draw(self) -> bytes:
        """Return the link as a QR code in SVG, with the light margin around it that cameras need."""
        drawing = io.BytesIO()
        segno.make(self.link, error="m", micro=False).save(
            drawing, kind="svg", border=3, dark="#000", light="#fff", omitsize=True
        )
        return drawing.getvalue()


class Inviter:
    """Finds out by which address others reach the chat."""

    def __init__(self, section: WebSection) -> None:
        self._section = section
        self._suggested_code = random_join_code()

    def invite(self, request: web.Request) -> Invitation:
        """Return the invitation for a teacher who sends `request`."""
        return Invitation(self._find_address(request), self._section.join_code.get_secret_value().strip())

    @property
    def line(self) -> str:
        """The command that starts a chat which others in the network can open."""
        return f"TEMPERA_WEB__HOST=0.0.0.0 TEMPERA_WEB__JOIN_CODE={self._suggested_code} make run"

    def _find_address(self, request: web.Request) -> str:
        section = self._section
        if section.url:
            return section.url
        if not is_loopback(strip_port(request.host)):
            # The teacher has come by a name or an address that others can use, too, such as that of a proxy.
            return f"{request.scheme}://{request.host}"
        own = find_network_address() if section.host in WILDCARDS else section.host
        port = request.transport.get_extra_info("sockname")[1] if request.transport else section.port
        return "" if not own or is_loopback(own) else http_address(own, port)


def find_network_address() -> str:
    """Return the address of this machine in its network; "" if it is in none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ANY_ADDRESS)
        except OSError:
            return ""
        return str(probe.getsockname()[0])
