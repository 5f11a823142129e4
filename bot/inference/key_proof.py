"""Proof that the server at a local address knows the key, before anything is sent to it.

Any program of this machine can open the port while the model server is down. So before each new connection, both sides
show the HMAC of a random number under the key, each with a word for the side, which does not tell the key.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from bot.core.errors import ModelUnavailable
from bot.inference.responses import DOWN
from bot.inference.upstreams.upstream import Address, Upstream
from http_server.wire import PROOF, sign

if TYPE_CHECKING:
    from bot.config.sections import ModelServerSection

log = logging.getLogger(__name__)

SECONDS, MAX_BYTES = 10.0, 4096
"""How long an answer may take, and how long it may be."""
UNPROVEN = (
    "What answers at the address of the model server does not know this bot's key, so nothing is sent to it; whoever "
    "runs this bot can see more with “tempera doctor”."
)


def prove(section: ModelServerSection, made_up_key: str = "") -> Upstream:
    """Return the model server, which has to prove that it knows the key if the key is configured.

    `made_up_key` is the one that the server gets if this bot starts it, in use if none is configured. A server that
    somebody else started does not know it and is accepted, but not any more once one has proved that it does.
    """
    key = section.key or made_up_key
    traces = []
    if key and section.verify and section.is_local:
        traces.append(KeyProof(section.url, key, is_required=bool(section.key)).trace())
    return Upstream(Address(url=section.url, base=f"{section.url}/v1", key=key), traces=traces)


class KeyProof:
    """Checks the server at `url` before each new connection to it."""

    def __init__(self, url: str, key: str, *, is_required: bool) -> None:
        self._url = url
        self._key = key.encode()
        self._is_required = is_required
        self._is_logged = False

    def trace(self) -> aiohttp.TraceConfig:
        """Return what aiohttp calls before it opens a connection."""
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(self._check)
        return trace

    async def _check(self, *_: Any) -> None:
        """Raise ModelUnavailable if no server answers, or if it had to give a proof and did not."""
        nonce = secrets.token_hex(32)
        proof = await self._ask(nonce)
        if hmac.compare_digest(proof.encode(errors="replace"), sign(self._key, "server", nonce).encode()):
            self._is_required = True
            self._is_logged = False
        elif self._is_required:
            if not self._is_logged:
                log.error("What answers at %s does not know the key of the model server, and gets nothing.", self._url)
                self._is_logged = True
            raise ModelUnavailable(UNPROVEN)

    async def _ask(self, nonce: str) -> str:
        """Return what the server gives as its proof; "" if it gives none."""
        query = {"nonce": nonce, "claim": sign(self._key, "client", nonce)}
        try:
            async with (
                asyncio.timeout(SECONDS),
                aiohttp.ClientSession(auto_decompress=False) as session,
                session.get(f"{self._url}{PROOF}", params=query, allow_redirects=False) as response,
            ):
                # The length is checked, since what answers may be anything.
                if response.status == 200 and (response.content_length or MAX_BYTES) < MAX_BYTES:
                    return str(json.loads(await response.read())["proof"])
        except (OSError, aiohttp.ServerDisconnectedError) as error:
            # A server that ends while it is asked is no other server.
            raise ModelUnavailable(DOWN) from error
        except (aiohttp.ClientError, HttpProcessingError, ValueError, LookupError, TypeError, RecursionError):
            # It is another web server, or none at all.
            return ""
        return ""
