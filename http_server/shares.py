"""Shares of what is scarce: how much of it there is in all, and how much of that one address may hold."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from http_server.addresses import network_of, stands_for_many

if TYPE_CHECKING:
    from collections.abc import Collection
    from ipaddress import IPv4Network, IPv6Network


class AddressShares:
    """Counts what is held in all and by each address, such as connections.

    An address of this machine or in `shared` may hold as much as there is in all, since a proxy there stands for many.
    """

    def __init__(self, most: int, most_of_address: int, shared: Collection[IPv4Network | IPv6Network] = ()) -> None:
        self._most = most
        self._most_of_address = most_of_address
        self._shared = shared
        self._held: Counter[str] = Counter()

    def is_full(self, address: str) -> bool:
        """Return whether this address can hold no more."""
        allowed = self._most if stands_for_many(address, self._shared) else self._most_of_address
        return self._held.total() >= self._most or self._held[network_of(address)] >= allowed

    def add(self, address: str) -> bool:
        """Count one more and return True, or return False if there are too many."""
        if self.is_full(address):
            return False
        self._held[network_of(address)] += 1
        return True

    def remove(self, address: str) -> None:
        """Count one less."""
        network = network_of(address)
        self._held[network] -= 1
        if not self._held[network]:
            del self._held[network]
