"""Real worker processes: they answer, end, hang, and are restarted."""

import asyncio
import contextlib
import io
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from fakes.model_server.gateway import FACTORY, PATIENCE_SECONDS, eventually

from model_server.catalogue import ENGINE_OPTIONS
from model_server.engines.contract import EngineSpec
from model_server.jobs import Chat, ChatTurn, Failed, Finished, Job, Sampling, Text
from model_server.scheduling.queue import JobQueue, QueueClosed
from model_server.scheduling.ticket import Ticket, TicketEvent
from model_server.workers import supervisor as supervisor_module
from model_server.workers.ipc import Heartbeat, StepEvents, pack, receive
from model_server.workers.supervisor import Supervisor, Timeouts

HASTY = Timeouts(silence=6.0, step=3.0, load=60.0, first_pause=0.01, max_pause=0.05, poll_interval=0.1)
CALM = Timeouts(first_pause=0.01, max_pause=0.05)


def chat(prompt: str, name: str = "job") -> Job:
    task = Chat(messages=(ChatTurn("user", prompt),), sampling=Sampling(seed=0))
    return Job(id=name, model="parrot", task=task)


@contextlib.asynccontextmanager
async def supervised(
    tmp_path: Path, timeouts: Timeouts = CALM, factory: str = FACTORY, engine: str = "language", **options: str | int
) -> AsyncIterator[tuple[JobQueue, Supervisor]]:
    """A queue with a parrot behind it, until the block ends."""
    queue = JobQueue()
    spec = EngineSpec(name="parrot", engine=engine, folder=tmp_path, options=options)
    supervisor = Supervisor(spec, queue, factory=factory, timeouts=timeouts)
    running = asyncio.create_task(supervisor.run())
    try:
        yield queue, supervisor
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


async def rest_of(ticket: Ticket) -> list[TicketEvent]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [event async for event in ticket]


async def end_of(ticket: Ticket) -> Failed:
    """Return the error with which a job ends."""
    last = (await rest_of(ticket))[-1]
    assert isinstance(last, Failed)
    return last


async def answer(queue: JobQueue, prompt: str) -> str:
    ticket = queue.submit(chat(prompt))
    return "".join(event.text for event in await rest_of(ticket) if isinstance(event, Text))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie takes signals, too, until its parent has waited for it.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_job_goes_in_and_its_events_and_the_log_come_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with supervised(tmp_path) as (queue, _):
        await eventually(lambda: queue.is_open)
        events = await rest_of(queue.submit(chat("a b c")))
    assert [event.text for event in events if isinstance(event, Text)] == ["a", " b", " c"]
    assert events[-1] == Finished("job", "stop", 3, 3)
    assert "[parrot] loading in process" in caplog.text


