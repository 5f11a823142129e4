import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import Store
from bot.storage.database import Database
from plugins.explain import gaps
from plugins.explain.gaps import Gaps

LONG_AGO = "2020-01-01T00:00:00+00:00"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        yield Store(database, "explain")


async def test_the_same_question_counts_up_however_it_is_written(store: Store) -> None:
    counted = Gaps(store, 30)
    for question in ("What is a CPU?", "what is  a cpu", "Why?"):
        await counted.count_question("school", question)
    await counted.count_unhelpful("school", "Pets › Cats")
    await counted.count_question("elsewhere", "Where?")
    asked, unhelpful = await counted.list_gaps("school")
    assert [(gap.text, gap.count) for gap in asked] == [("what is a cpu", 2), ("Why?", 1)]
    assert [(gap.text, gap.count) for gap in unhelpful] == [("Pets › Cats", 1)]
    await counted.count_question("long", "why " * 300)
    assert len((await counted.list_gaps("long"))[0][0].text) <= gaps.MAX_CHARACTERS


async def test_gaps_older_than_the_retention_period_are_deleted(store: Store) -> None:
    counted = Gaps(store, 30)
    await counted.count_question("school", "Why?")
    await store.set("old", {"text": "old", "count": 9, "last": LONG_AGO}, scope="asked:school")
    assert [gap.text for gap in (await counted.list_gaps("school"))[0]] == ["Why?"]
    assert list(await store.items(scope="asked:school")) == ["why"]


async def test_old_gaps_of_inactive_servers_are_deleted(store: Store) -> None:
    for server in ("school", "elsewhere"):
        await Gaps(store, 30).count_question(server, f"Why, {server}?")
        await Gaps(store, 30).count_unhelpful(server, "Pets › Cats")
    await Gaps(store, 30).forget_old()
    scopes = [f"{kind}:{server}" for kind in ("asked", "unhelpful") for server in ("school", "elsewhere")]
    assert all([await store.items(scope=scope) for scope in scopes])
    await Gaps(store, 0).forget_old()
    assert not any([await store.items(scope=scope) for scope in scopes])


async def test_only_the_newest_gaps_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "MAX_GAPS", 2)
    counted = Gaps(store, 30)
    for question in ("one", "two", "three"):
        await counted.count_question("school", question)
    assert {gap.text for gap in (await counted.list_gaps("school"))[0]} == {"two", "three"}


async def test_forgetting_a_question_keeps_the_counts_of_others(store: Store) -> None:
    counted = Gaps(store, 30)
    for question in ("Why?", "why", "Where?"):
        await counted.count_question("school", question)
    for question in ("WHY", "Where?", "When?"):
        await counted.forget_question("school", question)
    asked, _ = await counted.list_gaps("school")
    assert [(gap.text, gap.count) for gap in asked] == [("why", 1)]


async def test_two_who_forget_the_same_question_at_the_same_time_leave_none(store: Store) -> None:
    counted = Gaps(store, 30)
    for _ in range(2):
        await counted.count_question("school", "Why?")
    await asyncio.gather(*(counted.forget_question("school", "Why?") for _ in range(3)))
    assert (await counted.list_gaps("school"))[0] == []
