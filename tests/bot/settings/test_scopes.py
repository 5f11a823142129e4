"""Writes of settings are complete or absent, and recorded in the audit, with many writers and killed processes."""

import asyncio
import multiprocessing
import signal
import sqlite3
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from fakes.core.requests import MODERATOR, ROOM
from fakes.storage.statements import counted_statements
from sqlalchemy.exc import SQLAlchemyError

from bot.core.messages import Place, User
from bot.settings.scopes import Change, Scopes, enclosing_scopes, server_scope
from bot.settings.setting import Scope
from bot.storage.audit import Audit
from bot.storage.database import Database

SCHOOL = Scope("test", "school")
KILLS = 100
PATIENCE_SECONDS = 60
PRELOADED = [
    "bot.app",
    "model_server.api.app",
    "pytest",
    "alembic.command",
    "alembic.runtime.migration",
    "aiosqlite",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.ext.asyncio",
]
"""What can be imported where the folder of the tests is in no path: a module that cannot is skipped without a word."""


async def opened(database: Database) -> Scopes:
    scopes = Scopes()
    await scopes.start(database)
    return scopes


def test_the_scopes_of_a_place() -> None:
    assert enclosing_scopes(ROOM) == (Scope("test", "school", "room"), SCHOOL)
    assert enclosing_scopes(Place("test", "", server="school")) == (SCHOOL,)
    assert enclosing_scopes(Place("test", "ann")) == (Scope("test", "", "ann"),)
    assert server_scope(ROOM) == SCHOOL
    assert server_scope(Place("test", "ann")) == Scope("test", "", "ann")


async def test_the_scopes_within_a_server_are_itself_its_channels_and_its_roles(database: Database) -> None:
    scopes = await opened(database)
    inside = [SCHOOL, Scope("test", "school", role="pupils"), Scope("test", "school", "room")]
    outside = [Scope("test", "other"), Scope("other", "school"), Scope("test", "", "ann"), Scope("test", "", "ben")]
    await scopes.write([Change(scope, "a.b", 1) for scope in (*inside, *outside)], MODERATOR)
    assert list(scopes.values_within(SCHOOL)) == inside
    assert list(scopes.values_within(Scope("test", "", "ann"))) == [Scope("test", "", "ann")]


async def test_each_change_is_recorded_in_the_audit_unless_the_value_stays(database: Database) -> None:
    scopes = await opened(database)
    for value in (1, 1, 2, None, None):
        await scopes.write([Change(Scope("test", "school", "room"), "a.b", value)], MODERATOR)
    entries = await Audit(database).find("test", "school")
    assert [(entry.before, entry.after) for entry in entries] == [(2, None), (1, 2), (None, 1)]
    assert {(entry.kind, entry.what, entry.channel, entry.actor) for entry in entries} == {
        ("setting", "a.b", "room", "mod")
    }


async def test_either_all_changes_are_made_or_none(database: Database) -> None:
    scopes = await opened(database)
    with pytest.raises(SQLAlchemyError):
        await scopes.write([Change(SCHOOL, "a.b", 1), Change(SCHOOL, "a.c", object())], MODERATOR)
    assert scopes.values_at(SCHOOL) == {}
    await scopes.refresh()
    assert scopes.values_at(SCHOOL) == {}
    assert not await Audit(database).find("test", "school")


async def test_a_refresh_reads_one_number_and_then_only_what_others_changed(database: Database) -> None:
    here, there = await opened(database), await opened(database)
    await here.write([Change(SCHOOL, f"a.{number}", number) for number in range(100)], MODERATOR)
    await there.refresh()
    with counted_statements() as statements:
        for _ in range(5):
            await here.refresh()
            await there.refresh()
    assert len(statements) == 10
    assert all("FROM changes" in statement for statement in statements)
    await here.write([Change(SCHOOL, "a.7", 8)], MODERATOR)
    with counted_statements() as statements:
        await there.refresh()
        # A process knows what it wrote itself.
        await here.refresh()
    assert ["change_number >" in statement for statement in statements] == [False, True, False]
    assert there.values_at(SCHOOL)["a.7"] == here.values_at(SCHOOL)["a.7"] == 8
    assert len(there.values_at(SCHOOL)) == 100


async def test_changes_of_others_between_own_ones_are_not_missed(database: Database) -> None:
    here, there = await opened(database), await opened(database)
    for number in range(5):
        await here.write([Change(SCHOOL, "a.here", number)], MODERATOR)
        await there.write([Change(SCHOOL, "a.there", number)], MODERATOR)
        await here.write([Change(SCHOOL, f"b.{number}", number)], MODERATOR)
        await here.refresh()
        assert here.values_at(SCHOOL)["a.there"] == number
    await there.refresh()
    assert there.values_at(SCHOOL) == here.values_at(SCHOOL)


