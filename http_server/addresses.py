"""IP addresses as text, and what counts as one address."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, or None if `text` is none."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    # A socket that listens on both families gives IPv4 addresses as ::ffff:192.0.2.1.
    return (address.ipv4_mapped or address) if address.version == 6 else address


def network_of(address: str) -> str:
    """Return what counts as one address: for IPv6 the /64 network, all of which belongs to one user."""
    parsed = parse_address(address)
    if parsed is None or parsed.version == 4:
        return str(parsed or address)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def stands_for_many(address: str, shared: Collection[IPv4Network | IPv6Network] = ()) -> bool:
    """Return whether many clients may come from this one address: it is this machine's, as of a proxy, or in `shared`.

    What is no IP address has no network of its own, so it is taken for one of those, too.
    """
    parsed = parse_address(address)
    return parsed is None or parsed.is_loopback or any(parsed in network for network in shared)
