"""Clients that do not finish what they send, or do not read what they are sent."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from fakes.model_server.client import CHAT, chat
from fakes.model_server.gateway import eventually, is_ready, serving
from fakes.platforms.raw_client import raw_client, request

from http_server.listening import Limits

QUICK = Limits(request_seconds=0.3, body_seconds=0.3, stall_seconds=0.5)


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with serving(tmp_path, limits=QUICK) as address:
        await eventually(lambda: is_ready(address))
        yield address


@pytest.mark.parametrize(
    ("path", "kind"), [(CHAT, "application/json"), ("/v1/images/variations", "multipart/form-data; boundary=x")]
)
async def test_a_body_without_an_end_is_refused_in_openais_shape(url: str, path: str, kind: str) -> None:
    async with raw_client(url) as slow:
        await slow.send(request(url, "POST", path, Content_Length="1000", Content_Type=kind, Origin="") + b"--x")
        status, text = await slow.read_answer()
        assert (status, json.loads(text)["error"]["code"]) == (408, "request_timeout")
        assert "did not arrive in time" in text


async def test_the_job_of_a_client_that_reads_nothing_is_cancelled(url: str, tmp_path: Path) -> None:
    # A chunk has a few kilobytes with these, so that the buffers of the system are soon full.
    body = json.dumps(chat("forever", stream=True, logprobs=True, top_logprobs=20)).encode()
    async with raw_client(url) as deaf:
        await deaf.send(request(url, "POST", CHAT, body, Content_Type="application/json", Origin=""))
        journal = tmp_path / "journal"
        await eventually(lambda: journal.exists() and "remove job_" in journal.read_text())
        async with aiohttp.ClientSession(url) as session, session.post(CHAT, json=chat("a b")) as answer:
            assert (await answer.json())["choices"][0]["message"]["content"] == "a b"
