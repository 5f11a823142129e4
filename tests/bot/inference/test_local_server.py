"""The real model server as a child process. It finds no model files, so it listens without loading a model."""

import asyncio
import importlib.util
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from fakes.model_server.gateway import PATIENCE_SECONDS, answers, eventually

from bot.config.sections import ModelServerSection
from bot.core.errors import BotError
from bot.inference.local_server import LocalServer, Timing

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the model server is not installed")

PARENT = """
import asyncio, logging, sys
from bot.config.sections import ModelServerSection
from bot.inference.local_server import LocalServer
logging.basicConfig(level="INFO")
asyncio.run(LocalServer(ModelServerSection(url=sys.argv[1]), "key").run())
"""


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> str:
    """The address for a server that has no model files and nowhere to fetch them from."""
    nowhere = {"TEMPERA_CACHE": str(tmp_path), "PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1"}
    for name, value in nowhere.items():
        monkeypatch.setenv(name, value)
    return f"http://127.0.0.1:{unused_tcp_port}"


def children(url: str, parent: int | None = None) -> list[psutil.Process]:
    """Return the model servers at `url` that a process started, without their own children."""
    port = str(urlsplit(url).port)
    found = []
    for child in psutil.Process(parent).children():
        # A process that has just ended has no command line.
        with suppress(psutil.NoSuchProcess):
            if "model_server" in (command := child.cmdline()) and port in command:
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
@pytest.mark.parametrize(("keys", "known_by"), [({}, "key"), ({"trusted_key": "configured"}, "configured")])
async def test_the_server_starts_with_the_key_of_the_bot_and_ends_with_it(
    url: str, keys: dict[str, str], known_by: str
) -> None:
    async with kept(url, **keys):
        await eventually(lambda: answers(url))
        (child,) = children(url)
        assert child.environ()["TEMPERA_MODEL_SERVER__TRUSTED_KEY"] == known_by
    assert is_over(child)
    assert not await answers(url)


@pytest.mark.chaos
async def test_a_killed_server_is_restarted(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with kept(url):
        await eventually(lambda: answers(url))
        (first,) = children(url)
        first.send_signal(signal.SIGKILL)
        await eventually(lambda: any(child.pid != first.pid for child in children(url)))
        await eventually(lambda: answers(url))
        (second,) = children(url)
    assert "The model server ended with status -9; starting it again in 1 s." in caplog.text
    assert is_over(second)


@pytest.mark.chaos
async def test_the_server_ends_when_the_bot_is_killed(url: str) -> None:
    bot = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, url, env=dict(os.environ))
    try:
        await eventually(lambda: answers(url))
        (child,) = children(url, bot.pid)
    finally:
        bot.kill()
        await asyncio.wait_for(bot.wait(), PATIENCE_SECONDS)
    await eventually(lambda: is_over(child))


@pytest.mark.processes
async def test_a_server_that_cannot_start_is_tried_ever_more_seldom(url: str, caplog: pytest.LogCaptureFixture) -> None:
    def pauses() -> list[float]:
        return [record.args[1] for record in caplog.records if isinstance(record.args, tuple)]

    with caplog.at_level(logging.ERROR, "bot.inference.local_server"), socket.socket() as taken:
        # Nobody listens on this port, and nobody else can.
        taken.bind(("127.0.0.1", 0))
        timing = Timing(first_pause=0.01, longest_pause=0.02)
        async with kept(f"http://127.0.0.1:{taken.getsockname()[1]}", timing):
            await eventually(lambda: len(pauses()) >= 3)
    assert pauses()[:3] == [0.01, 0.02, 0.02]


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[None]:
    """Somebody else's server at this address, which accepts connections and answers nothing."""
    host, port = ModelServerSection(url=url).address
    async with await asyncio.start_server(lambda reader, writer: writer.close(), host, port):
        yield


@pytest.mark.parametrize(
    ("keys", "warnings"), [({}, 1), ({"api_key": "configured"}, 0), ({"trusted_key": "configured"}, 0)]
)
async def test_somebody_elses_server_may_end_and_come_back(
    url: str, keys: dict[str, str], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.inference.local_server")
    async with AsyncExitStack() as running:
        async with listening(url):
            await running.enter_async_context(kept(url, Timing(look=0.01), **keys))
            await eventually(lambda: f"A server was already running at {url}; Tempera will use it" in caplog.text)
        for times in (1, 2):
            ended = f"The model server at {url} has ended. Tempera did not start it and starts none in its place"
            await eventually(lambda: caplog.text.count(ended) == times)  # noqa: B023 - called in this round
            assert children(url) == []
            async with listening(url):
                again = f"The model server at {url} is running again."
                await eventually(lambda: caplog.text.count(again) == times)  # noqa: B023 - called in this round
    assert caplog.text.count(f"This bot did not start the server at {url}: it treats all users") == warnings


@pytest.mark.processes
async def test_a_server_that_comes_in_place_of_ours_is_somebody_elses(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.inference.local_server")
    with socket.socket() as other:
        other.bind(ModelServerSection(url=url).address)
        async with kept(url, Timing(look=0.01, first_pause=0.01, longest_pause=0.01)):
            await eventually(lambda: "The model server ended with status 1; starting it again" in caplog.text)
            other.listen()
            await eventually(lambda: f"A server was already running at {url}" in caplog.text)
            other.close()
            await eventually(lambda: "starts none in its place" in caplog.text)
            assert children(url) == []


@pytest.mark.processes
async def test_of_two_bots_that_start_at_once_one_has_the_server(url: str) -> None:
    bots = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PARENT, url), env=dict(os.environ), stderr=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        said = [asyncio.create_task(_read_until(bot, b"A server was already running at")) for bot in bots]
        done, waiting = await asyncio.wait(said, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == len(waiting) == 1
        loser, winner = (bots[said.index(next(iter(group)))] for group in (done, waiting))
        await eventually(lambda: answers(url))
        assert (len(children(url, winner.pid)), children(url, loser.pid)) == (1, [])
    finally:
        for task in said:
            task.cancel()
        await asyncio.gather(*said, return_exceptions=True)
        for bot in bots:
            bot.kill()
            await asyncio.wait_for(bot.wait(), PATIENCE_SECONDS)


async def _read_until(process: asyncio.subprocess.Process, text: bytes) -> None:
    assert process.stderr is not None
    while text not in (line := await process.stderr.readline()):
        assert line


async def test_the_error_for_missing_packages_says_how_to_install_them(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BotError, match=r"pip install 'tempera-bot\[models\]', or use --no-models"):
        await LocalServer(ModelServerSection(url=url), "key").run()
