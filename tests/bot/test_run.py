"""`tempera run` beside a model server of somebody else's, and with a plugin that blocks."""

import asyncio
import re
import signal
from contextlib import ExitStack

import psutil
import pytest
from fakes.model_server.gateway import is_ready, running_gateway
from fakes.platforms.web_page import visitor
from fakes.programs.terminal_chat import PATIENCE_SECONDS, Person, ended


async def read_until(process: asyncio.subprocess.Process, text: str) -> str:
    """Return what a program writes to its log up to the line that has this text."""
    assert process.stderr is not None
    said = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while text not in said:
            line = (await process.stderr.readline()).decode()
            assert line, said
            said += line
    return said


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
    (program.home / "mine").mkdir()
    (program.home / "mine" / "stuck.py").write_text(BLOCKING)
    program.more = {"TEMPERA_WEB__PORT": "0", "TEMPERA_PLUGINS__FOLDER": "mine"}
    process = await program.start("run", "--no-models")
    try:
        found = re.search(r"The web chat is at (http://\S+)", await read_until(process, "The web chat is at http"))
        assert found is not None
        async with visitor(found[1]) as ann, ann.page("Ann") as page:
            await page.say("/stuck")
            said = await read_until(process, "in stuck")
            place = r"the plugin “stuck” \(stuck\.py, line [78]\)"
            assert re.search(rf"has answered nobody for \S+ s, because {place} blocks the event loop", said)
            process.send_signal(signal.SIGTERM)
            await read_until(process, "Tempera ends after SIGTERM. A second one ends it at once.")
            process.send_signal(signal.SIGTERM)
            assert (await ended(process)).status == 143
    finally:
        if process.returncode is None:
            process.kill()
            await ended(process)


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
