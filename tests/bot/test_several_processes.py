"""Two processes of one bot, with PostgreSQL and Redis, two workspaces and four shards, of which one is killed."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from fakes.discord import FakeDiscord, FakeMessage
from fakes.model_server.gateway import PATIENCE_SECONDS, eventually, free_port
from fakes.model_server.model_api import FakeModels
from fakes.platforms.slack_bot import add_to_slack, find_answers, run_command
from fakes.platforms.web_page import Page, Visitor, visitor
from fakes.programs.deployment import wait_for
from fakes.programs.terminal_chat import TEMPERA, Person
from fakes.slack import FakeSlack
from fakes.storage.postgres import fresh_database
from fakes.storage.redis import running_redis
from sqlalchemy import select

from bot.storage.database import Database, MessageRow

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]

PARIS = "Paris is the capital of France."
CUT_SHORT = "Interrupted: the bot was restarted."
SHARDS = 4
START_SECONDS = 300.0
"""How long both processes may take to start, on a machine that is busy."""


@dataclass
class Process:
    """One process of the bot: where its web chat and its Slack pages are."""

    running: asyncio.subprocess.Process
    web: str
    slack: str

    async def kill(self) -> None:
        """End it without any chance to say so."""
        self.running.kill()
        await asyncio.wait_for(self.running.wait(), PATIENCE_SECONDS)


@dataclass
class World:
    """The two processes, and what they share."""

    models: FakeModels
    discord: FakeDiscord
    slack: FakeSlack
    elsewhere: FakeSlack
    database: Database
    processes: Sequence[Process]

    def sessions(self) -> list[int]:
        """Return the shard of each session that is connected to Discord's gateway."""
        return sorted(one.shard for one in self.discord.gateway.sessions.values() if one.connection is not None)

    def is_settled(self, sessions: int) -> bool:
        """Return whether so many sessions have begun, of which one for each shard is left."""
        begun = len(self.discord.gateway.starts)
        return begun == sessions and self.sessions() == [*range(SHARDS)] and bool(self.discord.commands())

    async def answers(self, platform: str, since: int = 0) -> list[MessageRow]:
        """Return the stored answers on a platform, from a row on."""
        ours = (MessageRow.role == "assistant") & MessageRow.platform.startswith(platform) & (MessageRow.id > since)
        async with self.database.reading() as session:
            return list(await session.scalars(select(MessageRow).where(ours).order_by(MessageRow.id)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> AsyncIterator[World]:
    """The world of all these tests: to start two processes takes longer than everything else."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis(tmp_path_factory.mktemp("redis")))
        address = await stack.enter_async_context(fresh_database(postgres))
        models = await stack.enter_async_context(FakeModels())
        discord = await stack.enter_async_context(FakeDiscord())
        discord.gateway.shards = discord.gateway.max_concurrency = SHARDS
        for shard in range(SHARDS):
            discord.add_guild(f"Server on shard {shard}", shard=shard)
        slack = await stack.enter_async_context(FakeSlack())
        slack.rate_tiers.burst = 1000
        shared = settings_of(address, redis, discord, slack)
        database = await stack.enter_async_context(Database(address))
        processes: list[Process] = []
        found = World(models, discord, slack, slack.add_workspace("Elsewhere"), database, processes)
        # The first one has all shards, and gives the second one half of them.
        for name, sessions in (("a", SHARDS), ("b", SHARDS + SHARDS // 2)):
            folder = tmp_path_factory.mktemp(name)
            processes.append(await stack.enter_async_context(started(folder, models.url, shared)))
            await discord.until(partial(found.is_settled, sessions), START_SECONDS)
        await eventually(lambda: len(slack.courier.sockets) == len(processes))
        for workspace in (slack, found.elsewhere):
            await add_to_slack(processes[0].slack, slack.oauth, workspace)
        yield found


def settings_of(address: str, redis: str, discord: FakeDiscord, slack: FakeSlack) -> dict[str, str]:
    """Return the environment variables that both processes have."""
    return {
        "TEMPERA_DATABASE__URL": address,
        "TEMPERA_LIMITS__STORAGE": redis,
        "TEMPERA_MODEL_SERVER__VERIFY": "false",
        "TEMPERA_DISCORD__TOKEN": discord.token,
        "TEMPERA_DISCORD__API_BASE": discord.api_base,
        "TEMPERA_DISCORD__SHARDS": f"auto/{SHARDS}",
        "TEMPERA_SLACK__APP_TOKEN": slack.app_token,
        "TEMPERA_SLACK__CLIENT_ID": slack.oauth.client_id,
        "TEMPERA_SLACK__CLIENT_SECRET": slack.oauth.client_secret,
        "TEMPERA_SLACK__API_BASE": slack.api_base,
        "TEMPERA_SETTINGS": json.dumps({"safety.level": "off", "limits.user.hour": 3}),
    }


@asynccontextmanager
async def started(folder: Path, models: str, shared: dict[str, str]) -> AsyncIterator[Process]:
    """Run a process of the bot; its log is printed at the end."""
    web, slack = free_port(), free_port()
    ports = {"TEMPERA_WEB__PORT": str(web), "TEMPERA_SLACK__PORT": str(slack)}
    environment = Person(folder, models, {**shared, **ports}).environment
    with (folder / "log").open("wb") as log:
        command = (TEMPERA, "run", "--no-models")
        running = await asyncio.create_subprocess_exec(*command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        process = Process(running, f"http://127.0.0.1:{web}", f"http://127.0.0.1:{slack}")
        await asyncio.to_thread(wait_for, process.web)
        yield process
    finally:
        if running.returncode is None:
            running.terminate()
        await asyncio.wait_for(running.wait(), PATIENCE_SECONDS)
        print((folder / "log").read_text())


async def saying(page: Page, question: str, text: str, *, final: bool = False) -> dict[str, Any]:
    """Read up to an exchange with this question whose answer says this."""

    def holds(one: dict[str, Any]) -> bool:
        return one["question"] == question and one["reply"]["text"] == text and one["reply"]["final"] >= final

    return await page.until("exchange", holds)


async def shown(one: Visitor, question: str, status: str) -> None:
    """Wait until a page shows the beginning of an answer to a question, with this status."""

    def holds(exchange: dict[str, Any]) -> bool:
        reply = exchange["reply"]
        return (exchange["question"], reply["text"], reply["status"]) == (question, "Paris", status)

    async with one.page("Ben") as page:
        if not any(map(holds, page.exchanges.values())):
            await page.until("exchange", holds)


def asked(page: Page, question: str) -> dict[str, Any]:
    """Return the exchange with this question."""
    (found,) = (one for one in page.exchanges.values() if one["question"] == question)
    return found


async def answered(page: Page, known: Collection[int]) -> None:
    """Read up to the whole answer in an exchange that is not known yet."""
    await page.until(
        "exchange", lambda one: one["id"] not in known and one["reply"]["final"] and one["reply"]["text"] == PARIS
    )


async def ask_on_each_shard(discord: FakeDiscord) -> list[FakeMessage]:
    """Ask a question in a server of each shard, and return the messages with the answers, which have begun."""
    messages = []
    for guild in [one for one in discord.guilds.values() if one.name.startswith("Server")]:
        asked = await discord.slash(discord.ben, guild.system_channel, "ask", prompt="Which capital?")
        messages.append(await asked.message())
    await discord.until(lambda: all("Paris" in message.content for message in messages))
    return messages


async def test_both_handle_what_comes_once_and_count_uses_together(world: World) -> None:
    slack, elsewhere = world.slack, world.elsewhere
    for workspace in (slack, elsewhere):
        said = await workspace.say(workspace.ann, workspace.channel, "Which capital?", mention=True)
        for event in said.events:
            for number in (0, 1):
                await workspace.redeliver(event, to=number).acknowledged()
        await workspace.until(lambda workspace=workspace: find_answers(workspace, PARIS))
    async with visitor(world.processes[0].web) as ann:
        for number in range(3):
            async with Visitor(ann.session, world.processes[number % 2].web).page("Ann") as page:
                # What the other process answered is told in a moment.
                while len(page.exchanges) < number:
                    await page.read()
                known = {*page.exchanges}
                assert len(known) == number
                await page.say("/ask hello")
                await answered(page, known)
        async with Visitor(ann.session, world.processes[1].web).page("Ann") as page:
            await page.say("/ask once more")
            refused = await page.until("exchange", lambda one: one["reply"]["error"])
            assert "3 per hour" in refused["reply"]["text"]
    assert [len(await world.answers(name)) for name in ("slack", "web")] == [2, 3]
    assert len(world.models.requests) == 5


async def test_a_stop_pressed_at_the_other_process_works_at_once(world: World) -> None:
    here, there = world.processes
    world.models.gate.clear()
    async with visitor(here.web) as ann, ann.page("Ann") as hers:
        await hers.say("/ask stop me")
        await saying(hers, "/ask stop me", "Paris")
        async with Visitor(ann.session, there.web).page("Ann") as also_hers:
            while "Paris" not in [one["reply"]["text"] for one in also_hers.exchanges.values()]:
                await also_hers.read()
            known = asked(also_hers, "/ask stop me")
            assert known["reply"]["text"] == "Paris"
            await also_hers.press(known, "Stop")
            for page in (hers, also_hers):
                stopped = await saying(page, "/ask stop me", "Paris", final=True)
                assert stopped["reply"]["status"] == "Stopped."
    await world.models.until(dropped=1)
    world.models.gate.set()


async def test_a_stop_on_slack_may_reach_the_other_process(world: World) -> None:
    slack, courier = world.elsewhere, world.slack.courier
    # A stream has no button.
    slack.without_streaming()
    world.models.gate.clear()
    try:
        courier.chosen = 0
        await run_command(slack, "/ask", "stop me")
        growing = await slack.until(
            lambda: next((one for one in slack.workspace.messages if "Stop" in one.buttons), None)
        )
        courier.chosen = 1
        await (await slack.press(slack.ann, growing, "Stop")).acknowledged()
        await slack.until(lambda: find_answers(slack, "Stopped."))
    finally:
        courier.chosen = None
    world.models.gate.set()


async def test_what_a_killed_process_did_goes_on_in_the_other_one(world: World) -> None:
    discord, (killed, left) = world.discord, world.processes
    last = max((row.id for row in await world.answers("")), default=0)
    world.models.gate.clear()
    async with visitor(killed.web) as ann, visitor(left.web) as ben:
        async with ann.page("Ann") as hers:
            await hers.say("/ask go on")
            await saying(hers, "/ask go on", "Paris")
        await shown(ben, "/ask go on", "")
        begun = await ask_on_each_shard(discord)
        await killed.kill()
        # Its answers end everywhere as interrupted, and those of the other process go on.
        await shown(ben, "/ask go on", CUT_SHORT)
        await discord.until(lambda: sum(CUT_SHORT in message.content for message in begun) == SHARDS // 2)
        world.models.gate.set()
        await discord.until(lambda: sum(PARIS in message.content for message in begun) == SHARDS // 2)
        # Ann's page connects again, and has what was said.
        async with Visitor(ann.session, left.web).page("Ann") as hers:
            known = asked(hers, "/ask go on")
            assert (known["mine"], known["reply"]["status"]) == (True, CUT_SHORT)
            seen = {*hers.exchanges}
            await hers.press(known, "Again")
            await answered(hers, seen)
    await goes_on(world)
    states = [row.state for row in await world.answers("", last)]
    assert sorted(states) == ["done"] * (SHARDS // 2 + SHARDS + 2) + ["interrupted"] * (SHARDS // 2 + 1)


async def goes_on(world: World) -> None:
    """Check that the process that is left serves all shards and what Slack sends."""
    discord, slack = world.discord, world.slack
    await discord.until(lambda: world.sessions() == [*range(SHARDS)])
    assert len(discord.gateway.starts) == 2 * SHARDS
    for message in await ask_on_each_shard(discord):
        await discord.until(lambda message=message: PARIS in message.content)
    before = len(find_answers(slack, PARIS))
    await slack.until(lambda: len(slack.courier.sockets) == 1)
    await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
    await slack.until(lambda: len(find_answers(slack, PARIS)) > before)
