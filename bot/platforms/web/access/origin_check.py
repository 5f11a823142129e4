"""Checks of the headers Host and Origin. Other websites can send requests to a loopback address from a browser, too."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from bot.config.sections import LOOPBACK, WILDCARDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.typedefs import Handler

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types dompurify"
)
SECURITY_HEADERS = {
    # A browser that guesses how long a script stays fresh would mix old and new ones after an update.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With "no-referrer" a browser would send "Origin: null" with the join form, which is then refused.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def is_loopback(host: str) -> bool:
    """Return whether a server that listens on `host` can be reached from this machine alone."""
    address = _parse_address(host)
    return host.casefold() == "localhost" if address is None else address.is_loopback


class OriginCheck:
    """Refuses requests for names that are not the chat's own, and requests that other websites make.

    `host` is the configured address, `names` are further ones. A chat that listens on all interfaces accepts every IP
    address as its own: a website whose name points here (DNS rebinding) is recognised all the same, since a browser
    sends the name.
    """

    def __init__(self, host: str, names: Iterable[str] = ()) -> None:
        self._accepts_any_address = host in WILDCARDS
        own = {socket.gethostname(), f"{socket.gethostname()}.local"} if self._accepts_any_address else {host}
        self._names = LOOPBACK | {name.casefold() for name in (*own, *names)}

    def is_own_name(self, host: str) -> bool:
        """Return whether `host`, as it stands in the header Host, is a name of the chat."""
        name = strip_port(host).casefold().rstrip(".")
        return name in self._names or (self._accepts_any_address and _parse_address(name) is not None)

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check Host on every request, and Origin on those that can change something. An aiohttp middleware."""
        host = request.headers.get("Host", "")
        if not self.is_own_name(host):
            raise web.HTTPMisdirectedRequest(text="The chat does not go by this name; open it by its own address.")
        changes = request.method not in ("GET", "HEAD") or "Upgrade" in request.headers
        if changes and request.headers.get("Origin") not in (f"http://{host}", f"https://{host}"):
            raise web.HTTPForbidden(text="Only the chat's own page may do this.")
        return await handler(request)


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the security headers to a response, except for those that its handler has set. An aiohttp signal."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)


def strip_port(host: str) -> str:
    """Return the name or the address in a header Host."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _parse_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
