import asyncio
import json
import socket
from collections.abc import Sequence

import pytest
from fakes.model_server.broken_api import crooked, plainly
from fakes.model_server.other_server import OtherServer

from bot import Answered, Busy, Delta, Turn, Waiting
from bot.config.upstreams import UpstreamSection
from bot.core.errors import ModelError, ModelUnavailable
from bot.core.model_events import ModelChoice
from bot.inference.client import ModelClient
from bot.inference.upstreams.upstream import Address, Upstream

QUESTION = [Turn("user", "hi")]
ROME = {"choices": [{"message": {"content": "Rome"}, "finish_reason": "stop"}]}


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test depend on how fast the machine is."""
    monkeypatch.setattr("bot.inference.upstreams.routing.LIST_SECONDS", 60)
    monkeypatch.setattr("bot.inference.upstreams.breaker.FIRST_PAUSE", 60)


def client_of(*servers: OtherServer, **more: object) -> ModelClient:
    """Return the client of these servers, called “one”, “two” …"""
    names = ("one", "two", "three")
    sections = [
        UpstreamSection(name=name, url=server.url, **more) for name, server in zip(names, servers, strict=False)
    ]
    return ModelClient.over([Upstream(section) for section in sections])


def remote_of(*servers: OtherServer) -> ModelClient:
    """Return the client of these servers, of which the last one is remote."""
    sections = [
        UpstreamSection(name=f"s{number}", url=server.url, local=server is not servers[-1])
        for number, server in enumerate(servers)
    ]
    return ModelClient.over([Upstream(section) for section in sections])


async def events_of(client: ModelClient, **more: object) -> Sequence[object]:
    return [event async for event in client.chat(QUESTION, temperature=1, seed=1, **more)]


async def answer(client: ModelClient, **more: object) -> Answered:
    last = (await events_of(client, **more))[-1]
    assert isinstance(last, Answered)
    return last


async def test_models_are_named_with_their_upstream_and_found_without_it() -> None:
    async with (
        OtherServer() as one,
        OtherServer(listed=[{"id": "tiny"}, {"id": "big"}]) as two,
        client_of(one, two) as client,
    ):
        offered = ("tiny@one", "tiny@two", "big@two")
        assert await client.offered("chat") == list(offered)
        assert await client.choose("chat", "big") == ModelChoice("big@two", offered)
        assert await client.choose("chat", "tiny@two") == ModelChoice("tiny@two", offered)
        assert (await answer(client, model="big")).model == "big@two"
        assert (await answer(client, model="tiny@two")).model == "tiny@two"
        assert (await answer(client)).model == "tiny@one"
    assert [body["model"] for body in two.requests] == ["big", "tiny"]


async def test_models_that_the_operator_names_are_not_asked_for() -> None:
    models = {"chat": ["mine"], "vision": ["mine"], "embeddings": ["e"]}
    async with OtherServer() as server, client_of(server, models=models) as client:
        found = await client.listed("chat", "embeddings")
        assert found["chat"] == {"mine@one": {"task": "chat", "reads_images": True}}
        assert list(found["embeddings"]) == ["e@one"]
        assert not server.headers
        await answer(client)
    assert server.requests[0]["model"] == "mine"


# Nothing crosses to a remote upstream


async def test_nothing_is_sent_to_a_remote_upstream_that_is_not_allowed() -> None:
    async with (
        OtherServer() as local,
        OtherServer(listed=[{"id": "tiny"}, {"id": "e-embed"}]) as remote,
        remote_of(local, remote) as client,
    ):
        assert await client.offered("chat") == ["tiny@s0"]
        local.ending = "killed"
        with pytest.raises(ModelUnavailable):
            await answer(client, model="tiny@s1")
        await local.__aexit__()
        for wanted in (None, "tiny", "tiny@s1"):
            with pytest.raises(ModelUnavailable):
                await answer(client, model=wanted)
        with pytest.raises(ModelUnavailable):
            await client.embed(["a"], model="e-embed@s1")
        with pytest.raises(ModelUnavailable):
            await client.moderate(["a"])
        with pytest.raises(ModelUnavailable):
            await client.readiness()
        assert await client.queues() == []
        assert (remote.connections, remote.headers) == (0, [])
        assert (await answer(client.reaching(remote=True))).sent_to == "s1"
        with pytest.raises(ModelUnavailable):
            await answer(client.reaching(remote=True).reaching(remote=False))
    assert len(remote.requests) == 1


async def test_a_proxy_is_for_remote_upstreams_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with OtherServer() as local, OtherServer() as proxy:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        near = Upstream(UpstreamSection(name="near", url=local.url))
        away = Upstream(UpstreamSection(name="away", url="http://models.invalid"))
        async with ModelClient.over([near, away]) as client:
            assert (await answer(client)).model == "tiny@near"
            assert not proxy.headers
            assert (await answer(client.reaching(remote=True), model="tiny@away")).model == "tiny@away"
    assert {headers["Host"] for headers in proxy.headers} == {"models.invalid"}


async def test_without_any_upstream_that_may_be_asked_a_sentence_says_so() -> None:
    async with OtherServer() as remote, remote_of(remote) as client:
        with pytest.raises(ModelUnavailable, match="No server for models is set up that may be asked here"):
            await answer(client)
        with pytest.raises(ModelUnavailable, match="No server for models is set up that may be asked here"):
            await client.offered("chat")
        with pytest.raises(ModelUnavailable, match="There is no model for moderations"):
            await client.reaching(remote=True).moderate(["a"])
    assert remote.connections == 0


# Failures


async def test_an_upstream_that_is_gone_is_passed_over() -> None:
    async with OtherServer() as one, OtherServer() as two, client_of(one, two) as client:
        assert (await answer(client)).model == "tiny@one"
        await one.__aexit__()
        assert (await answer(client, model="tiny@one")).model == "tiny@two"
        assert await client.choose("chat", "tiny@one") == ModelChoice("tiny@two", ("tiny@two",), "tiny@one")


async def test_a_connection_that_breaks_before_the_first_word_is_tried_elsewhere() -> None:
    async with OtherServer("") as one, OtherServer() as two, client_of(one, two) as client:
        one.ending = "killed"
        events = await events_of(client)
    assert events[:-1] == [Delta("Par"), Delta("is")]
    assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_an_answer_that_breaks_off_is_not_begun_again() -> None:
    async with OtherServer() as one, OtherServer() as two, client_of(one, two) as client:
        one.ending = "killed"
        one.may_be_killed.clear()
        events = client.chat(QUESTION, temperature=1, seed=1)
        assert await anext(events) == Delta("Par")
        one.may_be_killed.set()
        with pytest.raises(ModelUnavailable, match="The answer of “one” broke off"):
            await anext(events)
        assert not two.requests
        assert (await answer(client)).model == "tiny@two"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_upstream_is_passed_over_for_as_long_as_it_asks(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.inference.upstreams.breaker.FIRST_PAUSE", 0)
    async with OtherServer() as one, OtherServer() as two, client_of(one, two) as client:
        one.failures = [(status, {"Retry-After": "600"})]
        assert [(await answer(client)).model for _ in range(2)] == ["tiny@two", "tiny@two"]
    assert len(one.requests) == 1


async def test_a_request_waits_for_the_only_upstream_as_long_as_it_asks() -> None:
    async with OtherServer() as one, client_of(one) as client:
        one.failures = [(429, {"Retry-After": "1"}), (503, {})]
        first, second, *_, last = await events_of(client)
        assert (first, second) == (Waiting(1, 1.0), Waiting(1, 1.0))
        assert isinstance(last, Answered)
        one.failures = [(429, {"Retry-After": "600"})]
        with pytest.raises(Busy, match="please try again in 600 seconds") as caught:
            await answer(client)
    assert caught.value.retry_after == 600


async def test_an_upstream_that_never_answers_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.inference.upstreams.routing.LIST_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        section = UpstreamSection(name="deaf", url=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        async with OtherServer() as well:
            other = Upstream(UpstreamSection(name="well", url=well.url))
            async with ModelClient.over([Upstream(section), other]) as client:
                assert (await answer(client)).model == "tiny@well"


async def test_a_server_that_lists_nothing_while_it_answers_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.inference.upstreams.routing.LIST_SECONDS", 0.3)
    monkeypatch.setattr("bot.inference.upstreams.upstream.LIST_SECONDS", 0)
    async with OtherServer(*"abcdefgh") as one, OtherServer() as two, client_of(one, two) as client:
        one.pause = 0.1
        events = client.chat(QUESTION, temperature=1, seed=1)
        assert await anext(events) == Delta("a")
        one.list_gate.clear()
        second = asyncio.create_task(answer(client))
        async for _ in events:
            pass
        assert (await second).model == "tiny@one"
        # Now it does nothing, and does not answer.
        assert (await answer(client)).model == "tiny@two"


async def test_a_redirection_is_not_followed() -> None:
    async with OtherServer() as local, OtherServer() as remote, client_of(local) as client:
        assert await client.offered("chat") == ["tiny@one"]
        local.failures = [(307, {"Location": f"{remote.url}/v1/chat/completions"})]
        with pytest.raises(Exception, match="status 307"):
            await answer(client)
    assert remote.connections == 0


async def test_requests_wait_for_their_turn_at_an_upstream_and_are_told_their_place() -> None:
    async with OtherServer() as one, client_of(one, at_once=1) as client:
        first = client.chat(QUESTION, temperature=1, seed=1, user="ann")
        assert await anext(first) == Delta("Par")
        second = client.chat(QUESTION, temperature=1, seed=1, user="ben")
        assert await anext(second) == Waiting(1, None)
        assert len(one.requests) == 1
        await first.aclose()
        assert await anext(second) == Delta("Par")
        await second.aclose()
        assert (await answer(client)).model == "tiny@one"


async def test_whoever_answers_again_is_asked_first_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.inference.upstreams.breaker.FIRST_PAUSE", 0)
    async with (
        OtherServer(listed=[{"id": "tiny"}, {"id": "e-embed"}]) as one,
        OtherServer() as two,
        client_of(one, two) as client,
    ):
        one.shapes["embeddings"] = {"data": [{"index": 0, "embedding": [1.0, 0.0]}]}
        one.failures = [(503, {})]
        assert (await answer(client)).model == "tiny@two"
        monkeypatch.setattr("bot.inference.upstreams.breaker.FIRST_PAUSE", 60)
        # Each request after a failure is a trial, also one that is not streamed, and closes the circuit.
        await client.embed(["a"], model="e-embed@one")
        assert (await answer(client)).model == "tiny@one"


async def test_the_first_model_does_not_depend_on_who_failed_lately() -> None:
    listed = [{"id": "tiny"}, {"id": "e-embed"}]
    async with OtherServer(listed=listed) as one, OtherServer(listed=listed) as two, client_of(one, two) as client:
        one.failures = [(503, {})]
        assert (await answer(client)).model == "tiny@two"
        assert await client.first("embeddings") == "e-embed@one"


@pytest.mark.parametrize("name", ["", "ours"])
async def test_what_our_server_refuses_in_its_stream_is_an_answer_and_goes_to_no_other_server(name: str) -> None:
    chunks = (
        {"choices": [], "tempera": {"queue": {"place": 1, "eta_s": 1}}},
        {"error": {"message": "It has too few words.", "type": "invalid_request_error", "status": 400}},
    )
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    async with crooked(plainly(stream.encode())) as url, OtherServer() as remote:
        ours = Upstream(Address(url=url, base=f"{url}/v1", name=name))
        others = Upstream(UpstreamSection(name="remote", url=remote.url, local=False))
        async with ModelClient.over([ours, others]) as client:
            with pytest.raises(ModelError, match=r"It has too few words\.$"):
                await answer(client.reaching(remote=True))
    assert not remote.requests
    assert not ours.breaker.is_open
