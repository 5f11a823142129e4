"""Who may talk to the server. A browser reaches loopback too, so that listening there alone keeps no web page out."""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from model_server.errors import ApiError

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_exposure(host: str, api_key: str | None) -> None:
    """Raises ValueError with a sentence when `host` is open to the network and no key keeps strangers out."""
    if not api_key and not is_loopback(host):
        shown = host or "every address"
        raise ValueError(f"Listening on {shown} opens the server to the network, which needs an API key.")


class Authenticator:
    """Checks what a request says of where it comes from and who sent it. Raises ApiError.

    `api_key` must come with every request; who knows it, or the `trusted_key`, is believed for whom they ask.
    """

    def __init__(self, host: str, api_key: str | None, trusted_key: str | None = None) -> None:
        # What listens on every address has names that it cannot know; there the key alone decides.
        self._names = None if host in WILDCARDS else LOOPBACK_NAMES | {host.lower()}
        self._required = bool(api_key)
        self._keys = [_bytes(key) for key in (api_key, trusted_key) if key]

    def check_source(self, host: str | None, origin: str | None) -> None:
        """Refuse a foreign `Host`, by which a rebound name gives itself away, and the pages of other sites."""
        if self._names is not None and _name(f"//{host or ''}") not in self._names:
            raise ApiError(403, "This server does not answer to the name it was called by.", code="foreign_host")
        if origin is not None and origin.lower().partition("://")[2] != (host or "").lower():
            raise ApiError(403, "This server takes no requests from web pages of other sites.", code="foreign_origin")

    def check_key(self, authorization: str | None) -> bool:
        """Whether the request came with a key that is known here; refuse it where it must have one and has none."""
        scheme, _, given = (authorization or "").partition(" ")
        known = [hmac.compare_digest(_bytes(given.strip()), key) for key in self._keys]
        trusted = scheme.lower() == "bearer" and any(known)
        if self._required and not trusted:
            raise ApiError(
                401, "This server needs its API key, sent as `Authorization: Bearer KEY`.", code="invalid_api_key"
            )
        return trusted


def _bytes(text: str) -> bytes:
    # Headers may hold bytes that are no text; aiohttp keeps them as surrogates.
    return text.encode(errors="surrogateescape")


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
