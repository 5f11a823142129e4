"""Real worker processes: they answer, die, hang, and are started again."""

import asyncio
import contextlib
import io
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.model_server.gateway import FACTORY, PATIENCE_SECONDS, environment, eventually

from model_server.catalogue import OPTIONS
from model_server.engines.contract import EngineSpec
from model_server.jobs import Chat, ChatTurn, Failed, Finished, Job, Sampling, Text
from model_server.scheduling.queue import JobQueue, QueueClosed
from model_server.scheduling.ticket import Heard, Ticket
from model_server.workers.ipc import StepEvents, pack, receive
from model_server.workers.supervisor import Supervisor, Timeouts

HASTY = Timeouts(silence=2.0, step=1.0, load=60.0, first_pause=0.01, longest_pause=0.05, look=0.1)
CALM = Timeouts(first_pause=0.01, longest_pause=0.05)


def chat(prompt: str, name: str = "job") -> Job:
    task = Chat(messages=(ChatTurn("user", prompt),), sampling=Sampling(seed=0))
    return Job(id=name, model="parrot", task=task)


@contextlib.asynccontextmanager
async def supervised(
    tmp_path: Path, patience: Timeouts = CALM, factory: str = FACTORY, engine: str = "language", **options: str | int
) -> AsyncIterator[tuple[JobQueue, Supervisor]]:
    """A lane with a parrot behind it, until the block ends."""
    lane = JobQueue()
    spec = EngineSpec(name="parrot", engine=engine, folder=tmp_path, options=options)
    supervisor = Supervisor(spec, lane, factory=factory, patience=patience)
    running = asyncio.create_task(supervisor.run())
    try:
        yield lane, supervisor
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def until_text(ticket: Ticket) -> str:
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for event in ticket:
            if isinstance(event, Text):
                return event.text
    pytest.fail("the job ended without a text")


async def rest_of(ticket: Ticket) -> list[Heard]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [event async for event in ticket]


async def answer(lane: JobQueue, prompt: str) -> str:
    ticket = lane.submit(chat(prompt))
    return "".join(event.text for event in await rest_of(ticket) if isinstance(event, Text))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie takes signals too; whoever inherited it may not have looked yet.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_job_goes_in_and_its_events_come_out(tmp_path: Path) -> None:
    async with supervised(tmp_path) as (lane, _):
        await eventually(lambda: lane.open)
        events = await rest_of(lane.submit(chat("a b c")))
    assert [event.text for event in events if isinstance(event, Text)] == ["a", " b", " c"]
    assert events[-1] == Finished("job", "stop", 3, 3)


