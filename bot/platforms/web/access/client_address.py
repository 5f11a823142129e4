"""Where requests really come from: addresses and schemes that trusted proxies report."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import web

from http_server.addresses import parse_address, stands_for_many

if TYPE_CHECKING:
    from collections.abc import Collection
    from ipaddress import IPv4Network, IPv6Network

    from aiohttp.typedefs import Handler

log = logging.getLogger(__name__)

SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""What proxies call the scheme of a request, and what it is here. Some name that of a WebSocket differently."""


class TrustedProxies:
    """Sets `request.remote` and `request.scheme` by the headers of `proxies`. Headers that others send are ignored."""

    def __init__(self, proxies: Collection[IPv4Network | IPv6Network]) -> None:
        self._proxies = proxies
        self._has_warned = False

    @web.middleware
    async def resolve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass the request on with its own address. An aiohttp middleware, which must be the first."""
        if self._proxies and self._is_proxy(request.remote or ""):
            scheme = SCHEMES.get(request.headers.get("X-Forwarded-Proto", ""), request.scheme)
            request = request.clone(remote=self._forwarded_address(request), scheme=scheme)
        elif "X-Forwarded-For" in request.headers and stands_for_many(request.remote or ""):
            self._warn()
        return await handler(request)

    def _warn(self) -> None:
        """Say once that a proxy on this machine is unknown. What other machines send, anybody may have made up."""
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "Requests come through a proxy that TEMPERA_WEB__PROXIES does not name, so all who use it count as one "
                "address. Name it, such as '[\"127.0.0.1\"]'."
            )

    def _forwarded_address(self, request: web.Request) -> str:
        """Return the last address that is not a proxy of ours: whatever stands before it, the client may have sent."""
        address = request.remote or ""
        for part in reversed(",".join(request.headers.getall("X-Forwarded-For", ())).split(",")):
            parsed = parse_address(_without_port(part))
            if parsed is None:
                break
            address = str(parsed)
            if not self._is_proxy(address):
                break
        return address

    def _is_proxy(self, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._proxies)


def _without_port(part: str) -> str:
    """Return an address of the header without the port that some proxies add: 192.0.2.1:443, [2001:db8::1]:443."""
    part = part.strip()
    if part.startswith("["):
        return part[1:].partition("]")[0]
    return part.partition(":")[0] if part.count(":") == 1 else part
