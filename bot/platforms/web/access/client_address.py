"""Where requests really come from: addresses and schemes that trusted proxies report."""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Collection
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from aiohttp.typedefs import Handler

log = logging.getLogger(__name__)


class TrustedProxies:
    """Sets `request.remote` and `request.scheme` by the headers of `proxies`. Headers that others send are ignored."""

    def __init__(self, proxies: Collection[IPv4Network | IPv6Network]) -> None:
        self._proxies = proxies
        self._has_warned = False

    @web.middleware
    async def resolve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass the request on with its own address. An aiohttp middleware, which must be the first."""
        if not self._is_proxy(request.remote or ""):
            self._warn_of_unknown_proxy(request)
        else:
            scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
            is_known = scheme in ("http", "https")
            request = request.clone(
                remote=self._forwarded_address(request), scheme=scheme if is_known else request.scheme
            )
        return await handler(request)

    def _warn_of_unknown_proxy(self, request: web.Request) -> None:
        """Tell the operator once that a proxy on this machine hides the addresses of all visitors."""
        address = _parse(request.remote or "")
        if (
            not self._has_warned
            and "X-Forwarded-For" in request.headers
            and address is not None
            and address.is_loopback
        ):
            self._has_warned = True
            log.warning(
                "A proxy at %s that TEMPERA_WEB__PROXIES does not name passes visitors on: limits count all of them as "
                "one address.",
                address,
            )

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
