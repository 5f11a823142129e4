"""New exchanges that come at once, on databases of both kinds."""

import asyncio
from dataclasses import replace

import pytest
from fakes.core.requests import ANN, ROOM
from fakes.storage.rows import ASK
from sqlalchemy import event, func, select
from sqlalchemy.exc import IntegrityError

from bot.core.errors import Expired
from bot.core.messages import Request, User
from bot.storage import exchanges
from bot.storage.database import Database, MessageRow
from bot.storage.exchanges import MAX_AT_ONCE
from bot.storage.messages import MessageStore


async def create(
    store: MessageStore, text: str, question: int | None = None, user: User = ANN
) -> tuple[MessageRow, MessageRow]:
    request = Request(user=user, place=ROOM, text=text)
    return await store.create_exchange(request, ASK, {"prompt": text, "seed": 1}, private=False, question=question)


async def count(database: Database) -> int:
    async with database.reading() as session:
        return await session.scalar(select(func.count()).select_from(MessageRow)) or 0


async def test_those_that_come_at_once_are_stored_in_few_transactions(database: Database, store: MessageStore) -> None:
    commits = 0

    def note(_: object) -> None:
        nonlocal commits
        commits += 1

    for engine in filter(None, (database._engine.sync_engine, database._backend.blocking)):
        event.listen(engine, "commit", note)
    pairs = await asyncio.gather(*(create(store, f"question {number}") for number in range(2 * MAX_AT_ONCE)))
    assert commits == 2
    assert [question.text for question, _ in pairs] == [f"question {number}" for number in range(2 * MAX_AT_ONCE)]
    assert all(answer.parent == question.id for question, answer in pairs)
    assert await count(database) == 4 * MAX_AT_ONCE
    found = await store.get(pairs[7][0].id)
    assert found is not None
    assert found.text == "question 7"


async def test_one_that_cannot_be_stored_leaves_the_others_alone(database: Database, store: MessageStore) -> None:
    nobody = replace(ANN, id=None)  # type: ignore[arg-type]
    results = await asyncio.gather(
        *(create(store, "a"), create(store, "b", question=999), create(store, "c", user=nobody), create(store, "d")),
        return_exceptions=True,
    )
    assert [type(one) for one in results] == [tuple, Expired, IntegrityError, tuple]
    assert await count(database) == 4


async def test_nothing_stays_of_one_that_is_cancelled(database: Database, store: MessageStore) -> None:
    first = await create(store, "first")
    others = [asyncio.create_task(create(store, text)) for text in ("a", "b")]
    again = asyncio.create_task(create(store, "first", question=first[0].id))
    # The transaction is open now, and has not ended.
    for _ in range(3):
        await asyncio.sleep(0)
    for task in (others[0], again):
        task.cancel()
    results = await asyncio.gather(*others, again, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in results] == [True, False, True]
    # Cancelled when it is stored already, and does not know it yet.
    late = asyncio.create_task(create(store, "late"))
    await asyncio.sleep(0)
    [(_, stored)] = store._exchanges._waiting
    stored.add_done_callback(lambda _: late.cancel())
    with pytest.raises(asyncio.CancelledError):
        await late
    await store.give_way()
    assert await count(database) == 4
    assert await store.get(first[0].id) is not None


async def test_who_gives_way_waits_for_all_that_wait_to_be_stored(database: Database, store: MessageStore) -> None:
    await store.give_way()
    tasks = [asyncio.create_task(create(store, f"question {number}")) for number in range(2 * MAX_AT_ONCE)]
    await asyncio.sleep(0)
    await store.give_way()
    assert await count(database) == 4 * MAX_AT_ONCE
    await asyncio.gather(*tasks)


async def test_who_gives_way_begins_a_moment_after_whoever_came_before(
    store: MessageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "TURN_SECONDS", 0.2)
    loop, moments = asyncio.get_running_loop(), []

    async def begin() -> None:
        await store.give_way()
        moments.append(loop.time())

    before = loop.time()
    await asyncio.gather(begin(), begin(), begin())
    assert [moment >= before + turn for moment, turn in zip(moments, (0, 0.19, 0.39), strict=True)] == [True] * 3
    # Nobody waits for those who came long ago.
    await asyncio.sleep(0.25)
    async with asyncio.timeout(0.15):
        await store.give_way()