async def test_jobs_join_and_leave_between_steps(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with supervised(tmp_path, capacity=2, journal=str(journal)) as (queue, _):
        await eventually(lambda: queue.is_open)
        endless = queue.submit(chat("forever", "endless"))
        await until_text(endless)
        assert await answer(queue, "x y") == "x y"
        endless.cancel()
        assert await answer(queue, "z") == "z"
    assert journal.read_text().split("\n")[:4] == ["add endless", "add job", "remove endless", "add job"]


async def test_an_engine_with_spare_work_is_stepped_without_jobs(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with supervised(tmp_path, journal=str(journal), notes_steps=True, spare_steps=3) as (queue, _):
        await eventually(lambda: journal.exists() and journal.read_text() == "step\n" * 3)
        await eventually(lambda: queue.is_open)
        assert await answer(queue, "a b") == "a b"
    assert journal.read_text() == "step\n" * 3 + "add job\n" + "step\n" * 2


@pytest.mark.parametrize(("prompt", "code"), [("crash", "engine_error"), ("exhaust", "out_of_memory")])
async def test_an_exception_becomes_a_sentence_with_an_error_id(
    tmp_path: Path, prompt: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with supervised(tmp_path) as (queue, _):
        await eventually(lambda: queue.is_open)
        last = await end_of(queue.submit(chat(prompt)))
        assert (last.status, last.code) == (500, code)
        assert "secret" not in last.message
        mark = last.message.partition("(error ")[2][:8]
        assert mark in caplog.text
        assert "Traceback" in caplog.text
        assert await answer(queue, "still here") == "still here"


@pytest.mark.chaos
@pytest.mark.parametrize("is_frozen", [False, True])
async def test_a_step_that_hangs_and_a_process_without_heartbeats_are_killed(tmp_path: Path, is_frozen: bool) -> None:
    async with supervised(tmp_path, HASTY) as (queue, _):
        await eventually(lambda: queue.is_open)
        frozen = queue.submit(chat("pid" if is_frozen else "hang"))
        if is_frozen:
            os.kill(int(await until_text(frozen)), signal.SIGSTOP)
        assert (await end_of(frozen)).code == "worker_hung"
        assert await answer(queue, "still here") == "still here"


@pytest.mark.chaos
async def test_a_process_that_cannot_be_ended_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kill_group, immortal = supervisor_module._kill_group, set[int]()
    monkeypatch.setattr(
        supervisor_module, "_kill_group", lambda child: None if child.pid in immortal else kill_group(child)
    )
    async with supervised(tmp_path, replace(HASTY, death=0.2)) as (queue, _):
        await eventually(lambda: queue.is_open)
        frozen = queue.submit(chat("pid"))
        pid = int(await until_text(frozen))
        immortal.add(pid)
        os.kill(pid, signal.SIGSTOP)
        try:
            assert (await end_of(frozen)).code == "worker_hung"
            assert await answer(queue, "still here") == "still here"
            assert f"Process {pid} of parrot was killed, but does not end" in caplog.text
        finally:
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not alive(pid))


async def test_a_model_that_cannot_be_loaded_is_reported_and_retried(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    async with supervised(tmp_path, fails_until=str(sign)) as (queue, supervisor):
        await eventually(lambda: supervisor.state.startswith("failed"))
        assert supervisor.state.startswith("failed: Loading parrot failed (error ")
        assert "secret" not in supervisor.state
        with pytest.raises(QueueClosed):
            queue.submit(chat("a"))
        sign.touch()
        await eventually(lambda: queue.is_open)
        assert await answer(queue, "at last") == "at last"


@pytest.mark.parametrize(("factory", "reason"), [("misconfigured", r"parrot knows no such thing\."), ("nothing", ".+")])
async def test_a_model_that_cannot_be_made_is_reported_to_the_operator(
    tmp_path: Path, factory: str, reason: str
) -> None:
    async with supervised(tmp_path, factory=f"fakes.engines.text_engine:{factory}") as (_, supervisor):
        await eventually(lambda: supervisor.state.startswith("failed"))
        assert re.fullmatch(f"failed: {reason}", supervisor.state)


@pytest.mark.parametrize("engine", ENGINE_OPTIONS)
async def test_out_of_memory_advice_names_options_that_the_engine_has(tmp_path: Path, engine: str) -> None:
    async with supervised(tmp_path, factory="fakes.engines.text_engine:starved", engine=engine) as (_, supervisor):
        await eventually(lambda: supervisor.state.startswith("failed"))
        assert supervisor.state.startswith("failed: Loading parrot took more memory than there is (error ")
    advice = set(re.findall("`([a-z]+)`", supervisor.state))
    assert "device" in advice
    assert advice - {"device"} <= ENGINE_OPTIONS[engine].keys()
    assert len(advice) > 1 or engine not in {"language", "diffusion"}


async def test_the_restart_pause_grows_until_a_worker_was_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def pauses() -> list[str]:
        return re.findall(r"starting it again in (\S+) s", caplog.text)

    sign = tmp_path / "sign"
    timeouts = Timeouts(first_pause=0.1, max_pause=0.4, healthy_after=0.0)
    async with supervised(tmp_path, timeouts, fails_until=str(sign)) as (queue, _):
        await eventually(lambda: len(pauses()) == 3)
        sign.touch()
        await eventually(lambda: queue.is_open)
        os.kill(int(await until_text(queue.submit(chat("pid")))), signal.SIGKILL)
        await eventually(lambda: pauses()[-1] == "0.1")
    assert pauses()[:3] == ["0.1", "0.2", "0.4"]


async def test_the_worker_ends_with_its_supervisor(tmp_path: Path) -> None:
    async with supervised(tmp_path) as (queue, _):
        await eventually(lambda: queue.is_open)
        ticket = queue.submit(chat("pid"))
        pid = int(await until_text(ticket))
    assert not alive(pid)
    assert (await end_of(ticket)).code == "stopping"


@pytest.mark.parametrize(
    ("given", "quota", "expected"),
    [(None, 2.9, "2"), ("", 2.9, "2"), (None, 0.5, "1"), ("7", 2.9, "7"), ("", 8.0, None), ("", None, None)],
)
async def test_an_engine_computes_with_no_more_threads_than_its_container_has_processors(
    given: str | None, quota: float | None, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "read_processor_quota", lambda: quota)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    async with supervised(tmp_path) as (queue, _):
        await eventually(lambda: queue.is_open)
        pid = int(await until_text(queue.submit(chat("pid"))))
        assert psutil.Process(pid).environ().get("OMP_NUM_THREADS") == expected


def test_the_gateway_and_a_worker_without_engine_do_not_import_torch() -> None:
    probe = "import model_server.api.app, model_server.workers.worker, sys; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS
    )
    assert done.stdout.strip() == "False"


def test_packed_messages_are_received_unchanged() -> None:
    batch = StepEvents((Failed("a", "no", 400, "code", "param"), Finished("b", "length", 1, 2)))
    assert receive(io.BytesIO(pack(batch))) == batch
    assert receive(io.BytesIO(pack(batch)[:-1])) is None
    assert receive(io.BytesIO()) is None


def test_a_gateway_that_was_killed_before_it_read_everything_is_gone() -> None:
    ours, theirs = socket.socketpair()
    with ours, ours.makefile("rb") as stream:
        ours.sendall(pack(Heartbeat(0.0)))
        theirs.close()
        assert receive(stream) is None
