import asyncio
import contextlib
import ctypes
import logging
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from types import FrameType

import pytest
from fakes.model_server.gateway import PATIENCE_SECONDS, environment, eventually

from bot.core.watchdog import Timing, Watchdog

QUICK = Timing(look=0.01, looks=30)
"""Long enough that a loop on a busy machine is not taken for one that stands still."""

PROGRAM = """
import asyncio, logging, sys, threading, time
from bot.core.watchdog import Timing, Watchdog

def nothing(): pass
def sleeps(): time.sleep(0.5)
def sleeps_in_a_thread(): threading.Thread(target=time.sleep, args=(3600,)).start()
def turns():
    while True: pass

async def main(block, end):
    watchdog = Watchdog(lambda frame: "", Timing(look=0.01, end=float(end), drain=0))
    task = asyncio.current_task()
    watchdog.end_on_signals(lambda _seconds: task.cancel())
    watchdog.start()
    print("ready", flush=True)
    globals()[block]()
    await asyncio.Event().wait()

logging.basicConfig(level="INFO")
try:
    asyncio.run(main(*sys.argv[1:]))
except asyncio.CancelledError:
    print("ended in order", flush=True)
"""


@contextlib.asynccontextmanager
async def program(block: str, end: float = 3600) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that blocks its loop in some way, once it does so. `end`: how long an end in order may take."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, block, str(end)),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
            yield process
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)


async def output(process: asyncio.subprocess.Process) -> tuple[str, str]:
    out, err = await process.communicate()
    return out.decode(), err.decode()


async def until_asked(process: asyncio.subprocess.Process) -> None:
    """Wait until the program says that it is to end."""
    assert process.stderr is not None
    while b"A second one ends it at once" not in await process.stderr.readline():
        assert process.returncode is None


@pytest.fixture
def told() -> Iterator[threading.Event]:
    """Set when the log says that something blocks the loop."""
    event = threading.Event()

    class Tell(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "blocks the event loop" in record.getMessage():
                event.set()

    tell = Tell()
    logging.getLogger("bot.core.watchdog").addHandler(tell)
    yield event
    logging.getLogger("bot.core.watchdog").removeHandler(tell)


async def test_a_loop_that_stands_still_is_told_once_with_its_place(
    told: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.core.watchdog")
    places = []

    def find_code(frame: FrameType) -> str:
        places.append(frame)
        return "the plugin “dice” (dice.py, line 7)"

    def block_the_loop() -> None:
        assert told.wait(PATIENCE_SECONDS)
        told.clear()
        # Time for more looks, at each of which it could be told again.
        assert not told.wait(0.5)

    Watchdog(find_code, QUICK).start()
    for times in (1, 2):
        block_the_loop()
        await eventually(lambda: caplog.text.count("The bot answers again.") >= times)  # noqa: B023 - called here
    assert caplog.text.count("because the plugin “dice” (dice.py, line 7) blocks the event loop") == len(places) == 2
    assert caplog.text.count("in block_the_loop\n") == 2


async def test_a_place_that_nobody_claims_is_the_innermost_one(
    told: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    Watchdog(lambda frame: "", QUICK).start()
    assert told.wait(PATIENCE_SECONDS)
    await eventually(lambda: "The bot answers again." in caplog.text)
    assert "because threading.py, line " in caplog.text


async def test_a_block_in_which_no_other_thread_can_run_is_told_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    Watchdog(lambda frame: "", QUICK).start()
    # Such a call keeps the lock of the interpreter, as a long regular expression does.
    ctypes.PyDLL(None).usleep(700_000)
    await eventually(lambda: "The bot answers again. It had answered nobody for " in caplog.text)


async def test_a_loop_that_only_waits_is_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    Watchdog(lambda frame: "", QUICK).start()
    await asyncio.sleep(0.6)
    assert "blocks the event loop" not in caplog.text


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("block", ["nothing", "sleeps"])
async def test_the_first_signal_ends_in_order_also_after_a_block(block: str, number: signal.Signals) -> None:
    async with program(block) as process:
        process.send_signal(number)
        assert (await output(process))[0] == "ended in order\n"
    assert process.returncode == 0


@pytest.mark.processes
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("block", ["turns", "sleeps_in_a_thread"])
async def test_the_second_signal_ends_at_once(block: str, number: signal.Signals, status: int) -> None:
    async with program(block) as process:
        process.send_signal(number)
        await until_asked(process)
        process.send_signal(number)
    assert process.returncode == status


@pytest.mark.processes
@pytest.mark.parametrize("block", ["turns", "sleeps_in_a_thread"])
async def test_an_end_that_takes_too_long_is_cut_short(block: str) -> None:
    async with program(block, end=0.1) as process:
        process.send_signal(signal.SIGTERM)
        assert "Tempera did not end within 0.1 s; it is ended now." in (await output(process))[1]
    assert process.returncode == 143
