"""The real model server as a child process. It finds no model files, so it listens without loading a model."""

import asyncio
import importlib.util
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
from aiohttp import web
from fakes.model_server.broken_api import crooked
from fakes.model_server.gateway import PATIENCE_SECONDS, answers, eventually

from bot.config.sections import ModelServerSection
from bot.core.errors import BotError
from bot.inference.local_server import LocalServer, Timing

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the model server is not installed")

PARENT = """
import asyncio, sys
from bot.config.sections import ModelServerSection
from bot.inference.local_server import LocalServer
asyncio.run(LocalServer(ModelServerSection(url=sys.argv[1]), "key").run())
"""


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> str:
    """The address for a server that has no model files and nowhere to fetch them from."""
    nowhere = {"TEMPERA_CACHE": str(tmp_path), "PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1"}
    for name, value in nowhere.items():
        monkeypatch.setenv(name, value)
    return f"http://127.0.0.1:{unused_tcp_port}"


def children(parent: int | None = None) -> list[psutil.Process]:
    """Return the model servers that a process started, without their own children."""
    found = []
    for child in psutil.Process(parent).children():
        # A process that has just ended has no command line.
        with suppress(psutil.NoSuchProcess):
            if "model_server" in " ".join(child.cmdline()):
                found.append(child)
    return found


def is_over(process: psutil.Process) -> bool:
    """Return whether a process has ended, also if its status has not been read yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@asynccontextmanager
async def kept(url: str, timing: Timing | None = None, **keys: str) -> AsyncIterator[None]:
    """A server that is kept alive while the context lasts. `keys`: what the configuration has beside its address."""
    section = ModelServerSection.model_validate({"url": url, **keys})
    task = asyncio.create_task(LocalServer(section, "key", timing).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.processes
async def test_the_server_starts_and_ends_with_the_bot(url: str) -> None:
    async with kept(url):
        await eventually(lambda: answers(url))
        (child,) = children()
    assert is_over(child)
    assert not await answers(url)


@pytest.mark.chaos
async def test_a_killed_server_is_restarted(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with kept(url):
        await eventually(lambda: answers(url))
        (first,) = children()
        first.send_signal(signal.SIGKILL)
        await eventually(lambda: any(child.pid != first.pid for child in children()))
        await eventually(lambda: answers(url))
        (second,) = children()
    assert "The model server ended with status -9; starting it again in 1 s." in caplog.text
    assert is_over(second)


@pytest.mark.chaos
async def test_the_server_ends_when_the_bot_is_killed(url: str) -> None:
    bot = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, url, env=dict(os.environ))
    try:
        await eventually(lambda: answers(url))
        (child,) = children(bot.pid)
    finally:
        bot.kill()
        await asyncio.wait_for(bot.wait(), PATIENCE_SECONDS)
    await eventually(lambda: is_over(child))


@pytest.mark.processes
async def test_a_server_that_cannot_start_is_tried_ever_more_seldom(url: str, caplog: pytest.LogCaptureFixture) -> None:
    def pauses() -> list[float]:
        return [record.args[1] for record in caplog.records if isinstance(record.args, tuple)]

    with caplog.at_level(logging.ERROR, "bot.inference.local_server"), socket.create_server(("127.0.0.1", 0)) as deaf:
        # This socket never answers the health check, and no other server can listen on its port.
        timing = Timing(answer=0.1, first_pause=0.01, longest_pause=0.02)
        async with kept(f"http://127.0.0.1:{deaf.getsockname()[1]}", timing):
            await eventually(lambda: len(pauses()) >= 3)
    assert pauses()[:3] == [0.01, 0.02, 0.02]


@pytest.mark.processes
@pytest.mark.parametrize(("keys", "known_by"), [({}, "key"), ({"trusted_key": "configured"}, "configured")])
async def test_the_server_gets_the_key_of_the_bot(url: str, keys: dict[str, str], known_by: str) -> None:
    async with kept(url, **keys):
        await eventually(lambda: answers(url))
        (child,) = children()
        assert child.environ()["TEMPERA_MODEL_SERVER__TRUSTED_KEY"] == known_by


@pytest.mark.parametrize(
    ("keys", "warnings"), [({}, 1), ({"api_key": "configured"}, 0), ({"trusted_key": "configured"}, 0)]
)
async def test_a_server_that_answers_already_is_left_alone(
    keys: dict[str, str], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    looks = 0

    async def live(request: web.Request) -> web.Response:
        nonlocal looks
        looks += 1
        return web.json_response({})

    async with crooked(live, "/health/live") as url, kept(url, Timing(look=0.01), **keys):
        await eventually(lambda: looks >= 3)
        assert children() == []
    assert caplog.text.count(f"This bot did not start the server at {url}: it treats all users") == warnings


async def test_the_error_for_missing_packages_says_how_to_install_them(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BotError, match=r"pip install 'tempera-bot\[models\]', or use --no-models"):
        await LocalServer(ModelServerSection(url=url), "key").run()
