import asyncio
import gc
import multiprocessing
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fakes.model_server.gateway import PATIENCE_SECONDS, eventually
from fakes.storage.migrated_tables import copy_migrated_tables, run_real_migrations
from fakes.storage.postgres import fresh_database
from fakes.storage.revisions import back_to
from fakes.storage.rows import message
from sqlalchemy import JSON, Text, column, func, insert, inspect, select, table, text
from sqlalchemy.orm import Session

from bot.platforms.web.access.teachers import WebModerators
from bot.settings.resolver import Settings
from bot.settings.setting import Scope
from bot.storage import database as database_module
from bot.storage import installations  # noqa: F401 - so that all tables are known
from bot.storage.columns import UtcDateTime
from bot.storage.database import (
    MAX_READERS,
    AttachmentRow,
    Base,
    Database,
    EventRow,
    MessageRow,
    PluginRow,
    TokensRow,
    now,
)


@pytest.fixture(params=["sqlite", "postgresql"])
async def bare(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a database without tables, on each system, for which the real migrations run."""
    with run_real_migrations():
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path}/deep/below/tempera.db"
        else:
            async with fresh_database(request.getfixturevalue("postgres"), empty=True) as made:
                yield made


async def test_the_migrations_make_the_tables_that_the_code_declares(bare: str) -> None:
    async with Database(bare) as database, database._engine.connect() as connection:
        difference = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), Base.metadata)
        )
    assert difference == []


async def test_the_copied_tables_of_other_tests_equal_the_migrated_ones(
    tmp_path: Path,
) -> None:
    made = []
    for name, way in (("migrated", run_real_migrations), ("remembered", copy_migrated_tables)):
        with way():
            async with Database(f"sqlite:///{tmp_path}/{name}.db") as database, database.reading() as session:
                tables = await session.execute(text("SELECT name, sql FROM sqlite_master ORDER BY name"))
                made.append((tables.all(), await session.scalar(text("SELECT version_num FROM alembic_version"))))
    assert made[0] == made[1]
    assert len(made[0][0]) > 10


async def test_migrations_can_be_undone_and_repeated(bare: str) -> None:
    async with Database(bare) as database:
        await back_to(database, "0007")
        for gone in ("counts", "timeouts", "tokens", "settings", "plugin_blobs", "deliveries", "messages"):
            await database.migrate("-1")
            async with database.reading() as session:
                tables = await session.run_sync(lambda sync: set(inspect(sync.connection()).get_table_names()))
            assert gone not in tables
        await database.migrate()
        async with database.writing() as session:
            session.add(message())


async def test_a_transaction_is_stored_completely_or_not_at_all(address: str) -> None:
    async with Database(address) as database:

        async def break_off() -> None:
            async with database.writing() as session:
                session.add(message())
                await session.flush()
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await break_off()
        async with database.reading() as session:
            assert await session.scalar(select(func.count(MessageRow.id))) == 0


async def test_the_time_zone_of_a_stored_time_is_kept(address: str) -> None:
    created = now()
    async with Database(address) as database:
        async with database.writing() as session:
            session.add(message(created=created))
        async with database.reading() as session:
            assert await session.scalar(select(MessageRow.created)) == created


async def test_a_purge_deletes_old_messages_with_their_files_and_tokens(address: str) -> None:
    async with Database(address) as database:
        async with database.writing() as session:
            old, new = message(created=now() - timedelta(days=31)), message()
            session.add_all([old, new])
            await session.flush()
            file = {"filename": "a.png", "media_type": "image/png", "alt": "", "spoiler": False, "data": b"x"}
            session.add_all([AttachmentRow(message=old.id, **file), AttachmentRow(message=new.id, **file)])
            session.add_all([TokensRow(message=old.id, data=b"x"), TokensRow(message=new.id, data=b"x")])
            session.add(EventRow(platform="test", id="1", created=now() - timedelta(days=31)))
        assert await database.purge(30) == 1
        async with database.reading() as session:
            for belongs_to in (AttachmentRow.message, TokensRow.message):
                assert list(await session.scalars(select(belongs_to))) == [new.id]
            assert await session.scalar(select(func.count()).select_from(EventRow)) == 0


async def test_others_write_while_a_purge_goes_on(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "PURGE_BATCH", 2)
    async with Database(address) as database:
        async with database.writing() as session:
            session.add_all([message(created=now() - timedelta(days=31)) for _ in range(601)])
        purge = asyncio.create_task(database.purge(30))
        for number in range(5):
            assert await database.claim_event("test", str(number))
        assert not purge.done()
        assert await purge == 601


def _claim(address: str, names: list[str], results: "multiprocessing.Queue[list[str]]") -> None:
    async def work() -> list[str]:
        async with Database(address) as database:
            return [name for name in names if await database.claim_event("test", name)]

    results.put(asyncio.run(work()))


@pytest.mark.processes
def test_an_event_is_handled_by_one_of_two_processes(address: str) -> None:
    names = [str(number) for number in range(50)]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=_claim, args=(address, names, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    claimed = results.get(timeout=PATIENCE_SECONDS) + results.get(timeout=PATIENCE_SECONDS)
    for worker in workers:
        worker.join(PATIENCE_SECONDS)
    assert sorted(claimed) == sorted(names)


async def test_concurrent_writers_lose_nothing(address: str) -> None:
    async with Database(address) as database:

        async def add_one() -> None:
            async with database.writing() as session:
                row = await session.get(PluginRow, ("test", "", "count"))
                if row is None:
                    session.add(PluginRow(plugin="test", scope="", key="count", value=1))
                else:
                    row.value += 1

        await asyncio.gather(*(add_one() for _ in range(50)))
        async with database.reading() as session:
            assert await session.scalar(select(PluginRow.value)) == 50


async def test_a_released_event_can_be_claimed_again(address: str) -> None:
    async with Database(address) as database:
        await database.claim_event("test", "1")
        await database.claim_event("test", "2")
        await database.release_event("test", "1")
        assert [await database.claim_event("test", name) for name in ("1", "1", "2")] == [True, False, False]


async def test_a_cancelled_writer_releases_its_lock(address: str) -> None:
    async with Database(address) as database:
        await database.claim_event("test", "1")

        async def write() -> None:
            async with database.writing() as session:
                long = "hex(randomblob(30000000))" if address.startswith("sqlite") else "pg_sleep(600)::text"
                slow = text(f"UPDATE events SET id = {long} RETURNING 1")
                begun.set()
                await session.execute(slow)

        begun = asyncio.Event()
        task = asyncio.create_task(write())
        await begun.wait()
        await asyncio.sleep(0.01)
        task.cancel()
        (cancelled,) = await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(15):
            assert not await database.claim_event("test", "1")
        assert isinstance(cancelled, asyncio.CancelledError)


async def test_a_cancelled_write_does_nothing_after_it_has_ended(address: str) -> None:
    async with Database(address) as database:
        begun, may_end = threading.Event(), threading.Event()

        def write(session: Session) -> None:
            session.add(EventRow(platform="test", id="1", created=now()))
            session.flush()
            begun.set()
            if "sqlite" in address:
                may_end.wait(PATIENCE_SECONDS)
            else:
                session.execute(text(f"SELECT pg_sleep({PATIENCE_SECONDS})"))

        task = asyncio.create_task(database.write(write))
        await eventually(begun.is_set)
        task.cancel()
        # It waits for the thread, or has PostgreSQL give up.
        await asyncio.wait({task}, timeout=0.05)
        may_end.set()
        (cancelled,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(cancelled, asyncio.CancelledError)
        # Where a thread writes, it cannot be stopped.
        stored = select(func.count()).select_from(EventRow)
        before = await database.read(lambda session: session.scalar(stored))
        await database.release_event("test", "1")
        assert before == (1 if "sqlite" in address else 0)
        assert await database.claim_event("test", "1")


async def test_a_call_in_a_thread_ends_before_the_database_closes(tmp_path: Path) -> None:
    """Even one that nobody waits for any more, as its task was cancelled twice."""
    begun, may_end = threading.Event(), threading.Event()

    def write(session: Session) -> None:
        begun.set()
        may_end.wait(PATIENCE_SECONDS)
        session.add(EventRow(platform="test", id="1", created=now()))

    database = Database(f"sqlite:///{tmp_path / 'bot.db'}")
    async with database:
        task = asyncio.create_task(database.write(write))
        await eventually(begun.is_set)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait({task})
        asyncio.get_running_loop().call_later(0.05, may_end.set)
    assert may_end.is_set()
    # It can be opened again.
    async with database:
        assert not await database.claim_event("test", "1")


async def test_a_write_that_waits_when_the_database_closes_is_not_lost(tmp_path: Path) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def hold(session: Session) -> None:
        begun.set()
        may_end.wait(PATIENCE_SECONDS)

    database = Database(f"sqlite:///{tmp_path / 'bot.db'}")
    async with database:
        holding = asyncio.create_task(database.write(hold))
        await eventually(begun.is_set)
        waiting = asyncio.create_task(database.claim_event("test", "1"))
        asyncio.get_running_loop().call_later(0.05, may_end.set)
    await holding
    assert await waiting
    async with database:
        assert not await database.claim_event("test", "1")


async def test_writers_of_a_file_take_turns_and_leave_threads_to_readers(tmp_path: Path) -> None:
    begun, may_end, order = threading.Event(), threading.Event(), list[int]()

    def hold(session: Session) -> None:
        session.execute(select(1))
        begun.set()
        may_end.wait(PATIENCE_SECONDS)

    def note(number: int, session: Session) -> None:
        session.execute(select(1))
        order.append(number)

    async with Database(f"sqlite:///{tmp_path / 'bot.db'}") as database:
        holding = asyncio.create_task(database.write(hold))
        await eventually(begun.is_set)
        waiting = [asyncio.create_task(database.write(partial(note, number))) for number in range(20)]
        assert await database.read(lambda session: session.scalar(select(1))) == 1
        may_end.set()
        await asyncio.gather(holding, *waiting)
    assert order == list(range(20))


async def test_a_write_that_fails_after_it_was_cancelled_is_told_to_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def fail(session: Session) -> None:
        begun.set()
        may_end.wait(PATIENCE_SECONDS)
        raise ZeroDivisionError

    async with Database(f"sqlite:///{tmp_path / 'bot.db'}") as database:
        for cancellations in (1, 2):
            begun.clear()
            may_end.clear()
            task = asyncio.create_task(database.write(fail))
            await eventually(begun.is_set)
            for _ in range(cancellations):
                task.cancel()
                await asyncio.sleep(0)
            may_end.set()
            (cancelled,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(cancelled, asyncio.CancelledError)
        assert await database.claim_event("test", "1")
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_nothing_is_written_by_a_function_that_fails(address: str) -> None:
    def fail(session: Session) -> None:
        session.add(EventRow(platform="test", id="1", created=now()))
        session.flush()
        raise ZeroDivisionError

    async with Database(address) as database:
        with pytest.raises(ZeroDivisionError):
            await database.write(fail)
        assert await database.claim_event("test", "1")


async def test_truncating_the_wal_does_not_block_writers_while_somebody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.storage.engine.BUSY_SECONDS", 2 * PATIENCE_SECONDS)
    async with Database(f"sqlite:///{tmp_path / 'bot.db'}") as database:
        await database.claim_event("test", "1")
        with closing(sqlite3.connect(tmp_path / "bot.db")) as reader:
            # A statement that is not read to its end keeps the snapshot that it began with.
            rows = reader.execute("SELECT 1 FROM events UNION ALL SELECT 2")
            assert rows.fetchone() == (1,)
            settling = asyncio.create_task(database.truncate_wal())
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await database.claim_event("test", "2")
                assert not await database.claim_event("test", "2")
                await settling
            assert rows.fetchone() == (2,)
        assert (tmp_path / "bot.db-wal").stat().st_size > 0
        await database.truncate_wal()
        assert (tmp_path / "bot.db-wal").stat().st_size == 0


async def test_characters_that_databases_reject_are_removed_from_texts(address: str) -> None:
    async with Database(address) as database:
        async with database.writing() as session:
            session.add(message(text="a\0b \ud83d c", options={"prompt": "a\0b \ud83d"}))
        async with database.reading() as session:
            (row,) = await session.scalars(select(MessageRow))
            assert row.text == "ab ? c"
            assert row.options["prompt"].startswith("a")
            assert await session.scalar(select(MessageRow.id).where(MessageRow.text == "ab \ud83d c")) == row.id


@pytest.mark.parametrize("way", ["reading", "writing", "read", "write"])
async def test_a_task_cancelled_at_any_moment_returns_its_connection(
    address: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Database(address) as database:
        do = getattr(database, way)

        async def work() -> None:
            if way in ("read", "write"):
                await do(lambda session: session.execute(text("SELECT 1")))
                return
            async with do() as session:
                await session.execute(text("SELECT 1"))

        for turns in range(60):
            task = asyncio.create_task(work())
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.sleep(turns % 7 / 5000)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    gc.collect()
    assert not [record for record in caplog.records if "garbage collector" in record.getMessage()]


async def test_a_new_database_can_be_opened_many_times_at_once(bare: str) -> None:
    async def begin(number: int) -> bool:
        async with Database(bare) as database:
            return await database.claim_event("test", str(number))

    assert all(await asyncio.gather(*(begin(number) for number in range(8))))


OLD_PLUGIN_DATA, OLD_SETTINGS = (
    table(name, *(column(column_name, kind) for column_name, kind in columns.items()))
    for name, columns in {
        "plugin_data": dict.fromkeys(("plugin", "scope", "key"), Text) | {"value": JSON},
        "settings": dict.fromkeys(("platform", "server", "channel", "role", "name", "actor", "actor_name"), Text)
        | {"value": JSON, "changed": UtcDateTime},
    }.items()
)
"""Tables as they were before their changes were numbered."""


async def test_the_migration_keeps_plugins_switched_off(bare: str) -> None:
    off = {"web": ["face"], "123456": ["ask", "face"], "T0123ABC": ["lab"], "": ["imagine"]}
    async with Database(bare) as database:
        await back_to(database, "0007")
        switched_on = {
            "platform": "discord",
            "server": "123456",
            "channel": "",
            "role": "",
            "name": "ask.enabled",
            "value": True,
            "actor": "mod",
            "actor_name": "Mod",
            "changed": now(),
        }
        async with database.writing() as session:
            rows = [{"plugin": "plugins", "scope": "off", "key": key, "value": off[key]} for key in off]
            await session.execute(insert(OLD_PLUGIN_DATA), rows)
            await session.execute(
                insert(OLD_PLUGIN_DATA), {"plugin": "plugins", "scope": "reloads", "key": "face", "value": 3}
            )
            await session.execute(insert(OLD_SETTINGS), switched_on)
        await database.migrate()
        settings = Settings({})
        await settings.start(database)
        expected = {
            Scope("web", "web"): {"face.enabled": False},
            Scope("discord", "123456"): {"ask.enabled": True, "face.enabled": False},
            Scope("slack", "T0123ABC"): {"lab.enabled": False},
            Scope("terminal", "", "terminal"): {"imagine.enabled": False},
        }
        assert {scope: dict(settings.scopes.values_at(scope)) for scope in expected} == expected
        async with database.reading() as session:
            assert [(row.scope, row.key) for row in await session.scalars(select(PluginRow))] == [("reloads", "face")]
        await back_to(database, "0007")
        async with database.reading() as session:
            rows = await session.execute(select(OLD_PLUGIN_DATA).where(OLD_PLUGIN_DATA.c.scope == "off"))
            assert {row.key: row.value for row in rows} == off | {"123456": ["face"]}
        await database.migrate()


async def test_the_migration_keeps_the_moderators_of_the_web_chat(bare: str) -> None:
    async with Database(bare) as database:
        await back_to(database, "0008")
        ann = "0123456789abcdef"
        row = {"plugin": "web chat", "scope": "moderators", "key": ann, "value": 1000.5}
        async with database.writing() as session:
            await session.execute(insert(OLD_PLUGIN_DATA), row)
        await database.migrate()
        moderators = WebModerators(database)
        await moderators.refresh()
        (kept,) = moderators.signed_in
        assert (kept.id, kept.name, kept.since) == (ann, "Guest 0123", 1000.5)
        assert ann in moderators
        await back_to(database, "0008")
        async with database.reading() as session:
            rows = await session.execute(select(OLD_PLUGIN_DATA).where(OLD_PLUGIN_DATA.c.scope == "moderators"))
            assert [dict(row) for row in rows.mappings()] == [row]
        await database.migrate()


async def test_who_waits_for_a_connection_reads_before_whoever_comes_later(
    database: Database,
) -> None:
    read: list[str] = []

    async def reader(name: str, until: asyncio.Event | None = None) -> None:
        async with database.reading() as session:
            await session.scalar(select(1))
            read.append(name)
            if until is not None:
                await until.wait()

    ends = [asyncio.Event() for _ in range(MAX_READERS)]
    busy = [asyncio.create_task(reader("busy", end)) for end in ends]
    await eventually(lambda: len(read) == MAX_READERS)
    waiting = asyncio.create_task(reader("first"))
    await asyncio.sleep(0.05)
    assert read[MAX_READERS:] == []
    ends[0].set()
    await busy[0]
    await reader("second")
    assert read[MAX_READERS:] == ["first", "second"]
    for end in ends:
        end.set()
    await asyncio.gather(*busy, waiting)
