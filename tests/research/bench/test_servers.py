"""Servers in processes of their own: how they start, end, and what they take of the machine."""

import subprocess
import sys
import time

import psutil
import pytest

from model_server.errors import OperatorError
from research.bench.servers import BenchServer, OtherProcesses, find_free_port, start_server


def test_memory_is_that_of_the_process_that_holds_the_model() -> None:
    side = BenchServer("Tempera", None, psutil.Process())  # type: ignore[arg-type]
    side.sample_memory()
    assert side.peak > 1_000_000
    other = BenchServer("Tempera", None, psutil.Process(), worker="no such worker")  # type: ignore[arg-type]
    other.sample_memory()
    assert other.peak == 0


def test_the_cpu_time_of_the_servers_does_not_count_as_that_of_other_processes() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        child = psutil.Process(busy.pid)
        stranger, known = OtherProcesses([]), OtherProcesses([BenchServer("busy", None, child)])  # type: ignore[arg-type]
        while child.cpu_times().user < 0.5:
            time.sleep(0.01)
        shares = stranger.cpu_share(), known.cpu_share()
        busy.kill()
    assert shares[0] > shares[1] >= 0


async def test_a_server_that_ends_at_once_is_reported_with_its_last_line() -> None:
    code = "import sys; sys.exit('The model is too large.')"
    with pytest.raises(OperatorError, match=r"^Broken ended before anything was measured: The model is too large\.$"):
        async with start_server("Broken", ["-c", code], {}, find_free_port(), "/", {}):
            pass


async def test_a_program_without_such_an_end_ends_with_its_input() -> None:
    port = find_free_port()
    command = ["-m", "research.bench.until_eof", sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]
    async with start_server("Files", [*command, str(port)], {}, port, "/", {}) as side:
        side.worker = "http.server"
        assert side.sample_memory() > 1_000_000
        [program] = side.process.children()
    assert not program.is_running()
