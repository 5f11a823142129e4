"""What the HTTP servers of both programs share: they listen, and limit what a stranger can hold open."""

from http_server.addresses import network_of, parse_address, stands_for_many
from http_server.bodies import SlowBody, steady_body
from http_server.listening import LIMITS, Limits, listening
from http_server.shares import AddressShares

__all__ = [
    "LIMITS",
    "AddressShares",
    "Limits",
    "SlowBody",
    "listening",
    "network_of",
    "parse_address",
    "stands_for_many",
    "steady_body",
]
