"""What is kept of upstreams, in real databases of both kinds."""

from collections.abc import Callable
from typing import Any

import pytest
from fakes.model_server.other_server import OtherServer

from bot import Answered, Turn
from bot.inference.client import ModelClient
from bot.inference.upstreams.memory import Memory
from bot.storage.database import Database
from bot.storage.key_value import Store


class CountingStore(Store):
    """Counts what is written."""

    writes = 0

    async def change(self, key: str, new: Callable[[Any], Any], *, scope: str = "") -> Any:
        self.writes += 1
        return await super().change(key, new, scope=scope)


@pytest.fixture
def store(database: Database) -> CountingStore:
    return CountingStore(database, "memory")


async def ask(client: ModelClient) -> Answered:
    events = [event async for event in client.chat([Turn("user", "hi")], temperature=1, seed=1, min_p=0.1, likely=20)]
    assert isinstance(events[-1], Answered)
    return events[-1]


async def requests_of_a_start(server: OtherServer, store: Store) -> int:
    """Return how many requests an answer needs in a process that has just started, and keep what it learns."""
    before = len(server.requests)
    async with ModelClient(server.url) as client:
        memory = Memory(client.upstreams, store)
        await memory.load()
        await ask(client)
        await memory.save()
    return len(server.requests) - before


async def test_what_was_learnt_outlives_a_start(store: CountingStore) -> None:
    async with OtherServer() as server:
        server.unknown = {"min_p", "logprobs"}
        # The first refusal of log-probabilities lets it ask for fewer.
        assert await requests_of_a_start(server, store) == 4
        assert await requests_of_a_start(server, store) == 1
        assert server.requests[-1].keys().isdisjoint({"min_p", "logprobs", "top_logprobs"})
        # What is known already is not written again.
        assert store.writes == 1
        async with ModelClient(server.url) as client:
            memory = Memory(client.upstreams, store)
            await memory.load()
            assert (await ask(client)).left_out == ("min_p",)


async def test_what_was_learnt_is_forgotten_with_other_models(store: CountingStore) -> None:
    async with OtherServer(listed=[{"id": "tiny"}, {"id": "big"}]) as server:
        server.unknown = {"min_p"}
        assert [await requests_of_a_start(server, store) for _ in range(2)] == [2, 1]
        server.listed = [{"id": "tiny"}, {"id": "bigger"}]
        assert [await requests_of_a_start(server, store) for _ in range(2)] == [2, 1]


async def test_what_was_learnt_is_forgotten_while_the_bot_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.inference.upstreams.upstream.LIST_SECONDS", 0)
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.unknown = {"min_p"}
        for _ in range(2):
            await ask(client)
        assert len(server.requests) == 3
        server.listed.append({"id": "big"})
        await ask(client)
        assert len(server.requests) == 5
        # Nor does it count any more as what was known at the start.
        (upstream,) = client.upstreams
        upstream.keep("tiny", upstream.learnt()["tiny"])
        monkeypatch.setattr("bot.inference.upstreams.abilities.KEPT_SECONDS", -1)
        await ask(client)
        assert len(server.requests) == 7


async def test_what_was_learnt_of_one_address_says_nothing_of_another(store: CountingStore) -> None:
    async with OtherServer() as one, OtherServer() as two:
        one.unknown = two.unknown = {"min_p"}
        assert [await requests_of_a_start(server, store) for server in (one, two, one, two)] == [2, 2, 1, 1]


async def test_what_is_outdated_is_deleted_and_learnt_again(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with OtherServer() as server:
        server.unknown = {"min_p"}
        await requests_of_a_start(server, store)
        assert await store.items()
        monkeypatch.setattr("bot.inference.upstreams.abilities.KEPT_SECONDS", -1)
        async with ModelClient(server.url) as client:
            await Memory(client.upstreams, store).load()
            assert not await store.items()
        assert await requests_of_a_start(server, store) == 2


async def test_processes_keep_together_what_each_learnt(store: CountingStore) -> None:
    async with OtherServer() as server, ModelClient(server.url) as one, ModelClient(server.url) as two:
        memories = [Memory(client.upstreams, store) for client in (one, two)]
        server.unknown = {"min_p"}
        await ask(one)
        server.unknown = {"seed"}
        await ask(two)
        for memory in memories * 2:
            await memory.save()
        assert store.writes == 2
        server.unknown = {"min_p", "seed"}
        assert await requests_of_a_start(server, store) == 1
