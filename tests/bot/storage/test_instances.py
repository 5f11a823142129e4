import asyncio
import os
import sys
from datetime import datetime, timedelta

import psutil
import pytest
from fakes.model_server.gateway import PATIENCE_SECONDS, eventually
from sqlalchemy import delete

from bot.storage.database import Database, InstanceRow, now
from bot.storage.instances import MAX_SILENCE, Instance, host_name


async def register(database: Database, name: str, **values: object) -> None:
    me = psutil.Process(os.getpid())
    here = {"host": host_name(), "pid": me.pid, "started": me.create_time(), "seen": now()}
    async with database.writing() as session:
        session.add(InstanceRow(id=name, **(here | values)))


async def test_a_process_is_registered_as_long_as_its_context(database: Database) -> None:
    async with Instance(database) as one, Instance(database) as two:
        assert one.id != two.id
        assert await one.find_living() == {one.id, two.id}
    assert await one.find_living() == set()


async def test_a_killed_process_is_forgotten(database: Database) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    started = psutil.Process(child.pid).create_time()
    await register(database, "child", pid=child.pid, started=started)
    async with Instance(database) as me:
        assert await me.find_living() == {me.id, "child"}
        child.kill()
        await asyncio.wait_for(child.wait(), PATIENCE_SECONDS)
        assert await me.find_living() == {me.id}
        assert await me.find_living() == {me.id}


async def test_a_reused_process_id_is_not_the_dead_process(database: Database) -> None:
    await register(database, "before the restart", started=psutil.Process().create_time() - 3600)
    async with Instance(database) as me:
        assert await me.find_living() == {me.id}


async def test_a_process_on_another_host_is_alive_while_it_sends_heartbeats(database: Database) -> None:
    await register(database, "quiet", host="elsewhere", seen=now() - MAX_SILENCE + timedelta(seconds=30))
    await register(database, "silent", host="elsewhere", seen=now() - MAX_SILENCE - timedelta(seconds=1))
    async with Instance(database) as me:
        assert await me.find_living() == {me.id, "quiet"}


async def test_nobody_is_dead_because_the_database_was_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.storage.instances.HEARTBEAT_SECONDS", 3600.0)
    monkeypatch.setattr("bot.storage.instances.GAP_SECONDS", 0.3)
    silent = now() - MAX_SILENCE - timedelta(seconds=10)
    async with Instance(database) as me:
        await asyncio.sleep(0.4)
        # What a while without the database looks like from here.
        await register(database, "other", host="elsewhere", seen=silent)
        assert await me.find_living() == {me.id, "other"}
        await me._record_heartbeat()
        assert await me.find_living() == {me.id, "other"}
        monkeypatch.setattr("bot.storage.instances.GAP_SECONDS", 3600.0)
        await asyncio.sleep(0.4)
        assert await me.find_living() == {me.id}


async def test_a_process_that_was_considered_dead_registers_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.storage.instances.HEARTBEAT_SECONDS", 0.001)
    async with Instance(database) as me:
        async with database.writing() as session:
            await session.execute(delete(InstanceRow))

        async def is_back() -> bool:
            return await me.find_living() == {me.id}

        await eventually(is_back)

        async def seen() -> datetime:
            async with database.reading() as session:
                return (await session.get_one(InstanceRow, me.id)).seen

        # Other machines know by the time of its last heartbeat that it lives.
        first = await seen()

        async def is_seen_again() -> bool:
            return await seen() > first

        await eventually(is_seen_again)
    assert await me.find_living() == set()
