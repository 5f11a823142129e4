"""The queue over real sockets: trusted clients, its listing, deadlines, cancellation and fairness."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fakes.model_server.client import CHAT, chat, collect, error_of, events_of
from fakes.model_server.gateway import Gateway, eventually, is_ready, serving
from openai import AsyncOpenAI

PROGRESS = {"stream": True, "stream_options": {"include_progress": True}}
KEY = {"Authorization": "Bearer trusted"}


@pytest.fixture
async def parrot(tmp_path: Path) -> AsyncIterator[str]:
    """The address of a server that has a trusted key but needs none, and runs one job at a time."""
    async with serving(tmp_path, trusted_key="trusted") as url:
        await eventually(lambda: is_ready(url))
        yield url


async def queue_of(http: aiohttp.ClientSession, model: str = "") -> dict[str, Any]:
    """The queue of this model, or of the first one."""
    async with http.get("/v1/queue") as response:
        body = await response.json()
    assert body["object"] == "list"
    return dict(next(queue for queue in body["data"] if model in ("", queue["model"])))


async def first_place(http: aiohttp.ClientSession, user: str) -> int:
    """Return the first place in the queue of a new request, which is then cancelled."""
    async with http.post(CHAT, json=chat("a", user=user, **PROGRESS)) as response:
        async for event in events_of(response):
            return int(event["tempera"]["queue"]["place"])
    raise AssertionError("the stream ended without a place")


# Trusted clients


async def test_user_names_are_only_believed_from_clients_with_a_known_key(parrot: str) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    async with (
        aiohttp.ClientSession(parrot) as stranger,
        aiohttp.ClientSession(parrot, headers=wrong) as other,
        aiohttp.ClientSession(parrot, headers=KEY) as bot,
    ):
        async with bot.post(CHAT, json=chat("forever", stream=True, user="ann")):
            waiting = [asyncio.create_task(collect(bot, chat("a", user="ann", **PROGRESS))) for _ in range(3)]
            await eventually(lambda: _waits(bot, 3))
            assert await first_place(bot, "ann") == 4
            assert await first_place(bot, "ben") == 1
            asked = [(stranger, chat("b", user="u0", **PROGRESS)), (other, chat("b", user="u1", **PROGRESS))]
            strangers = [asyncio.create_task(collect(*one)) for one in asked]
            await eventually(lambda: _waits(bot, 5))
            shown = [job["user"] for job in (await queue_of(bot))["jobs"]]
            assert shown[0] == "ann"
            assert sorted(shown) == ["address:127.0.0.1"] * 2 + ["ann"] * 4
            for one in (stranger, other):
                assert all("user" not in job for job in (await queue_of(one))["jobs"])
        for told in await asyncio.gather(*waiting, *strangers):
            assert told[-1] == "[DONE]"


async def test_a_client_without_a_key_cannot_cancel_the_bots_job(parrot: str) -> None:
    async with (
        aiohttp.ClientSession(parrot) as stranger,
        aiohttp.ClientSession(parrot, headers=KEY) as bot,
        bot.post(CHAT, json=chat("forever", stream=True, user="ann")) as running,
    ):
        job = running.headers["X-Job-Id"]
        async with stranger.delete(f"/v1/jobs/{job}") as response:
            assert (response.status, (await error_of(response))["code"]) == (404, "job_not_found")
        async with bot.delete(f"/v1/jobs/{job}") as response:
            assert response.status == 200


# The listing


async def test_the_queue_shows_jobs_and_statistics_and_no_prompts(parrot: str) -> None:
    async with aiohttp.ClientSession(parrot) as http:
        empty = await queue_of(http)
        assert empty == {
            "model": "parrot",
            "capacity": 1,
            "running": 0,
            "waiting": 0,
            "mean_seconds": None,
            "tokens_per_second": None,
            "prefix_hit_rate": None,
            "jobs": [],
        }
        for cached in (0, 2):
            async with http.post(CHAT, json=chat("secret words")) as response:
                usage = (await response.json())["usage"]
            assert usage["prompt_tokens_details"] == {"cached_tokens": cached}
        async with http.post(CHAT, json=chat("forever", stream=True)) as running:
            waiting = asyncio.create_task(collect(http, chat("secret", stream=True)))
            await eventually(lambda: _waits(http, 1))
            shown = await queue_of(http)
        await waiting
    assert (shown["running"], shown["waiting"], shown["prefix_hit_rate"]) == (1, 1, 0.5)
    assert shown["mean_seconds"] > 0
    assert shown["tokens_per_second"] > 0
    first, second = shown["jobs"]
    assert (first["id"], first["state"], first["place"]) == (running.headers["X-Job-Id"], "running", None)
    assert (second["state"], second["place"]) == ("waiting", 1)
    assert first["age_s"] >= second["age_s"] >= 0
    assert "secret" not in str(shown)


async def _waits(http: aiohttp.ClientSession, count: int) -> bool:
    return bool((await queue_of(http))["waiting"] == count)


async def test_progress_is_only_streamed_to_requests_that_ask_for_it(parrot: str) -> None:
    async with aiohttp.ClientSession(parrot) as http:
        async with http.post(CHAT, json=chat("forever", stream=True)):
            asks = asyncio.create_task(collect(http, chat("a b", seed=9, **PROGRESS)))
            await eventually(lambda: _waits(http, 1))
            ignores = asyncio.create_task(collect(http, chat("a b", stream=True)))
            await eventually(lambda: _waits(http, 2))
        first, *_ = told = await asks
        others = await ignores
    assert (first["choices"], first["tempera"]["queue"]["place"], told[-1]) == ([], 1, "[DONE]")
    last = told[-2]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["tempera"].pop("seconds") > 0
    assert last["tempera"] == {"job": first["tempera"]["job"], "seed": 9, "dropped_turns": 0}
    assert all(event["choices"] for event in others if event != "[DONE]")


# Deadlines


async def test_a_deadline_ends_requests_with_and_without_a_stream(parrot: str) -> None:
    async with aiohttp.ClientSession(parrot) as http:
        async with http.post(CHAT, json=chat("forever", deadline_s=0.2)) as response:
            assert (response.status, response.headers["x-should-retry"]) == (504, "false")
            assert (await error_of(response))["code"] == "deadline_exceeded"
        *_, last = await collect(http, chat("forever", stream=True, deadline_s=0.2))
        assert (last["error"]["code"], last["error"]["status"]) == ("deadline_exceeded", 504)
        await eventually(lambda: _is_idle(http))


async def _is_idle(http: aiohttp.ClientSession, model: str = "") -> bool:
    shown = await queue_of(http, model)
    return bool(shown["running"] == shown["waiting"] == 0)


# Cancelling


async def test_a_job_that_is_cancelled_while_it_waits_never_reaches_the_worker(parrot: str, tmp_path: Path) -> None:
    async with aiohttp.ClientSession(parrot) as http:
        async with http.post(CHAT, json=chat("forever", stream=True)):
            async with http.post(CHAT, json=chat("a", **PROGRESS)) as waiting:
                job = waiting.headers["X-Job-Id"]
                await eventually(lambda: _waits(http, 1))
                waiting.close()
            await eventually(lambda: _waits(http, 0))
        assert (await collect(http, chat("b", stream=True)))[-1] == "[DONE]"
    assert not [line for line in _journal(tmp_path) if job in line]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("state", ["running", "waiting"])
async def test_every_job_can_be_cancelled_by_its_id(parrot: str, state: str, stream: bool) -> None:
    async with aiohttp.ClientSession(parrot) as http:
        asked = [asyncio.create_task(_outcome(http, chat("forever", stream=stream))) for _ in range(2)]
        await eventually(lambda: _waits(http, 1))
        [victim] = [job["id"] for job in (await queue_of(http))["jobs"] if job["state"] == state]
        async with http.delete(f"/v1/jobs/{victim}") as response:
            assert response.status == 200
        done, others = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert [await request for request in done] == ["cancelled"]
        [left] = (await queue_of(http))["jobs"]
        assert left["state"] == "running"
        async with http.delete(f"/v1/jobs/{left['id']}") as response:
            assert response.status == 200
        assert [await request for request in others] == ["cancelled"]


async def _outcome(http: aiohttp.ClientSession, body: dict[str, Any]) -> str:
    async with http.post(CHAT, json=body) as response:
        if response.status != 200:
            assert (response.status, response.headers["X-Job-Id"][:4]) == (499, "job_")
            return str((await error_of(response))["code"])
        *_, last = [event async for event in events_of(response)]
        return str(last["error"]["code"])


# Dials and log-probabilities


@pytest.mark.parametrize(
    ("path", "asked"),
    [(CHAT, chat("x")), ("/v1/completions", {"model": "parrot", "prompt": "x"})],
    ids=["chat", "completion"],
)
async def test_a_dial_returns_the_distribution_of_the_next_token(
    http: aiohttp.ClientSession, path: str, asked: dict[str, Any]
) -> None:
    async with http.post(path, json=asked | {"dial": True}) as response:
        answer = await response.json()
    assert answer["tempera"]["dial"] == {
        "tokens": [
            {"token": "a", "id": 7, "bytes": [97], "logit": 2.0, "after": 0.75},
            {"token": "\ufffd", "id": 9, "bytes": [0xE2, 0x82], "logit": 1.0, "after": 0.25},
        ],
        "temperatures": [0.5, 1.0],
        "log_sum_exp": [4.127, 2.313],
        "entropy": [0.365, 0.582],
        "drawn": {"token": "a", "id": 7, "bytes": [97], "logit": 2.0, "after": 0.75},
        "prompt": [{"id": 1, "bytes": [60], "special": True}, {"id": 3, "bytes": [120]}],
    }
    assert answer["usage"]["completion_tokens"] == 0


async def test_log_probabilities_after_temperature_come_beside_the_models_own(http: aiohttp.ClientSession) -> None:
    asked = chat("one two", logprobs=True, top_logprobs=1)
    async with http.post(CHAT, json=asked) as response:
        answer = await response.json()
    own, after = answer["choices"][0]["logprobs"]["content"], answer["tempera"]["logprobs_after"]
    assert [token.keys() for token in own] == [token.keys() for token in after]
    assert [(token["token"], token["logprob"]) for token in own] == [("one", -0.5), ("two", -0.5)]
    assert [(token["token"], token["logprob"]) for token in after] == [("one", -0.25), ("two", -0.25)]
    chunks = [event for event in await collect(http, asked | {"stream": True}) if event != "[DONE]"]
    told = [chunk["tempera"].get("logprobs_after") for chunk in chunks]
    assert told == [None, [after[0]], [after[1]], None]
    async with http.post(CHAT, json=chat("one two")) as response:
        assert "logprobs_after" not in (await response.json())["tempera"]


# Many at once


@pytest.mark.load
async def test_a_user_with_one_request_goes_before_a_user_with_fifty(tmp_path: Path) -> None:
    async with serving(tmp_path, trusted_key="trusted") as url:
        await eventually(lambda: is_ready(url))
        everybody = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(url, headers=KEY, connector=everybody) as bot:
            words = "one two three four five six"
            async with bot.post(CHAT, json=chat("forever", stream=True, user="many")):
                many = [asyncio.create_task(collect(bot, chat(words, user="many", stream=True))) for _ in range(49)]
                await eventually(lambda: _waits(bot, 49))
                one = await bot.post(CHAT, json=chat(words, user="one", **PROGRESS))
                job = one.headers["X-Job-Id"]
                events = events_of(one)
                place = (await anext(events))["tempera"]["queue"]["place"]
                before = len(_journal(tmp_path))
            assert [event async for event in events][-1] == "[DONE]"
            journal = _journal(tmp_path)
            await asyncio.gather(*many)
    assert place == 1
    assert next(line for line in journal[before:] if line.startswith("add")) == f"add {job}"


@pytest.mark.load
async def test_dropping_ten_of_thirty_two_streams_leaves_the_others_complete(tmp_path: Path) -> None:
    words = " ".join(f"w{number}" for number in range(20))
    async with serving(tmp_path, models=["flock"]) as url, aiohttp.ClientSession(url) as http:
        await eventually(lambda: is_ready(url))

        async def all_came() -> bool:
            return (await queue_of(http))["waiting"] + len(_lines(tmp_path, "add")) >= 32

        dropped, texts = await _drop_and_read(url, words, all_came)
        assert texts == [words] * 22
        await eventually(lambda: _is_idle(http))
    assert {f"remove {job}" for job in dropped} == set(_lines(tmp_path, "remove"))
    journal = _journal(tmp_path)
    for place, line in enumerate(journal):
        rest = journal[place:]
        if line.startswith("remove") and any(later.startswith("add") for later in rest):
            assert any(later.startswith("add") for later in _before_step(rest, 2)), "a free slot was left empty"


async def _drop_and_read(url: str, words: str, may_drop: Callable[[], Awaitable[bool]]) -> tuple[list[str], list[str]]:
    """Close ten streams in the middle, once `may_drop` allows it, and read 22 others; return job ids and texts."""

    async def drop() -> str:
        stream = await client.chat.completions.create(**chat("forever") | {"model": "flock"}, stream=True)
        read = 0
        async for chunk in stream:
            read += 1
            if read >= 3 and await may_drop():
                await stream.close()
                return chunk.id.removeprefix("chatcmpl-")
        raise AssertionError("an endless stream ended")

    async def read() -> str:
        stream = await client.chat.completions.create(**chat(words) | {"model": "flock"}, stream=True)
        return "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])

    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        droppers = [asyncio.create_task(drop()) for _ in range(10)]
        readers = [asyncio.create_task(read()) for _ in range(22)]
        return await asyncio.gather(*droppers), await asyncio.gather(*readers)


async def test_a_slot_is_free_within_a_step_of_the_cancellation(tmp_path: Path) -> None:
    async with serving(tmp_path, models=["flock"]) as url, aiohttp.ClientSession(url) as http:
        await eventually(lambda: is_ready(url))
        # A busy machine may hold up what the worker is told, but not each time.
        counts = [await _count_steps_with_cancelled_job(http, tmp_path) for _ in range(5)]
    # The running step may end, but no step with the job may begin.
    assert min(counts) <= 1


async def _count_steps_with_cancelled_job(http: aiohttp.ClientSession, folder: Path) -> int:
    """Cancel one of two running jobs; return how many steps end between that and its removal."""
    asked = chat("forever", stream=True) | {"model": "flock"}
    async with http.post(CHAT, json=asked) as victim, http.post(CHAT, json=asked) as other:
        await anext(events_of(victim))
        await anext(events_of(other))
        job = victim.headers["X-Job-Id"]
        async with http.delete(f"/v1/jobs/{job}"):
            before = len(_journal(folder))
        await eventually(lambda: f"remove {job}" in _journal(folder))
    journal = _journal(folder)
    return journal[before : journal.index(f"remove {job}")].count("step")


def _journal(folder: Path) -> list[str]:
    return (folder / "journal").read_text().splitlines()


def _lines(folder: Path, kind: str) -> list[str]:
    return [line for line in _journal(folder) if line.startswith(kind)]


def _before_step(journal: list[str], number: int) -> list[str]:
    places = [place for place, line in enumerate(journal) if line == "step"]
    return journal[: places[number - 1]] if len(places) >= number else journal


async def test_a_shared_gateway_shows_all_its_models(http: aiohttp.ClientSession, gateway: Gateway) -> None:
    async with http.get("/v1/queue") as response:
        data = (await response.json())["data"]
    assert [queue["model"] for queue in data] == ["parrot", "painter", "ruler", "judge"]
