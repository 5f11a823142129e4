"""A smaller model that answers until the larger one is loaded, over real sockets and with real worker processes."""

from pathlib import Path
from typing import Any

import aiohttp
from fakes.model_server.client import CHAT, chat, events_of
from fakes.model_server.gateway import FACTORY, eventually, flock, is_ready, listening
from fakes.model_server.slow_cache import SlowCache


def lives(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


async def answer(http: aiohttp.ClientSession, model: str) -> tuple[str, str]:
    """The model that answered, and what."""
    async with http.post(CHAT, json=chat("a b") | {"model": model}) as response:
        body = await response.json()
    return body["model"], body["choices"][0]["message"]["content"]


async def listed(http: aiohttp.ClientSession) -> dict[str, Any]:
    async with http.get("/v1/models") as response:
        return {model["id"]: model["tempera"] for model in (await response.json())["data"]}


async def test_a_smaller_model_answers_until_the_larger_one_takes_over(tmp_path: Path) -> None:
    small = flock(tmp_path)
    large, cache = small.model_copy(update={"name": "eagle", "languages": ("en",)}), SlowCache(tmp_path, "eagle")
    told = {"notes": ["Chosen."], "alternatives": [{"model": "eagle", "chosen": True}]}
    settings: dict[str, Any] = {"model_cache": cache, "factory": FACTORY, **told}
    async with (
        listening(entries=[large], stand_ins={"eagle": small}, **settings) as url,
        aiohttp.ClientSession(url) as http,
    ):
        await eventually(lambda: is_ready(url))
        async with http.get("/health/ready") as response:
            assert await response.json() == {
                "status": "ready",
                "models": ["flock"],
                "coming": {"eagle": "fetching weights.bin, 43%"},
                **told,
            }
        assert await answer(http, "eagle") == await answer(http, "flock") == ("flock", "a b")
        models = await listed(http)
        assert list(models) == ["eagle", "flock"]
        assert (models["eagle"]["stand_in"], models["eagle"]["state"]) == ("flock", "fetching weights.bin, 43%")
        assert models["eagle"]["languages"] == ["en"]
        assert "languages" not in models["flock"]

        # This prompt is answered with the process id, and then without end.
        async with http.post(CHAT, json=chat("pid", stream=True) | {"model": "eagle"}) as stream:
            events, pid = events_of(stream), ""
            while not pid:
                event = await anext(events)
                assert event["model"] == "flock"
                pid = "".join(choice["delta"].get("content") or "" for choice in event["choices"]).strip()
            assert lives(pid)
            cache.go_on.set()

            async def has_taken_over() -> bool:
                return list(await listed(http)) == ["eagle"]

            await eventually(has_taken_over)
            # What was begun goes on, and what comes then is for the larger model, under either name.
            assert await answer(http, "eagle") == await answer(http, "flock") == ("eagle", "a b")
            assert (await anext(events))["model"] == "flock"
            assert "stand_in" not in (await listed(http))["eagle"]
            assert await working(http) == ["eagle", "flock"]

        await eventually(lambda: not lives(pid))
        assert await working(http) == ["eagle"]
        async with http.get("/health/ready") as response:
            assert await response.json() == {"status": "ready", "models": ["eagle"], **told}


async def working(http: aiohttp.ClientSession) -> list[str]:
    """The models that may have jobs."""
    async with http.get("/v1/queue") as response:
        return [queue["model"] for queue in (await response.json())["data"]]
