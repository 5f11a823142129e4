"""The client in front of the real model server, and of programs that only look like it."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fakes.model_server.broken_api import Answer, plainly
from fakes.model_server.gateway import eventually, is_ready, serving

from bot.config.sections import ModelServerSection
from bot.core.errors import ModelUnavailable
from bot.core.model_events import Turn
from bot.inference import key_proof
from bot.inference.client import ModelClient
from bot.inference.connecting import connect_all
from bot.inference.key_proof import UNPROVEN, prove
from bot.inference.responses import DOWN
from http_server.wire import PROOF

SECRET = "my secret question"


def section(url: str, **more: Any) -> ModelServerSection:
    return ModelServerSection.model_validate({"url": url, **more})


class Impostor:
    """Takes every request at its address, as a program would that waits for the port of the model server."""

    def __init__(self, proof: Answer | None = None) -> None:
        self._proof = proof or plainly(b"", 404)
        self.proofs = 0
        self.received: list[str] = []

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        if request.path == PROOF:
            self.proofs += 1
            return await self._proof(request)
        self.received.append(f"{request.headers.get('Authorization')} {await request.text()}")
        return web.json_response({"data": [{"id": "fake", "tempera": {"task": "chat"}}]})


async def ask(client: ModelClient) -> str:
    """Ask, and return the answer or the sentence of the error."""
    try:
        events = client.chat([Turn("user", SECRET)], temperature=0, seed=1, model="parrot")
        return "".join([getattr(event, "text", "") async for event in events])
    except ModelUnavailable as error:
        return str(error)


@pytest.mark.parametrize("key", ["api_key", "trusted_key"])
async def test_a_server_that_knows_the_key_is_asked_once_for_each_connection(
    key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "model_server.requests")
    keys = {key: "s3cret"}
    async with serving(tmp_path, **keys) as url, connect_all(section(url, **keys)) as client:
        for _ in range(3):
            assert await client.offered("chat") == ["parrot"]
    assert sum(f"route={PROOF} status=200" in record.getMessage() for record in caplog.records) == 1


async def echo(request: web.Request) -> web.Response:
    """Answer with the client's own claim."""
    return web.json_response({"proof": request.query["claim"]})


@pytest.mark.parametrize(
    "proof",
    [
        plainly(b"", 404),
        plainly(b"{}"),
        plainly(b'{"proof": ["\xc3\xa4"]}'),
        plainly(b'{"proof": "\\ud800"}'),
        plainly(b'{"proof": "' + b"0" * 64 + b'"}'),
        plainly(b'{"proof": "' + b"0" * 10_000 + b'"}'),
        plainly(b"[" * 4000),
        plainly(b"", 302, Location="http://127.0.0.1:1/"),
        echo,
    ],
)
async def test_a_program_that_does_not_know_the_key_gets_neither_it_nor_a_prompt(
    proof: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    impostor = Impostor(proof)
    async with impostor.listening() as url, connect_all(section(url, api_key="s3cret")) as client:
        assert await ask(client) == UNPROVEN
        for call in (client.readiness(), client.offered("chat"), client.embed([SECRET], model="a")):
            with pytest.raises(ModelUnavailable, match=UNPROVEN[:60]):
                await call
    assert impostor.received == []
    assert [record.getMessage() for record in caplog.records] == [
        f"What answers at {url} does not know the key of the model server, and gets nothing."
    ]


async def test_a_server_with_another_key_gets_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, api_key="other") as url, connect_all(section(url, api_key="s3cret")) as client:
        assert await ask(client) == UNPROVEN


async def test_a_server_by_others_is_used_if_the_configuration_says_so() -> None:
    other = Impostor()
    async with other.listening() as url, connect_all(section(url, api_key="s3cret", verify=False)) as client:
        assert await client.offered("chat") == ["fake"]
    assert (other.proofs, other.received) == (0, ["Bearer s3cret "])


async def test_a_server_that_does_not_know_a_made_up_key_is_used() -> None:
    somebodys = Impostor()
    async with somebodys.listening() as url, connect_all(section(url), made_up_key="made up") as client:
        assert await client.offered("chat") == ["fake"]
    assert somebodys.proofs == 1


async def test_nobody_takes_the_place_of_a_server_that_has_proved_a_made_up_key(tmp_path: Path) -> None:
    impostor = Impostor()
    async with AsyncExitStack() as own:
        url = await own.enter_async_context(serving(tmp_path, trusted_key="made up"))
        async with connect_all(section(url), made_up_key="made up") as client:
            await eventually(lambda: is_ready(url))
            assert await ask(client) == SECRET
            await own.aclose()
            async with impostor.listening(int(url.rpartition(":")[2])):
                assert await ask(client) == UNPROVEN
    assert (impostor.proofs, impostor.received) == (1, [])


async def test_no_server_at_all(unused_tcp_port: int) -> None:
    async with connect_all(section(f"http://127.0.0.1:{unused_tcp_port}", api_key="s3cret")) as client:
        assert await ask(client) == DOWN


async def test_a_server_that_ends_while_it_is_asked_is_not_taken_for_another_one() -> None:
    async def end(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    ending = Impostor(end)
    async with ending.listening() as url, connect_all(section(url, api_key="s3cret")) as client:
        assert await ask(client) == DOWN
    assert ending.received == []


async def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_proof, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with connect_all(section(url, api_key="s3cret")) as client:
            assert await ask(client) == DOWN


@pytest.mark.parametrize(("url", "keys"), [("http://10.0.0.5:8400", {"api_key": "a"}), ("http://127.0.0.1:8400", {})])
def test_nothing_is_proved_without_a_key_or_over_a_network(url: str, keys: dict[str, str]) -> None:
    assert prove(section(url, **keys)).traces == []
