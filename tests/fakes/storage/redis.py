"""A real Redis server on a port of its own; `redis-server` must be in the PATH."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.model_server.gateway import free_port

READY_SECONDS = 30


@contextmanager
def running_redis(folder: Path, port: int = 0) -> Iterator[str]:
    """Run a server while the context lasts, on a free port or this one, and yield its address."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("There is no redis-server in the PATH.")
        pytest.skip("There is no redis-server in the PATH.")
    port = port or free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _wait(port, process)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(READY_SECONDS)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    from redis import Redis
    from redis.exceptions import ConnectionError as Refused

    latest = time.monotonic() + READY_SECONDS
    with Redis(port=port) as client:
        while True:
            try:
                client.ping()
            except Refused:
                if time.monotonic() > latest or process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return
