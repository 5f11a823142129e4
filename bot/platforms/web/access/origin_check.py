"""Which addresses and pages may talk to the chat: loopback is no boundary to a browser."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from bot.config import LOOPBACK, WILDCARDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.typedefs import Handler

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types dompurify"
)
HEADERS = {
    # A browser that guesses how long a script stays fresh would mix old and new ones after an update.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With "no-referrer" a browser would send "Origin: null" with the join form, which is then refused.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def is_loopback(host: str) -> bool:
    """Whether listening on `host` is reachable from this machine alone."""
    address = _address(host)
    return host.casefold() == "localhost" if address is None else address.is_loopback


class OriginCheck:
    """Refuses requests to other names than the chat's own, and those that other pages make.

    `host` is the configured one, `names` are further ones. On all interfaces any address is the chat's own, since
    a page of somebody else's that has its name point here (DNS rebinding) still sends that name.
    """

    def __init__(self, host: str, names: Iterable[str] = ()) -> None:
        self._any_address = host in WILDCARDS
        own = {socket.gethostname(), f"{socket.gethostname()}.local"} if self._any_address else {host}
        self._names = LOOPBACK | {name.casefold() for name in (*own, *names)}

    def is_own(self, host: str) -> bool:
        """Whether `host`, as in the header Host, is a name of the chat."""
        name = _without_port(host).casefold().rstrip(".")
        return name in self._names or (self._any_address and _address(name) is not None)

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The middleware: Host always, Origin on whatever can change something."""
        host = request.headers.get("Host", "")
        if not self.is_own(host):
            raise web.HTTPMisdirectedRequest(text="The chat does not go by this name; open it by its own address.")
        changes = request.method not in ("GET", "HEAD") or "Upgrade" in request.headers
        if changes and request.headers.get("Origin") not in (f"http://{host}", f"https://{host}"):
            raise web.HTTPForbidden(text="Only the chat's own page may do this.")
        return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The signal that puts the protecting headers on every response; a handler's own stay."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
