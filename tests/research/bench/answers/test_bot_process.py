"""The process that runs the bot of a benchmark."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest
from fakes.model_server.gateway import PATIENCE_SECONDS, environment, eventually, free_port


@pytest.mark.processes
async def test_the_bot_ends_when_the_benchmark_is_gone(tmp_path: Path) -> None:
    command = ["-m", "research.bench.answers.bot_process", str(tmp_path), str(free_port()), "http://127.0.0.1:1"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment(), stdin=asyncio.subprocess.PIPE
    )
    try:
        wrapper = psutil.Process(process.pid)
        await eventually(lambda: bool(wrapper.children()))
        [bot] = wrapper.children()
        # A benchmark that is killed closes the pipe as well.
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
        assert not bot.is_running()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
