import asyncio

import pytest

from bot.database import Database
from bot.store import Store


@pytest.mark.parametrize("value", [None, True, 0.5, "ä “x”", ["a", {"b": [1]}], {"nested": {"deep": None}}])
async def test_what_json_can_hold_comes_back_as_it_was(database: Database, value: object) -> None:
    store = Store(database, "dice")
    await store.set("key", value)
    assert await store.get("key", "missing") == value


async def test_what_json_cannot_hold_leaves_the_old_value(database: Database) -> None:
    store = Store(database, "dice")
    await store.set("key", 1)
    with pytest.raises(Exception, match="not JSON serializable"):
        await store.set("key", object())
    assert await store.get("key") == 1


async def test_plugins_and_scopes_are_apart(database: Database) -> None:
    dice, lesson = Store(database, "dice"), Store(database, "lesson")
    await dice.set("key", "everywhere")
    await dice.set("key", "school", scope="school")
    await lesson.set("key", "another plugin's")
    assert await dice.get("key") == "everywhere"
    assert await dice.get("key", scope="school") == "school"
    assert await dice.get("key", scope="elsewhere") is None
    assert await dice.items() == {"key": "everywhere"}
    await dice.delete("key")
    await dice.delete("key")
    assert await dice.get("key", "gone") == "gone"
    assert await dice.items(scope="school") == {"key": "school"}
    assert await lesson.get("key") == "another plugin's"


async def test_items_come_in_the_order_of_their_keys(database: Database) -> None:
    store = Store(database, "dice")
    for key in ("b", "c", "a"):
        await store.set(key, key.upper())
    assert list((await store.items()).items()) == [("a", "A"), ("b", "B"), ("c", "C")]


async def test_the_last_of_many_writers_wins_whole(database: Database) -> None:
    store = Store(database, "dice")
    await asyncio.gather(*(store.set("key", [number] * 50) for number in range(20)))
    value = await store.get("key")
    assert len(value) == 50
    assert len(set(value)) == 1
