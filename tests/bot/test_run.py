"""`tempera run` beside a model server of somebody else's, and with a plugin that blocks."""

import re
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import psutil
import pytest
from fakes.model_server.gateway import is_ready, running_gateway
from fakes.platforms.web_page import Page, visitor
from fakes.programs.terminal_chat import Person, ended, read_until


@asynccontextmanager
async def running(program: Person, name: str, plugin: str) -> AsyncIterator[tuple[Process, Page]]:
    """Run the bot with a plugin of its operator's, and yield its process and the page of a visitor."""
    (program.home / "mine").mkdir()
    (program.home / "mine" / f"{name}.py").write_text(plugin)
    program.more = {"TEMPERA_WEB__PORT": "0", "TEMPERA_PLUGINS__FOLDER": "mine"}
    process = await program.start("run", "--no-models")
    try:
        found = re.search(r"The web chat is at (http://\S+)", await read_until(process, "The web chat is at http"))
        assert found is not None
        async with visitor(found[1]) as ann, ann.page("Ann") as page:
            yield process, page
    finally:
        if process.returncode is None:
            process.kill()
            await ended(process)


BLOCKING = """
from bot import *
class Stuck(Plugin):
    @command()
    async def stuck(self, ctx: Context):
        '''Block everything.'''
        while True:
            pass
        yield Reply()
"""


@pytest.mark.processes
async def test_a_plugin_that_blocks_is_named_and_does_not_outlive_a_second_signal(program: Person) -> None:
    async with running(program, "stuck", BLOCKING) as (process, page):
        await page.say("/stuck")
        said = await read_until(process, "in stuck")
        place = r"the plugin “stuck” \(stuck\.py, line [78]\)"
        assert re.search(rf"has answered nobody for \S+ s, because {place} blocks the event loop", said)
        process.send_signal(signal.SIGTERM)
        await read_until(process, "Tempera ends after SIGTERM. A second one ends it at once.")
        process.send_signal(signal.SIGTERM)
        assert (await ended(process)).status == 143


SLOW = """
import asyncio
from pathlib import Path
from bot import *
class Slow(Plugin):
    @command()
    async def slow(self, ctx: Context):
        '''Answer when there is a file.'''
        yield Reply(text="begun")
        while not Path("go").exists():
            await asyncio.sleep(0.05)
        yield Reply(text="begun and finished", final=True)
"""


def said(message: dict[str, Any]) -> str:
    """Return the text of the answer in a message of the page."""
    return str((message.get("reply") or {}).get("text"))


@pytest.mark.processes
async def test_sigterm_lets_answers_finish_and_refuses_new_ones(program: Person) -> None:
    async with running(program, "slow", SLOW) as (process, page):
        await page.say("/slow")
        await page.until("exchange", lambda message: said(message) == "begun")
        process.send_signal(signal.SIGTERM)
        await read_until(process, "Waiting up to 30 s for answers that are being made: 1")
        await page.say("/slow")
        await page.until("exchange", lambda message: "Please ask again in a minute" in said(message))
        (program.home / "go").touch()
        await page.until("exchange", lambda message: said(message) == "begun and finished")
        assert (await ended(process)).status == 0


@pytest.mark.processes
async def test_a_model_server_of_the_operators_own_keeps_its_port(program: Person, unused_tcp_port: int) -> None:
    program.models = url = f"http://127.0.0.1:{unused_tcp_port}"
    program.more = {"TEMPERA_WEB__PORT": "0"}
    with ExitStack() as operators:
        operators.enter_context(running_gateway(program.home, port=unused_tcp_port))
        process = await program.start("run")
        try:
            await read_until(process, f"A server was already running at {url}; Tempera will use it for the models")
            operators.close()
            await read_until(process, f"The model server at {url} has ended.")
            assert psutil.Process(process.pid).children() == []
            operators.enter_context(running_gateway(program.home, port=unused_tcp_port))
            await read_until(process, f"The model server at {url} is running again.")
            assert await is_ready(url)
        finally:
            process.send_signal(signal.SIGTERM)
            done = await ended(process)
    assert done.status == 0
