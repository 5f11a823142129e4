"""Checks where a request comes from and its key. A browser reaches loopback, so web pages must be kept out, too."""

from __future__ import annotations

import hmac
import ipaddress
import re
from urllib.parse import urlsplit

from http_server.wire import sign
from model_server.errors import ApiError, invalid_value

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on

NONCE = re.compile(r"[0-9a-f]{64}")


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


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

    def prove(self, nonce: str, claim: str) -> str:
        """Return the proof that this server knows the key which the client knows as well.

        Each side shows what it makes of `nonce`, 64 hexadecimal digits, by `sign`. A client that does not know a key
        gets no proof, by which it could guess at keys. Raises ApiError.
        """
        if not NONCE.fullmatch(nonce):
            raise invalid_value("`nonce` must be 64 hexadecimal digits.", "nonce")
        for key in self._keys:
            if hmac.compare_digest(_encode_header(claim), sign(key, "client", nonce).encode()):
                return sign(key, "server", nonce)
        raise ApiError(401, "This server does not know the key by which `claim` was made.", code="invalid_api_key")


def _encode_header(text: str) -> bytes:
    # Headers may hold bytes that are not valid text; aiohttp keeps them as surrogates.
    return text.encode(errors="surrogateescape")


def _parse_host_name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
