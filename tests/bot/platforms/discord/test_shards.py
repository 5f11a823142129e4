"""Discord's shards in several processes: ranges, shares that processes agree on, and the pace of new sessions."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes.discord import FakeDiscord
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys, bot_with_toys
from sqlalchemy import delete

from bot.app import Bot
from bot.config.sections import DiscordSection
from bot.platforms.discord import DiscordPlatform, shards
from bot.platforms.discord import client as client_module
from bot.platforms.discord.convert.requests import PLATFORM
from bot.platforms.discord.shards import divide
from bot.storage.database import InstanceRow
from bot.storage.key_value import Store


def held_by(division: dict[str, Any]) -> Counter[str]:
    return Counter(division["holders"].values())


def rounds(division: dict[str, Any] | None, count: int, living: Sequence[str], times: int = 2) -> dict[str, Any]:
    """Let each process take its turn a few times."""
    for _ in range(times):
        for one in living:
            division = divide(division, count, one, living)
    assert division is not None
    return division


def test_processes_come_to_have_as_many_shards_as_each_other() -> None:
    division = rounds(rounds(None, 8, ["a"]), 8, ["a", "b", "c"], times=3)
    assert sorted(held_by(division).values()) == [2, 3, 3]
    assert divide(division, 8, "b", ["a", "b", "c"]) == division


def test_the_shards_of_a_dead_process_are_divided_among_the_others() -> None:
    division = rounds(None, 8, ["a", "b"], times=3)
    kept = {shard for shard, holder in division["holders"].items() if holder == "b"}
    after = rounds(division, 8, ["b"])
    assert held_by(after) == {"b": 8}
    assert len(kept) == 4


def test_with_another_number_of_shards_everything_is_divided_anew() -> None:
    assert held_by(rounds(rounds(None, 8, ["a"]), 2, ["a"])) == {"a": 2}


def test_more_processes_than_shards_leave_some_without_any() -> None:
    assert sorted(held_by(rounds(None, 2, ["a", "b", "c"], times=3)).values()) == [1, 1]


def test_ranges_are_taken_before_others_share_the_rest() -> None:
    living = ["a", "fixed", "b"]
    alone = rounds(None, 8, ["a", "b"], times=3)
    division = divide(alone, 8, "fixed", living, range(4))
    assert [division["holders"][str(shard)] for shard in range(4)] == ["fixed"] * 4
    for one in ("a", "b", "a"):
        division = divide(division, 8, one, living)
    assert held_by(division) == {"fixed": 4, "a": 2, "b": 2}
    assert divide(division, 8, "fixed", living, range(4)) == division
    assert held_by(rounds(division, 8, ["a", "b"], times=3)) == {"a": 4, "b": 4}


def test_of_two_with_the_same_range_the_second_one_waits() -> None:
    division = divide(divide(None, 4, "a", ["a"], range(4)), 4, "b", ["a", "b"], range(4))
    assert held_by(division) == {"a": 4}
    assert held_by(divide(division, 4, "b", ["b"], range(4))) == {"b": 4}


def test_whoever_shares_has_nothing_beside_ranges_of_all_shards_until_one_is_dead() -> None:
    division = divide(divide(None, 4, "a", ["a"], (0, 1)), 4, "b", ["a", "b"], (2, 3))
    division = divide(division, 4, "spare", ["a", "b", "spare"])
    assert held_by(division) == {"a": 2, "b": 2}
    assert held_by(divide(division, 4, "spare", ["a", "spare"])) == {"a": 2, "spare": 2}


def test_ranges_divide_those_of_a_dead_process_until_it_is_back_or_a_spare_one_comes() -> None:
    ranges = {"a": (0, 1), "b": (2, 3), "c": (4, 5, 6, 7)}

    def turns(division: dict[str, Any] | None, living: Sequence[str], *, helps: bool = True) -> dict[str, Any]:
        for one in (*living, *living):
            division = divide(division, 8, one, living, ranges.get(one), helps=helps)
        assert division is not None
        return division

    started = turns(None, ["a", "b"], helps=False)
    assert held_by(started) == {"a": 2, "b": 2}
    assert held_by(turns(started, ["a", "b"])) == {"a": 4, "b": 4}
    whole = turns(started, ["a", "b", "c"])
    assert held_by(whole) == {"a": 2, "b": 2, "c": 4}
    without = turns(whole, ["a", "b"])
    assert held_by(without) == {"a": 4, "b": 4}
    assert {without["holders"][shard] for shard in "01"} == {"a"}
    assert turns(without, ["a", "b", "c"])["holders"] == whole["holders"]
    assert held_by(turns(without, ["a", "b", "spare"])) == {"a": 2, "b": 2, "spare": 4}


@pytest.fixture
async def server() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as running:
        running.gateway.shards = 4
        running.gateway.max_concurrency = 4
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "ROUND_SECONDS", 0.05)
    monkeypatch.setattr(client_module, "HANDOVER_SECONDS", 0.5)
    # With a sign of life, a process that a test takes for dead would come back.
    monkeypatch.setattr("bot.storage.instances.HEARTBEAT_SECONDS", 3600.0)


@asynccontextmanager
async def process(models: FakeModels, folder: Path, discord: FakeDiscord, plan: str) -> AsyncIterator[Bot]:
    """Run what one process of a deployment is: a bot on the common database with some of the shards."""
    section = DiscordSection(token=discord.token, api_base=discord.api_base, shards=plan)
    async with bot_with_toys(models, folder, Toys()) as bot:
        running = asyncio.create_task(DiscordPlatform(bot, section).run())
        try:
            yield bot
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def connected(discord: FakeDiscord) -> list[int]:
    """Return the shard of each session that is connected."""
    return sorted(one.shard for one in discord.gateway.sessions.values() if one.connection is not None)


async def ask_everywhere(discord: FakeDiscord) -> None:
    """Ask something on each shard; exactly one process answers."""
    for shard in range(4):
        guild = discord.add_guild(f"On shard {shard}", shard=shard)
        discord.remove_bot(guild)
        discord.add_bot(guild)
        asked = await discord.slash(discord.ann, guild.system_channel, "whisper", text="hello")
        assert (await asked.acknowledged()).private


async def test_a_spare_process_takes_a_range_over_and_gives_it_back(
    server: FakeDiscord, models: FakeModels, tmp_path: Path
) -> None:
    async with process(models, tmp_path, server, "0-1/4"):
        # Else the other one could have these, too, for a moment.
        await server.until(lambda: connected(server) == [0, 1])
        async with process(models, tmp_path, server, "auto/4"):
            # The spare process has what nobody else has.
            await server.until(lambda: connected(server) == [0, 1, 2, 3])
            async with process(models, tmp_path, server, "2-3/4"):
                await server.until(lambda: len(server.gateway.starts) == 6 and connected(server) == [0, 1, 2, 3])
                await ask_everywhere(server)
            await server.until(lambda: len(server.gateway.starts) == 8 and connected(server) == [0, 1, 2, 3])
            assert {shard for shard, _ in server.gateway.starts[6:]} == {2, 3}
            await ask_everywhere(server)


async def test_a_range_takes_over_that_of_a_process_that_is_gone(
    server: FakeDiscord, models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(models, tmp_path, server, "0-1/4"):
        async with process(models, tmp_path, server, "2-3/4"):
            await server.until(lambda: connected(server) == [0, 1, 2, 3] and server.commands())
            monkeypatch.setattr(shards, "START_SECONDS", 0.0)
        await server.until(lambda: len(server.gateway.starts) == 6 and connected(server) == [0, 1, 2, 3])
        await ask_everywhere(server)
        async with process(models, tmp_path, server, "2-3/4"):
            await server.until(lambda: len(server.gateway.starts) == 8 and connected(server) == [0, 1, 2, 3])
            await ask_everywhere(server)
    assert {shard for shard, _ in server.gateway.starts[4:]} == {2, 3}


async def test_processes_share_shards_and_take_over_those_of_a_dead_one(
    server: FakeDiscord, models: FakeModels, tmp_path: Path
) -> None:
    async with process(models, tmp_path, server, "auto/4") as first:
        await server.until(lambda: connected(server) == [0, 1, 2, 3] and server.commands())
        async with process(models, tmp_path, server, "auto/4") as second:
            # The first one leaves what the second one has taken, once its sessions have begun.
            await server.until(lambda: len(server.gateway.starts) == 6 and connected(server) == [0, 1, 2, 3])
            taken = {shard for shard, _ in server.gateway.starts[4:]}
            assert len(taken) == 2
            await ask_everywhere(server)
            async with second.database.writing() as session:
                await session.execute(delete(InstanceRow).where(InstanceRow.id == second.instance.id))
            await server.until(lambda: len(server.gateway.starts) == 8)
            assert {shard for shard, _ in server.gateway.starts[6:]} == taken
    assert first.instance.id != second.instance.id


async def test_a_shard_is_served_until_another_process_has_begun_its_session(
    server: FakeDiscord, models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "IDENTIFY_SECONDS", 1.5)
    server.gateway.max_concurrency = 1
    async with process(models, tmp_path, server, "auto/4"):
        await server.until(lambda: connected(server) == [0, 1, 2, 3])
        async with process(models, tmp_path, server, "auto/4"):

            def is_handed_over() -> bool:
                assert set(connected(server)) == {0, 1, 2, 3}
                return len(server.gateway.starts) == 6 and len(connected(server)) == 4

            await server.until(is_handed_over)


async def test_of_shards_that_another_process_takes_no_session_begins(
    server: FakeDiscord, models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "IDENTIFY_SECONDS", 4.0)
    server.gateway.max_concurrency = 1
    async with process(models, tmp_path, server, "auto/4") as first:
        await server.until(lambda: connected(server) == [0])
        async with process(models, tmp_path, server, "auto/4") as second:
            await server.until(lambda: connected(server) == [0, 1, 2, 3])
            division = await Store(first.database, PLATFORM).get(shards.DIVISION)
            assert held_by(division) == {bot.instance.id: 2 for bot in (first, second)}
    assert sorted(shard for shard, _ in server.gateway.starts) == [0, 1, 2, 3]


async def test_all_processes_together_keep_the_pace_of_new_sessions(
    server: FakeDiscord, models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "IDENTIFY_SECONDS", 3.0)
    server.gateway.max_concurrency = 2
    async with process(models, tmp_path, server, "0-1/4"), process(models, tmp_path, server, "2-3/4"):
        await server.until(lambda: connected(server) == [0, 1, 2, 3])
    for bucket in (0, 1):
        first, second = (moment for shard, moment in server.gateway.starts if shard % 2 == bucket)
        assert second - first >= 2
