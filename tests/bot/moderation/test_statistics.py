"""The statistics of a server: the counts of a working bot, and the sums of them."""

from datetime import timedelta
from pathlib import Path

import pytest
from fakes.core.requests import ANN, BEN, MODERATOR, OPERATOR, ROOM, ask, last, press
from fakes.model_server.model_api import FakeModels
from sqlalchemy import func, select, update

from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core.adapters import Adapters
from bot.core.caller import Caller
from bot.core.errors import PermissionDenied
from bot.inference.client import ModelClient
from bot.moderation.statistics import Statistics, UsageStatistics, WaitTimes, read_statistics
from bot.plugin_host import plugin
from bot.plugin_host.registry import Registry
from bot.settings.resolver import Settings
from bot.settings.setting import Scope
from bot.storage import counters
from bot.storage.counters import CountRow, count, day_of
from bot.storage.database import Database, MessageRow, now

SCHOOL = Scope("test", "school")
KNOWN = ("ask", "imagine", "face", "help")


async def here(database: Database, days: int = 7) -> UsageStatistics:
    return await read_statistics(database, SCHOOL, days, KNOWN)


async def add(database: Database, kind: str, command: str, value: str, by: int = 1, ago: int = 0) -> None:
    async with database.writing() as session:
        day = day_of(now() - timedelta(days=ago))
        await session.run_sync(count, ("test", "school"), kind, command, value, day, by)


async def test_uses_by_command_and_day_the_most_used_first(database: Database) -> None:
    for command, by, ago in (("face", 1, 0), ("ask", 2, 0), ("ask", 3, 2), ("imagine", 1, 6), ("ask", 9, 7)):
        await add(database, counters.USE, command, "done", by, ago)
    await add(database, counters.USE, "face", "failed")
    found = await here(database)
    assert found.days == tuple(day_of(now() - timedelta(days=ago)) for ago in reversed(range(7)))
    assert list(found.uses.items()) == [
        ("ask", (0, 0, 0, 0, 3, 0, 2)),
        ("face", (0, 0, 0, 0, 0, 0, 2)),
        ("imagine", (1, 0, 0, 0, 0, 0, 0)),
    ]
    assert (found.total, found.failed) == (8, 1)
    assert (await here(database, 30)).total == 17


async def test_a_hidden_command_counts_for_its_visible_command(database: Database) -> None:
    for name in ("imagine-vary", "imagine", "other-thing"):
        await add(database, counters.USE, name, "done")
    assert {name: sum(uses) for name, uses in (await here(database)).uses.items()} == {"imagine": 2, "other-thing": 1}


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        ({"1": 1}, WaitTimes(1, 1, 1)),
        ({"0.5": 5, "8": 4, "20": 1}, WaitTimes(10, 0.5, 8)),
        ({"0.5": 5, "8": 3, "20": 2}, WaitTimes(10, 0.5, 20)),
        ({"2": 4, "3": 6}, WaitTimes(10, 3, 3)),
        ({"2": 6, "longer": 4}, WaitTimes(10, 2, None)),
        ({"longer": 1}, WaitTimes(1, None, None)),
    ],
)
async def test_the_waits_of_half_and_of_nine_in_ten_are_found(
    database: Database, waits: dict[str, int], expected: WaitTimes
) -> None:
    await add(database, counters.USE, "ask", "done")
    for edge, by in waits.items():
        await add(database, counters.WAIT, "ask", edge, by)
    assert (await here(database)).waits == {"ask": expected}


async def test_refusals_by_day_and_by_reason(database: Database) -> None:
    for reason, by, ago in (("hate", 2, 0), ("cooldown", 3, 1), ("hate", 2, 1)):
        await add(database, counters.REFUSAL, "ask", reason, by, ago)
    found = await here(database)
    assert found.refused == (0, 0, 0, 0, 0, 5, 2)
    assert list(found.reasons.items()) == [("hate", 4), ("cooldown", 3)]


async def test_statistics_leave_out_other_servers(database: Database) -> None:
    await add(database, counters.USE, "ask", "done")
    for other in (Scope("test", "other"), Scope("other", "school"), Scope("test", "")):
        assert (await read_statistics(database, other, 7, KNOWN)).total == 0


