"""A replica as Ray Serve uses it, with a real process for its engine."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from fakes.model_server.gateway import FACTORY, PATIENCE_SECONDS, eventually

from model_server.engines.contract import EngineSpec
from model_server.jobs import Chat, ChatTurn, Event, Failed, Finished, Job, Sampling, Text
from model_server.workers.ipc import Loaded
from model_server.workers.replica import LoadFailed, Replica


def chat(prompt: str, name: str = "job") -> Job:
    task = Chat(messages=(ChatTurn("user", prompt),), sampling=Sampling(seed=0))
    return Job(id=name, model="parrot", task=task)


async def started(folder: Path, factory: str = FACTORY, **options: float | str) -> Replica:
    """Make a replica in the two steps in which Ray Serve does."""
    replica = Replica.__new__(Replica)
    spec = EngineSpec(name="parrot", engine="language", folder=folder, options=options)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await replica.__init__(spec, factory)  # type: ignore[misc]
    return replica


@contextlib.asynccontextmanager
async def running(folder: Path, **options: float | str) -> AsyncIterator[Replica]:
    replica = await started(folder, **options)
    try:
        yield replica
    finally:
        await replica.stop()


async def batches(replica: Replica, job: Job) -> list[tuple[Event, ...]]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [events async for events in replica.run(job)]


async def test_events_come_together_and_the_first_ones_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_server.workers.replica.MESSAGE_SECONDS", 0.2)
    async with running(tmp_path, pause=0.02) as replica:
        sent = await batches(replica, chat(" ".join("abcdefghijklmnopqrst")))
    events = [event for batch in sent for event in batch]
    assert "".join(event.text for event in events if isinstance(event, Text)) == " ".join("abcdefghijklmnopqrst")
    assert isinstance(events[-1], Finished)
    assert 1 < len(sent) < 10
    assert len(sent[0]) < 10


async def test_closing_a_stream_frees_its_slot(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with running(tmp_path, journal=str(journal)) as replica:
        async with aclosing(replica.run(chat("forever", "endless"))) as stream:
            await anext(stream)
            # It waits, because the one slot is taken.
            waiting = asyncio.create_task(batches(replica, chat("a b", "next")))
            await anext(stream)
        assert isinstance((await waiting)[-1][-1], Finished)
    assert journal.read_text().split("\n")[:3] == ["add endless", "remove endless", "add next"]


async def test_what_cannot_be_loaded_again_fails_its_jobs_and_asks_to_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_server.workers.replica.RELOAD_SECONDS", 0.1)
    sign = tmp_path / "sign"
    sign.touch()
    async with running(tmp_path, fails_until=str(sign)) as replica:
        replica.check_health()
        sign.unlink()
        await batches(replica, chat("crash"))
        await eventually(lambda: not is_healthy(replica))
        [(failed,)] = await batches(replica, chat("still here"))
        assert isinstance(failed, Failed)
        assert (failed.status, failed.code) == (503, "model_failed")
        assert failed.message.startswith("Loading parrot failed")
        # Until it is replaced, it tries again, and is healthy if that helps.
        sign.touch()
        await eventually(lambda: is_healthy(replica))
        assert isinstance((await batches(replica, chat("still here")))[-1][-1], Finished)


def is_healthy(replica: Replica) -> bool:
    try:
        replica.check_health()
    except LoadFailed:
        return False
    return True


async def test_it_tells_what_it_loaded_and_what_is_needed(tmp_path: Path) -> None:
    async with running(tmp_path, capacity=3) as replica:
        assert replica.describe() == Loaded(3, {}, 64)
        assert replica.record_autoscaling_stats() == {"jobs": 0, "slots": 3}
        assert replica.note_demand(7) > 1e6
        assert replica.record_autoscaling_stats() == {"jobs": 7, "slots": 3}


async def test_what_cannot_be_loaded_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="parrot knows no such thing"):
        await started(tmp_path, "fakes.engines.text_engine:misconfigured")


async def test_a_stopped_replica_has_no_process(tmp_path: Path) -> None:
    replica = await started(tmp_path)
    await replica.stop()
    await eventually(lambda: replica.note_demand(0) == 0)
