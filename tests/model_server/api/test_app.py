"""The gateway over real sockets: errors, streams, access, cancelled requests and killed processes."""

import asyncio
import contextlib
import io
import json
import logging
import os
import signal
from pathlib import Path

import aiohttp
import openai
import pytest
from fakes.model_server.client import CHAT, chat, collect, error_of
from fakes.model_server.gateway import Gateway, eventually, free_port, is_ready, running_gateway, serving
from fakes.model_server.slow_cache import SlowCache
from openai import AsyncOpenAI
from prometheus_client.parser import text_string_to_metric_families

from model_server.api.app import MAX_BODY_BYTES, serve
from model_server.files.cache import ModelCache

# Errors


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nothing", None, 404, "not_found"),
        ("GET", "/v1/models/nothing", None, 404, "model_not_found"),
        ("GET", CHAT, None, 405, "method_not_allowed"),
        ("DELETE", "/v1/jobs/job_0", None, 404, "job_not_found"),
        ("POST", CHAT, b"{", 400, "invalid_value"),
        ("POST", CHAT, b"[1]", 400, "invalid_value"),
        ("POST", CHAT, b"{}", 400, "invalid_value"),
        ("POST", CHAT, b" " * (MAX_BODY_BYTES + 1), 413, "request_entity_too_large"),
        ("POST", CHAT, json.dumps(chat("x") | {"model": "parot"}).encode(), 404, "model_not_found"),
        ("POST", CHAT, json.dumps(chat("x") | {"model": "ruler"}).encode(), 400, "wrong_model"),
        ("POST", "/v1/embeddings", b'{"model": "parrot", "input": "x"}', 400, "wrong_model"),
        ("POST", "/v1/images/generations", b'{"model": "parrot"}', 400, "wrong_model"),
        ("POST", CHAT, json.dumps(chat("refuse")).encode(), 400, "context_length_exceeded"),
        ("POST", CHAT, json.dumps(chat("refuse", stream=True)).encode(), 400, "context_length_exceeded"),
    ],
)
async def test_each_request_error_has_its_status_and_openais_shape(
    http: aiohttp.ClientSession, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    async with http.request(method, path, data=body and io.BytesIO(body)) as response:
        assert response.status == status
        error = await error_of(response)
    assert (error["type"], error["code"]) == ("invalid_request_error", code)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_packed_as_it_says_is_refused(http: aiohttp.ClientSession, encoding: str) -> None:
    # The body is sent as it stands, since the length is given.
    headers = {"Content-Encoding": encoding, "Content-Length": "8"}
    async with http.post(CHAT, data=b"no zip, ", headers=headers) as response:
        assert response.status == 400
        assert (await error_of(response))["message"].startswith("The body cannot be read: it is not what its Content-")


# Streams and their jobs


@pytest.mark.parametrize("stream", [True, False])
async def test_leaving_a_request_cancels_its_job(http: aiohttp.ClientSession, gateway: Gateway, stream: bool) -> None:
    before = len(gateway.journal())
    request = asyncio.create_task(collect(http, chat("forever", stream=stream)))
    await eventually(lambda: len(gateway.journal()) > before)
    request.cancel()
    added, job = gateway.journal()[before].split()
    assert added == "add"
    await eventually(lambda: f"remove {job}" in gateway.journal())


@pytest.mark.load
async def test_a_full_queue_says_when_to_retry(http: aiohttp.ClientSession) -> None:
    async with http.post(CHAT, json=chat("forever", stream=True)) as running:
        requests = [asyncio.create_task(_refusal(http)) for _ in range(80)]
        done, _ = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
        for status, code, retry_after in [await request for request in done]:
            assert (status, code) == (429, "user_queue_full")
            assert 1 <= int(retry_after) <= 60
        for request in requests:
            request.cancel()
        running.close()
    await asyncio.gather(*requests, return_exceptions=True)


async def _refusal(http: aiohttp.ClientSession) -> tuple[int, str, str]:
    async with http.post(CHAT, json=chat("a")) as response:
        return response.status, (await error_of(response))["code"], response.headers["Retry-After"]


# Workers that end


@pytest.mark.chaos
async def test_a_stream_fails_when_its_worker_is_killed_and_the_next_request_is_answered(gateway: Gateway) -> None:
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(**chat("pid"), stream=True)
        with pytest.raises(openai.APIError, match="please ask again"):  # noqa: PT012 - it raises while it is read
            async for chunk in stream:
                if pid := chunk.choices[0].delta.content:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                    break
            async for _ in stream:
                pass
        answer = await client.chat.completions.create(**chat("the next one"))
        assert answer.choices[0].message.content == "the next one"


@pytest.mark.chaos
async def test_the_gateway_answers_while_a_worker_is_stuck(http: aiohttp.ClientSession, gateway: Gateway) -> None:
    before = len(gateway.journal())
    stuck = asyncio.create_task(http.post(CHAT, json=chat("hang")))
    await eventually(lambda: len(gateway.journal()) > before)
    for path in ("/health/live", "/health/ready", "/v1/models"):
        async with http.get(path) as response:
            assert response.status == 200
    async with http.post("/v1/embeddings", json={"model": "ruler", "input": "x"}) as response:
        assert response.status == 200
    [parrot] = [pid for pid in _children(gateway.process.pid) if _is_worker_of("parrot", pid)]
    os.kill(parrot, signal.SIGKILL)
    async with await stuck as response:
        assert (response.status, (await error_of(response))["code"]) == (503, "worker_died")


@pytest.mark.chaos
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_workers_end_when_the_gateway_ends(tmp_path: Path, end: signal.Signals) -> None:
    with running_gateway(tmp_path) as gateway:
        workers = _children(gateway.process.pid)
        assert len(workers) == 4
        gateway.process.send_signal(end)
        await asyncio.to_thread(gateway.process.wait)
        await eventually(lambda: not any(map(_runs, workers)))


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _is_worker_of(name: str, pid: int) -> bool:
    return name in Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def _runs(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# While models are fetched


async def test_metrics_count_what_was_asked_written_and_refused(http: aiohttp.ClientSession) -> None:
    async def read() -> dict[str, float]:
        async with http.get("/metrics") as response:
            assert response.content_type == "text/plain"
            families = text_string_to_metric_families(await response.text())
        return {
            " ".join([sample.name, *sorted(sample.labels.values())]): sample.value
            for family in families
            for sample in family.samples
        }

    before = await read()
    await collect(http, chat("a b", stream=True))
    async with http.post(CHAT, json={"model": "parrot"}) as response:
        assert response.status == 400
    now = await read()

    def grown(name: str) -> float:
        return now[name] - before.get(name, 0)

    assert grown(f"tempera_models_requests_total  {CHAT} 200") == 1
    assert grown(f"tempera_models_requests_total {CHAT} 400 invalid_value") == 1
    assert grown("tempera_models_first_output_seconds_count parrot") == 1
    assert grown("tempera_models_tokens_total parrot") == 2
    assert now["tempera_models_ready parrot"] == 1
    assert now["tempera_models_waiting parrot"] == now["tempera_models_running parrot"] == 0
    assert now["tempera_models_memory_bytes parrot"] > 1e6
    assert now["tempera_models_tasks"] > 1


async def test_readiness_names_missing_models_and_their_progress(tmp_path: Path) -> None:
    model_cache = SlowCache(tmp_path)
    async with serving(tmp_path, model_cache) as url, aiohttp.ClientSession(url) as http:
        async with http.get("/health/ready") as response:
            assert response.status == 503
            body = await response.json()
        assert body == {"status": "starting", "models": [], "missing": {"parrot": "fetching weights.bin, 43%"}}
        async with http.post(CHAT, json=chat("a")) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
            error = await error_of(response)
        assert error["message"] == "parrot is not ready yet: fetching weights.bin, 43%."
        async with http.get("/v1/models") as response:
            assert (await response.json())["data"][0]["tempera"]["ready"] is False
        model_cache.go_on.set()
        await eventually(lambda: is_ready(url))
        async with http.get("/health/ready") as response:
            assert await response.json() == {"status": "ready", "models": ["parrot"]}
        async with http.get("/v1/models") as response:
            told = (await response.json())["data"][0]["tempera"]
            assert (told["ready"], told["context"]) == (True, 64)


async def test_a_failed_fetch_is_explained_to_the_operator_only(tmp_path: Path) -> None:
    model_cache = SlowCache(tmp_path)
    model_cache.problem = "weights.bin has the wrong hash; put it into ~/.cache/tempera."
    model_cache.go_on.set()
    async with serving(tmp_path, model_cache) as url, aiohttp.ClientSession(url) as http:

        async def is_failed() -> bool:
            async with http.get("/health/ready") as response:
                return bool((await response.json())["missing"]["parrot"] == f"failed: {model_cache.problem}")

        await eventually(is_failed)
        async with http.post(CHAT, json=chat("a")) as response:
            assert response.status == 503
            assert "~" not in (await error_of(response))["message"]


async def test_a_request_is_logged_in_one_line_without_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(tmp_path, ModelCache(tmp_path)) as url, aiohttp.ClientSession(url) as http:
        await eventually(lambda: is_ready(url))
        async with http.post(CHAT, json=chat("confidential words")) as response:
            job = response.headers["X-Job-Id"]
            assert response.status == 200
        async with http.post(CHAT, json=chat("confidential words", temperature=3)) as response:
            assert response.status == 400
    good, bad = [record.getMessage() for record in caplog.records if f"route={CHAT}" in record.getMessage()]
    assert good.startswith(f"method=POST route={CHAT} status=200 ms=")
    assert good.endswith(f"model=parrot job={job} error=-")
    assert bad.endswith("model=- job=- error=invalid_value")
    assert "confidential" not in caplog.text


# Access


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, "foreign_host"),
        ({"Host": "127.0.0.1.evil.example:8400"}, "foreign_host"),
        ({"Origin": "https://evil.example"}, "foreign_origin"),
        ({"Origin": "null"}, "foreign_origin"),
        ({"Origin": "http://localhost:3000"}, "foreign_origin"),
    ],
    ids=str,
)
async def test_requests_from_web_pages_of_other_sites_are_refused(
    http: aiohttp.ClientSession, headers: dict[str, str], code: str
) -> None:
    async with http.get("/v1/models", headers=headers) as response:
        assert response.status == 403
        assert (await error_of(response))["code"] == code
    async with http.options(CHAT, headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 403
        assert not [name for name in response.headers if name.lower().startswith("access-control-")]


async def test_the_host_names_of_this_machine_are_accepted(http: aiohttp.ClientSession) -> None:
    for host in ("localhost", "LOCALHOST:8400", "127.0.0.1:1", "[::1]:8400"):
        async with http.get("/v1/models", headers={"Host": host}) as response:
            assert response.status == 200
    async with http.get(
        "/v1/models", headers={"Host": "localhost:8400", "Origin": "http://localhost:8400"}
    ) as response:
        assert response.status == 200


async def test_every_request_needs_a_key_if_there_is_one(tmp_path: Path) -> None:
    keys = {"api_key": "open sesame", "trusted_key": "trusted"}
    async with serving(tmp_path, models=(), **keys) as url, aiohttp.ClientSession(url) as http:
        for given in (None, "open sesame", "Bearer", "Bearer wrong", "Basic open sesame", "Bearer \udcff"):
            headers = {} if given is None else {"Authorization": given}
            for path in ("/v1/models", "/health/ready"):
                async with http.get(path, headers=headers) as response:
                    assert response.status == 401
                    assert (await error_of(response))["code"] == "invalid_api_key"
        async with http.get("/health/live") as response:
            assert response.status == 200
        for key in keys.values():
            async with AsyncOpenAI(base_url=f"{url}/v1", api_key=key) as client:
                assert [model async for model in client.models.list()] == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org"])
async def test_the_server_does_not_start_on_the_network_without_a_key(host: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs an API key"):
        await serve(host=host, port=free_port(), entries=[], model_cache=ModelCache(tmp_path), api_key=None)


async def test_a_taken_port_is_an_os_error(server_url: str, tmp_path: Path) -> None:
    port = int(server_url.rpartition(":")[2])
    with pytest.raises(OSError, match=str(port)):
        await serve(host="127.0.0.1", port=port, entries=[], model_cache=ModelCache(tmp_path), api_key=None)