async def test_what_another_process_removed_is_gone_after_a_refresh(database: Database) -> None:
    here, there = await opened(database), await opened(database)
    await here.write([Change(SCHOOL, "a.b", 1), Change(SCHOOL, "a.c", 2)], MODERATOR)
    await there.refresh()
    await here.write([Change(SCHOOL, "a.b", None)], MODERATOR)
    await here.write([Change(SCHOOL, "a.c", 3)], MODERATOR)
    await there.refresh()
    assert there.values_at(SCHOOL) == {"a.c": 3}
    assert (await opened(database)).values_at(SCHOOL) == {"a.c": 3}


@pytest.mark.load
async def test_fifty_writers_at_once_lose_nothing(address: str) -> None:
    async with Database(address) as database, Database(address) as second:
        sides = [await opened(database), await opened(second)]

        async def write(number: int) -> None:
            actor = User(f"u{number}", "U")
            changes = [Change(SCHOOL, f"own.{number}", number), Change(SCHOOL, "shared.value", number)]
            await sides[number % 2].write(changes, actor)

        await asyncio.gather(*(write(number) for number in range(50)))
        for scopes in sides:
            await scopes.refresh()
        assert sides[0].values_at(SCHOOL) == sides[1].values_at(SCHOOL)
        assert {name: value for name, value in sides[0].values_at(SCHOOL).items() if name.startswith("own.")} == {
            f"own.{number}": number for number in range(50)
        }
        entries = list(reversed(await Audit(database).find("test", "school")))
        assert len(entries) == 100
        shared = [(entry.before, entry.after) for entry in entries if entry.what == "shared.value"]
        # Each found what the one before it had left.
        assert [before for before, _ in shared] == [None, *(after for _, after in shared[:-1])]
        assert shared[-1][1] == sides[0].values_at(SCHOOL)["shared.value"]


@pytest.mark.chaos
def test_acknowledged_writes_survive_a_hundred_kills_in_the_middle_of_writes(tmp_path: Path) -> None:
    file = tmp_path / "tempera.db"
    # One process that has imported everything, and from which each writer begins as a fork.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(PRELOADED)
    said = 0
    for round_ in range(KILLS):
        said = _killed_writer(processes, file, said, round_)
        connection = sqlite3.connect(file)
        try:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            values = dict(connection.execute("SELECT name, value FROM settings"))
            entries = [after for (after,) in connection.execute('SELECT "after" FROM audit ORDER BY id')]
        finally:
            connection.close()
        # Perhaps one more was written whose acknowledgement nobody heard; it is whole then, too.
        last = max(values.values())
        assert last in (said, said + 1)
        assert entries == list(range(1, last + 1))
        assert values == {f"a.{number % 7}": number for number in range(max(1, last - 6), last + 1)}
        said = last


def _killed_writer(processes: ForkServerContext, file: Path, begin: int, round_: int) -> int:
    """Let a process write, kill it after some acknowledgements, and return the last one."""
    hearing, saying = processes.Pipe(duplex=False)
    process = processes.Process(target=_write, args=(f"sqlite:///{file}", begin, saying))
    process.start()
    saying.close()
    said = begin
    for _ in range(1 + round_ % 5):
        said = hearing.recv()
    # At another moment of the next write each time.
    time.sleep(round_ % 11 / 2000)
    process.kill()
    with suppress(EOFError):
        while True:
            said = hearing.recv()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == -signal.SIGKILL
    return int(said)


def _write(address: str, begin: int, saying: Connection) -> None:
    """Write one number after the other, and print each that is written."""

    async def write() -> None:
        async with Database(address) as database:
            scopes, number = await opened(database), begin
            while True:
                number += 1
                await scopes.write([Change(SCHOOL, f"a.{number % 7}", number)], MODERATOR)
                saying.send(number)

    asyncio.run(write())


async def test_listeners_learn_of_changes_here_and_elsewhere_and_who_made_them(database: Database) -> None:
    here, elsewhere = await opened(database), await opened(database)
    calls = []
    here.listeners.add(lambda: calls.append("here"))
    await here.write([Change(SCHOOL, "a.b", 1)], MODERATOR)
    assert (calls, here.actor_name(SCHOOL, "a.b")) == (["here"], MODERATOR.name)
    await here.refresh()
    assert calls == ["here"]
    await elsewhere.write([Change(SCHOOL, "a.b", 2)], User("z", "Zoe"))
    await here.refresh()
    assert (calls, here.actor_name(SCHOOL, "a.b")) == (["here"] * 2, "Zoe")
    await elsewhere.write([Change(SCHOOL, "a.b", None)], MODERATOR)
    await here.refresh()
    assert (calls, here.actor_name(SCHOOL, "a.b")) == (["here"] * 3, "")
