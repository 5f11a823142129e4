from pathlib import Path

import aiohttp
import pytest
from fakes.model_server.client import error_of
from fakes.model_server.gateway import serving

from model_server.api.auth import Authenticator, check_exposure
from model_server.errors import ApiError

NONCE = "0123456789abcdef" * 4
PROOF = "/health/proof"
CLAIMS = (
    "de9145622c66d6e59c7b167f45c4ca811a03825012b4b137061ffe98d21b9052",
    "8496ddef4d302b6e74ebd742cefd4e1ff59d7e7ed45ce555242f3996ad5c9006",
)
PROOFS = (
    "df17009bf81704d3cbee2f8368e20b78346c83c0b13a45c11a8194d779e10894",
    "b28864cef41948d46382798d858f023c12f228aa5e169868575c24a174775567",
)
"""HMAC-SHA256 of "tempera client 0123…" and "tempera server 0123…" under "open" and "trusted", as OpenSSL makes it."""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_listening_on_loopback_needs_no_key(host: str) -> None:
    check_exposure(host, None)
    check_exposure("0.0.0.0", "key")


def test_a_server_on_every_address_accepts_every_host_name_but_no_other_sites() -> None:
    authenticator = Authenticator("0.0.0.0", "key")
    authenticator.check_source("models.internal:8400", None)
    with pytest.raises(ApiError):
        authenticator.check_source("models.internal:8400", "https://evil.example")


# Proofs


async def proof(http: aiohttp.ClientSession, nonce: str, claim: str) -> tuple[int, str]:
    """Ask for a proof, and return the status, and the proof or the code of the error."""
    async with http.get(PROOF, params={"nonce": nonce, "claim": claim}) as response:
        if response.status == 200:
            return 200, (await response.json())["proof"]
        return response.status, (await error_of(response))["code"]


async def test_a_proof_is_given_to_whoever_knows_one_of_the_keys(tmp_path: Path) -> None:
    keys = {"api_key": "open", "trusted_key": "trusted"}
    async with serving(tmp_path, models=(), **keys) as url, aiohttp.ClientSession(url) as http:
        for claim, expected in zip(CLAIMS, PROOFS, strict=True):
            assert await proof(http, NONCE, claim) == (200, expected)
            # Neither for another number, nor as the answer of a server.
            assert await proof(http, NONCE[::-1], claim) == (401, "invalid_api_key")
            assert await proof(http, NONCE, expected) == (401, "invalid_api_key")
        for wrong in ("", "5", NONCE.upper(), f"{NONCE}0", f"{NONCE}\n", "\u0663" * 64):
            assert await proof(http, wrong, claim) == (400, "invalid_value")
        for guess in ("", "0" * 64, "\u0663"):
            assert await proof(http, NONCE, guess) == (401, "invalid_api_key")


async def test_a_server_without_a_key_proves_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, models=()) as url, aiohttp.ClientSession(url) as http:
        for claim in CLAIMS:
            assert await proof(http, NONCE, claim) == (401, "invalid_api_key")