async def test_only_moderators_read_the_statistics(database: Database) -> None:
    statistics = Statistics(database, Registry([], Settings({}, ModelClient("http://127.0.0.1:9"), Adapters())))
    for user in (MODERATOR, OPERATOR):
        assert (await statistics.last(Caller(user, ROOM), 7, SCHOOL)).total == 0
    with pytest.raises(PermissionDenied, match="Only moderators can see the statistics"):
        await statistics.last(Caller(ANN, ROOM), 7, SCHOOL)


# What is counted while a bot works


async def of(bot: Bot) -> UsageStatistics:
    return await here(bot.database)


async def test_a_finished_answer_counts_as_a_use_with_a_wait(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    asked = bot.prepare(ask("/ask hello")).start()
    await anext(asked)
    assert (await of(bot)).total == 0
    models.gate.set()
    async for _ in asked:
        pass
    await last(bot, ask("/help"))
    found = await of(bot)
    assert {name: sum(uses) for name, uses in found.uses.items()} == {"ask": 1, "help": 1}
    assert {name: waits.count for name, waits in found.waits.items()} == {"ask": 1, "help": 1}
    assert found.failed == 0


async def test_an_error_counts_no_wait(bot: Bot, models: FakeModels) -> None:
    models.failure = (500, "The worker died.")
    assert (await last(bot, ask("/ask hello"))).error
    found = await of(bot)
    assert (found.total, found.failed, dict(found.waits)) == (1, 1, {})


async def test_a_wrong_request_counts_as_no_use_and_a_refused_one_as_a_refusal(bot: Bot) -> None:
    await last(bot, ask("/ask temperature:9 hello"))
    scope = Scope("test", "school")
    await bot.settings.write([bot.settings.make_change("ask.enabled", "no", scope)], MODERATOR)
    await last(bot, ask("/ask hello"))
    found = await of(bot)
    assert (found.total, dict(found.reasons), sum(found.refused)) == (0, {"off": 1}, 1)


async def test_thumbs_count_on_the_day_of_their_answer_and_can_be_taken_back(bot: Bot) -> None:
    row = (await last(bot, ask("/ask hello"))).row
    async with bot.database.writing() as session:
        await session.execute(update(MessageRow).values(created=now() - timedelta(days=2)))
    for user, thumb, expected in (
        (ANN, "up", (1, 0)),
        (BEN, "down", (1, 1)),
        (BEN, "up", (2, 0)),
        (ANN, "up", (1, 0)),
    ):
        await last(bot, press(thumb, row, user))
        assert (await of(bot)).votes == {"ask": expected}
    async with bot.database.reading() as session:
        days = await session.scalars(select(CountRow.day).where(CountRow.kind == counters.VOTE))
    assert set(days) == {day_of(now() - timedelta(days=2))}
    await last(bot, press("up", row, BEN))
    assert (await of(bot)).votes == {}


async def test_statistics_outlive_the_messages_and_name_nobody(bot: Bot) -> None:
    row = (await last(bot, ask("/ask hello"))).row
    await last(bot, press("up", row, BEN))
    await last(bot, press("delete", row, ANN))
    await bot.database.purge(0)
    found = await of(bot)
    assert (found.total, found.votes) == (1, {"ask": (1, 0)})
    async with bot.database.reading() as session:
        kept = [str(vars(one)) for one in await session.scalars(select(CountRow))]
    assert kept
    for word in ("ann", "Ann", "ben", "Ben", "hello", "room"):
        assert not [one for one in kept if word in one]


async def test_uses_are_counted_even_if_no_messages_are_kept(models: FakeModels, tmp_path: Path) -> None:
    plugins = plugin.load(PluginsSection(enabled=("ask",), entry_points=False))
    database = Database(f"sqlite:///{tmp_path}/tempera.db")
    settings = {"safety.level": "off"}
    async with Bot(ModelClient(models.url), plugins, database, settings=settings, retention_days=0) as bot:
        await last(bot, ask("/ask hello"))
        async with database.reading() as session:
            assert await session.scalar(select(func.count(MessageRow.id))) == 0
        found = await of(bot)
    assert (found.total, found.waits["ask"].count) == (1, 1)
