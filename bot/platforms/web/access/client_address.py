"""Where requests really come from: addresses and schemes that trusted proxies report."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Collection
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from aiohttp.typedefs import Handler


SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""What proxies call the scheme of a request, and what it is here. Some name that of a WebSocket differently."""


class TrustedProxies:
    """Sets `request.remote` and `request.scheme` by the headers of `proxies`. Headers that others send are ignored."""

    def __init__(self, proxies: Collection[IPv4Network | IPv6Network]) -> None:
        self._proxies = proxies

    @web.middleware
    async def resolve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass the request on with its own address. An aiohttp middleware, which must be the first."""
        if self._proxies and self._is_proxy(request.remote or ""):
            scheme = SCHEMES.get(request.headers.get("X-Forwarded-Proto", ""), request.scheme)
            request = request.clone(remote=self._forwarded_address(request), scheme=scheme)
        return await handler(request)

    def _forwarded_address(self, request: web.Request) -> str:
        """Return the last address that is not a proxy of ours: whatever stands before it, the client may have sent."""
        address = request.remote or ""
        for part in reversed(",".join(request.headers.getall("X-Forwarded-For", ())).split(",")):
            parsed = _parse(part)
            if parsed is None:
                break
            address = str(parsed)
            if not self._is_proxy(address):
                break
        return address

    def _is_proxy(self, address: str) -> bool:
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._proxies)


def network_of(address: str) -> str:
    """Return what counts as one address: for IPv6 the /64 network, all of which belongs to one user."""
    parsed = _parse(address)
    if parsed is None or parsed.version == 4:
        return str(parsed or address)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address.strip())
    except ValueError:
        return None
    # A socket that listens on both families gives IPv4 addresses as ::ffff:192.0.2.1.
    return (parsed.ipv4_mapped or parsed) if parsed.version == 6 else parsed
