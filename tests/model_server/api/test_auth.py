from pathlib import Path

import aiohttp
import pytest
from fakes.model_server.client import error_of
from fakes.model_server.gateway import serving

from model_server.api.auth import Authenticator, check_exposure, is_loopback
from model_server.errors import ApiError

NONCE = "0123456789abcdef" * 4
PROOF = "/health/proof"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org"])
def test_listening_to_the_network_needs_a_key(host: str) -> None:
    with pytest.raises(ValueError, match="needs an API key"):
        check_exposure(host, None)
    check_exposure(host, "key")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_listening_on_loopback_needs_no_key(host: str) -> None:
    check_exposure(host, None)


def test_a_server_on_every_address_accepts_every_host_name_but_no_other_sites() -> None:
    authenticator = Authenticator("0.0.0.0", "key")
    authenticator.check_source("models.internal:8400", None)
    with pytest.raises(ApiError):
        authenticator.check_source("models.internal:8400", "https://evil.example")


# Proofs


def test_a_proof_depends_on_the_key_and_on_the_number() -> None:
    server, other = Authenticator("::1", "key", "trusted"), Authenticator("::1", "another")
    proofs = [*server.prove(NONCE, "::1"), *other.prove(NONCE, "::1"), *server.prove(NONCE[::-1], "::1")]
    assert len(set(proofs)) == 5
    assert server.prove(NONCE, "127.0.0.1") == proofs[:2]
    assert Authenticator("127.0.0.1", None).prove(NONCE, "127.0.0.1") == []


@pytest.mark.parametrize("remote", ["10.0.0.5", "2001:db8::1", "::ffff:10.0.0.5", "", None])
def test_a_proof_is_only_given_to_programs_of_the_same_machine(remote: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        Authenticator("0.0.0.0", "key").prove(NONCE, remote)
    assert (caught.value.status, caught.value.code) == (403, "not_local")


def test_an_address_of_this_machine_in_the_form_of_the_other_protocol() -> None:
    assert is_loopback("::ffff:127.0.0.1")


async def test_a_proof_is_asked_for_without_the_key(tmp_path: Path) -> None:
    async with serving(tmp_path, models=(), api_key="key") as url, aiohttp.ClientSession(url) as http:
        async with http.get(PROOF, params={"nonce": NONCE}) as response:
            assert response.status == 200
            (proof,) = (await response.json())["proofs"]
        assert proof in Authenticator("127.0.0.1", "key").prove(NONCE, "127.0.0.1")
        for wrong in ("", "5", NONCE.upper(), NONCE + "0", "\u0663" * 64):
            async with http.get(PROOF, params={"nonce": wrong}) as response:
                assert response.status == 400
                assert (await error_of(response))["param"] == "nonce"
        async with http.get(PROOF, params={"nonce": NONCE}, headers={"Host": "evil.example"}) as response:
            assert response.status == 403