async def test_jobs_join_and_leave_between_steps(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with supervised(tmp_path, capacity=2, journal=str(journal)) as (lane, _):
        await eventually(lambda: lane.open)
        endless = lane.submit(chat("forever", "endless"))
        await until_text(endless)
        assert await answer(lane, "x y") == "x y"
        endless.cancel()
        assert await answer(lane, "z") == "z"
    assert journal.read_text().split("\n")[:4] == ["add endless", "add job", "remove endless", "add job"]


@pytest.mark.chaos
async def test_a_killed_worker_fails_what_was_in_it_and_comes_back(tmp_path: Path) -> None:
    async with supervised(tmp_path) as (lane, supervisor):
        await eventually(lambda: lane.open)
        victim, waiting = lane.submit(chat("pid", "victim")), lane.submit(chat("a b", "waiting"))
        os.kill(int(await until_text(victim)), signal.SIGKILL)
        last = (await rest_of(victim))[-1]
        assert isinstance(last, Failed)
        assert (last.status, last.code) == (503, "worker_died")
        assert [event.text for event in await rest_of(waiting) if isinstance(event, Text)] == ["a", " b"]
        assert supervisor.state == "ready"


@pytest.mark.parametrize(("prompt", "code"), [("crash", "engine_error"), ("exhaust", "out_of_memory")])
async def test_an_exception_becomes_a_sentence_with_a_mark(
    tmp_path: Path, prompt: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with supervised(tmp_path) as (lane, _):
        await eventually(lambda: lane.open)
        last = (await rest_of(lane.submit(chat(prompt))))[-1]
        assert isinstance(last, Failed)
        assert (last.status, last.code) == (500, code)
        assert "secret" not in last.message
        mark = last.message.partition("(error ")[2][:8]
        assert mark in caplog.text
        assert "Traceback" in caplog.text
        assert await answer(lane, "still here") == "still here"


@pytest.mark.chaos
async def test_a_step_that_hangs_is_killed(tmp_path: Path) -> None:
    async with supervised(tmp_path, HASTY) as (lane, _):
        await eventually(lambda: lane.open)
        last = (await rest_of(lane.submit(chat("hang"))))[-1]
        assert isinstance(last, Failed)
        assert last.code == "worker_hung"
        assert await answer(lane, "still here") == "still here"


@pytest.mark.chaos
async def test_a_process_that_falls_silent_is_killed(tmp_path: Path) -> None:
    async with supervised(tmp_path, HASTY) as (lane, _):
        await eventually(lambda: lane.open)
        frozen = lane.submit(chat("pid"))
        os.kill(int(await until_text(frozen)), signal.SIGSTOP)
        last = (await rest_of(frozen))[-1]
        assert isinstance(last, Failed)
        assert last.code == "worker_hung"
        assert await answer(lane, "still here") == "still here"


async def test_a_model_that_cannot_be_loaded_says_so_and_is_tried_again(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    async with supervised(tmp_path, fails_until=str(sign)) as (lane, supervisor):
        await eventually(lambda: supervisor.state.startswith("failed"))
        assert supervisor.state.startswith("failed: Loading parrot failed (error ")
        assert "secret" not in supervisor.state
        with pytest.raises(QueueClosed):
            lane.submit(chat("a"))
        sign.touch()
        await eventually(lambda: lane.open)
        assert await answer(lane, "at last") == "at last"


async def test_what_is_wrong_with_a_model_reaches_the_operator(tmp_path: Path) -> None:
    async with supervised(tmp_path, factory="fakes.engines.text_engine:misconfigured") as (_, supervisor):
        await eventually(lambda: supervisor.state.startswith("failed"))
        assert supervisor.state == "failed: parrot knows no such thing."


@pytest.mark.parametrize("engine", OPTIONS)
async def test_the_operator_of_a_model_that_does_not_fit_is_told_what_its_entry_takes(
    tmp_path: Path, engine: str
) -> None:
    async with supervised(tmp_path, factory="fakes.engines.text_engine:starved", engine=engine) as (_, supervisor):
        await eventually(lambda: supervisor.state.startswith("failed"))
        assert supervisor.state.startswith("failed: Loading parrot took more memory than there is (error ")
    advice = set(re.findall("`([a-z]+)`", supervisor.state))
    assert "device" in advice
    assert advice - {"device"} <= OPTIONS[engine].keys()
    assert len(advice) > 1 or engine not in {"language", "diffusion"}


async def test_only_who_was_loaded_for_long_is_soon_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def pauses() -> list[str]:
        return re.findall(r"starting it again in (\S+) s", caplog.text)

    sign = tmp_path / "sign"
    patience = Timeouts(first_pause=0.1, longest_pause=0.4, healthy=0.0)
    async with supervised(tmp_path, patience, fails_until=str(sign)) as (lane, _):
        await eventually(lambda: len(pauses()) == 3)
        sign.touch()
        await eventually(lambda: lane.open)
        os.kill(int(await until_text(lane.submit(chat("pid")))), signal.SIGKILL)
        await eventually(lambda: pauses()[-1] == "0.1")
    assert pauses()[:3] == ["0.1", "0.2", "0.4"]


async def test_a_factory_that_does_not_exist_is_a_failure_to_load(tmp_path: Path) -> None:
    async with supervised(tmp_path, factory="fakes.engines.text_engine:nothing") as (_, supervisor):
        await eventually(lambda: supervisor.state.startswith("failed"))


async def test_the_end_of_the_supervisor_is_the_end_of_the_worker(tmp_path: Path) -> None:
    async with supervised(tmp_path) as (lane, _):
        await eventually(lambda: lane.open)
        ticket = lane.submit(chat("pid"))
        pid = int(await until_text(ticket))
    assert not alive(pid)
    last = (await rest_of(ticket))[-1]
    assert isinstance(last, Failed)
    assert last.code == "stopping"


async def test_what_a_worker_prints_is_logged_with_its_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with supervised(tmp_path) as (lane, _):
        await eventually(lambda: lane.open)
    assert "[parrot] loading in process" in caplog.text


ORPHAN_MAKER = """
import asyncio
import os
from pathlib import Path
from model_server.engines.contract import EngineSpec
from model_server.scheduling.queue import JobQueue
from model_server.workers.supervisor import Supervisor

async def main():
    lane = JobQueue()
    spec = EngineSpec(name="parrot", engine="language", folder=Path())
    task = asyncio.create_task(Supervisor(spec, lane, factory="fakes.engines.text_engine:create").run())
    while not lane.open:
        await asyncio.sleep(0.05)
    [child] = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    print(child, flush=True)
    await task

asyncio.run(main())
"""


@pytest.mark.chaos
async def test_a_worker_does_not_outlive_a_killed_gateway() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ORPHAN_MAKER, stdout=subprocess.PIPE, env=environment()
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), PATIENCE_SECONDS))
    assert alive(pid)
    parent.kill()
    await asyncio.wait_for(parent.wait(), PATIENCE_SECONDS)
    await eventually(lambda: not alive(pid))


def test_the_gateway_and_a_worker_before_its_engine_bring_in_no_torch() -> None:
    probe = "import model_server.api.app, model_server.workers.worker, sys; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS
    )
    assert done.stdout.strip() == "False"


def test_an_event_survives_the_journey() -> None:
    batch = StepEvents((Failed("a", "no", 400, "code", "param"), Finished("b", "length", 1, 2)))
    assert receive(io.BytesIO(pack(batch))) == batch
    assert receive(io.BytesIO(pack(batch)[:-1])) is None
    assert receive(io.BytesIO()) is None
