"""Checks where a request comes from and its key. A browser reaches loopback, so web pages must be kept out, too."""

from __future__ import annotations

import hmac
import ipaddress
import re
from urllib.parse import urlsplit

from model_server.errors import ApiError, invalid_value

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on

NONCE = re.compile(r"[0-9a-f]{64}")
PROOF_CONTEXT = b"tempera model server: "
"""What precedes the number in a proof, so that the HMAC is of use for nothing else."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that listens on `host`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    # A server that listens on "::" sees a client of 127.0.0.1 as ::ffff:127.0.0.1.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def check_exposure(host: str, api_key: str | None) -> None:
    """Raise ValueError with a sentence if `host` is open to the network and there is no API key."""
    if not api_key and not is_loopback(host):
        address = host or "every address"
        raise ValueError(f"Listening on {address} opens the server to the network, which needs an API key.")


class Authenticator:
    """Checks the origin and the key of requests. Raises ApiError.

    Every request needs `api_key` if there is one. The `user` field of requests with it, or with `trusted_key`, is
    believed.
    """

    def __init__(self, host: str, api_key: str | None, trusted_key: str | None = None) -> None:
        # A server on every address cannot know all its names; there the key alone decides.
        self._names = None if host in WILDCARDS else LOOPBACK_NAMES | {host.lower()}
        self._required = bool(api_key)
        self._keys = [_encode_header(key) for key in (api_key, trusted_key) if key]

    def check_source(self, host: str | None, origin: str | None) -> None:
        """Refuse web pages of other sites, and a foreign `Host`, which is the sign of DNS rebinding."""
        if self._names is not None and _parse_host_name(f"//{host or ''}") not in self._names:
            raise ApiError(403, "This server does not answer to the name it was called by.", code="foreign_host")
        if origin is not None and origin.lower().partition("://")[2] != (host or "").lower():
            raise ApiError(403, "This server takes no requests from web pages of other sites.", code="foreign_origin")

    def check_key(self, authorization: str | None) -> bool:
        """Return whether the request has a known key. Raises ApiError (401) if it needs one and has none."""
        scheme, _, given = (authorization or "").partition(" ")
        known = [hmac.compare_digest(_encode_header(given.strip()), key) for key in self._keys]
        trusted = scheme.lower() == "bearer" and any(known)
        if self._required and not trusted:
            raise ApiError(
                401, "This server needs its API key, sent as `Authorization: Bearer KEY`.", code="invalid_api_key"
            )
        return trusted

    def prove(self, nonce: str, remote: str | None) -> list[str]:
        """Return for each key the proof that this server knows it: the HMAC of `nonce`, 64 hexadecimal digits.

        Only clients on this machine get it: others could guess at weak keys with it, and rely on their network anyway.
        """
        if not is_loopback(remote or ""):
            raise ApiError(403, "Only programs on the server's own machine may ask for this.", code="not_local")
        if not NONCE.fullmatch(nonce):
            raise invalid_value("`nonce` must be 64 hexadecimal digits.", "nonce")
        return [hmac.digest(key, PROOF_CONTEXT + nonce.encode(), "sha256").hex() for key in self._keys]


def _encode_header(text: str) -> bytes:
    # Headers may hold bytes that are not valid text; aiohttp keeps them as surrogates.
    return text.encode(errors="surrogateescape")


def _parse_host_name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
