import asyncio

import pytest

from bot.storage.database import Database
from bot.storage.key_value import MAX_KEYS_PER_STATEMENT, Store


@pytest.mark.parametrize("value", [None, True, 0.5, "ä “x”", ["a", {"b": [1]}], {"nested": {"deep": None}}])
async def test_json_values_are_returned_unchanged(database: Database, value: object) -> None:
    store = Store(database, "dice")
    await store.set("key", value)
    assert await store.get("key", "missing") == value


async def test_a_value_that_is_not_json_leaves_the_old_one(database: Database) -> None:
    store = Store(database, "dice")
    await store.set("key", 1)
    with pytest.raises(Exception, match="not JSON serializable"):
        await store.set("key", object())
    assert await store.get("key") == 1


async def test_plugins_and_scopes_are_separate(database: Database) -> None:
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


async def test_items_come_in_the_order_of_their_keys_and_are_deleted_at_once(database: Database) -> None:
    store = Store(database, "dice")
    for key in ("b", "c", "a"):
        await store.set(key, key.upper())
    assert list((await store.items()).items()) == [("a", "A"), ("b", "B"), ("c", "C")]
    await store.delete("a", "c", "never")
    assert await store.items() == {"b": "B"}


async def test_concurrent_changes_of_a_value_all_count(database: Database) -> None:
    store = Store(database, "dice")
    values = await asyncio.gather(*(store.change("rolls", lambda rolls: (rolls or 0) + 1) for _ in range(20)))
    assert sorted(values) == list(range(1, 21))
    assert await store.get("rolls") == 20


async def test_bytes_are_separate_from_values_and_from_other_plugins(database: Database) -> None:
    dice, lesson = Store(database, "dice"), Store(database, "lesson")
    await dice.set("key", "a value")
    await dice.set_blobs({"key": b"\0\xff", "other": b"old"})
    await dice.set_blobs({"other": b"new"})
    await dice.set_blobs({"key": b"school"}, scope="school")
    await lesson.set_blobs({"key": b"lesson"})
    assert await dice.blobs(["key", "other", "never"]) == {"key": b"\0\xff", "other": b"new"}
    assert await dice.blob_keys() == {"key", "other"}
    await dice.delete_blobs(["key", "never"])
    assert await dice.blob_keys() == {"other"}
    assert await dice.blobs(["key"], scope="school") == {"key": b"school"}
    assert await lesson.blobs(["key"]) == {"key": b"lesson"}
    assert await dice.get("key") == "a value"


async def test_more_keys_than_fit_into_a_statement_work(database: Database) -> None:
    store = Store(database, "dice")
    many = {str(number): bytes([number % 256]) for number in range(2 * MAX_KEYS_PER_STATEMENT + 1)}
    await store.set_blobs(many)
    await store.set_blobs(many)
    assert await store.blobs(many) == many
    await store.delete_blobs(many)
    assert await store.blob_keys() == frozenset()
