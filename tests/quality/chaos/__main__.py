"""What survives when everything breaks: `python -m quality.chaos`.

People on the web chat, Discord and Slack ask for texts, pictures and explanations, while programs are killed,
connections cut, and the disk and the database taken away. Prints a table, and exits with 1 if a promise was broken:
each acknowledged request ends in one final message, at most one is answered twice after a kill, no row is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fakes.discord import FakeDiscord
from fakes.slack import FakeSlack
from fakes.storage.postgres import server
from quality.chaos.disturbances import DISTURBANCES, Relay, World
from quality.chaos.ledger import KILL_OF_BOT, Ledger, Tally, as_markdown
from quality.chaos.machines import Disk, Postgres, make_bot, make_models
from quality.chaos.people import DiscordPerson, SlackPerson, WebPerson, keep_asking, note_ends, wait_for

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Sequence

    from quality.chaos.people import Person

SHARES = {"web": 0.46, "Discord": 0.34, "Slack": 0.2}
"""Slack takes about fifty changes of messages a minute from one bot, so few people keep it busy."""
CHANNELS = 5
END_SECONDS = 60.0
"""How long after the last disturbance a request may take to end."""
ROWS = "SELECT id, role, text, options::text, state, parent FROM messages"
OFTEN = ("kill -9 of a worker", "kill -9 of the model server", KILL_OF_BOT)
"""What is done twice as often as the others."""


@dataclass(frozen=True)
class Plan:
    """How many people ask for how long, how often they are disturbed, and by what seed."""

    people: int = 50
    seconds: float = 180.0
    disturbances: int = 18
    pause: float = 8.0
    """About how many seconds somebody thinks between two requests."""
    hold: float = 4.0
    seed: int = 7
    fake: bool = False
    """Whether the models are engines without PyTorch, which load in no time."""


@dataclass(frozen=True)
class Report:
    """What a run has shown: a sentence for each broken promise is among the `problems`."""

    table: dict[str, Tally]
    problems: list[str]
    unacknowledged: Counter[str]
    is_small_disk: bool


@contextlib.asynccontextmanager
async def running_world(folder: Path, ledger: Ledger, plan: Plan) -> AsyncIterator[World]:
    """Run everything while the context lasts."""
    disk = Disk(folder / "disk")
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(disk.mounted())
        postgres = Postgres(stack.enter_context(server(disk.folder)))
        discord = await stack.enter_async_context(FakeDiscord())
        slack = await stack.enter_async_context(FakeSlack())
        slack.courier.retry_seconds = (0.0, 5.0, 10.0)
        models, models_url = make_models(folder, fake=plan.fake)
        relays = [Relay(url) for url in (models_url, discord.api_base, slack.api_base)]
        for relay in relays:
            await stack.enter_async_context(relay.listening())
        to_models, to_discord, to_slack = (f"http://127.0.0.1:{relay.port}" for relay in relays)
        home = disk.folder / "home"
        home.mkdir()
        variables = {
            "TEMPERA_MODEL_SERVER__URL": to_models,
            "TEMPERA_DATABASE__URL": postgres.address,
            "TEMPERA_DISCORD__TOKEN": discord.token,
            "TEMPERA_DISCORD__API_BASE": discord.api_base.replace(_base(discord.api_base), to_discord),
            "TEMPERA_SLACK__BOT_TOKEN": slack.bot_token,
            "TEMPERA_SLACK__APP_TOKEN": slack.app_token,
            "TEMPERA_SLACK__API_BASE": slack.api_base.replace(_base(slack.api_base), to_slack),
        }
        bot, web_url = make_bot(folder, home, variables)
        for program in (models, bot):
            program.start()
            stack.push_async_callback(program.stop)
            await program.ready()
        await discord.until(lambda: discord.gateway.connected and discord.commands())
        await slack.connected()
        yield World(
            ledger=ledger,
            random=random.Random(plan.seed),
            bot=bot,
            models=models,
            postgres=postgres,
            disk=disk,
            discord=discord,
            slack=slack,
            relays=relays,
            web_url=web_url,
            models_url=models_url,
            hold=plan.hold,
        )


def _base(url: str) -> str:
    return "/".join(url.split("/")[:3])


def make_people(world: World, number: int) -> list[Person]:
    """Return so many people on the three platforms."""
    counts = {platform: max(1, round(share * number)) for platform, share in SHARES.items()}
    world.visitors = [
        WebPerson(world.web_url, f"Visitor {place}", alone=place % 2 == 0) for place in range(counts["web"])
    ]
    guild = world.discord.guild
    rooms = [world.discord.channel, *(guild.add_channel(f"more-{place}") for place in range(CHANNELS - 1))]
    channels = [world.slack.channel, *(world.slack.add_channel(f"more-{place}") for place in range(CHANNELS - 1))]
    return [
        *world.visitors,
        *(
            DiscordPerson(world.discord, world.discord.add_user(f"D{place}"), rooms[place % CHANNELS])
            for place in range(counts["Discord"])
        ),
        *(
            SlackPerson(
                world.slack,
                world.slack.add_user(f"S{place}"),
                channels[place % CHANNELS],
                lambda: world.random.random() < 0.4,
            )
            for place in range(counts["Slack"])
        ),
    ]


def make_schedule(world: World, number: int) -> list[str]:
    """Return so many disturbances in random order, each kind at least once."""
    names = [*DISTURBANCES, *OFTEN]
    chosen = (names * (number // len(names) + 1))[: max(number, len(DISTURBANCES))]
    world.random.shuffle(chosen)
    return chosen


async def play(world: World, people: Sequence[Person], plan: Plan) -> None:
    """Let people ask for so long, or longer if the disturbances take longer."""
    began, over = time.monotonic(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        living = [tasks.create_task(person.live()) for person in world.visitors]
        living.append(tasks.create_task(note_ends(world.ledger)))
        living += [tasks.create_task(program.keep_running()) for program in (world.bot, world.models)]
        asking = [
            tasks.create_task(keep_asking(person, world.ledger, over, random.Random(place), plan.pause))
            for place, person in enumerate(people)
        ]
        schedule = make_schedule(world, plan.disturbances)
        for place, name in enumerate(schedule):
            begins = began + plan.seconds * (place + 0.5) / len(schedule)
            await asyncio.sleep(max(plan.pause / 2, begins - time.monotonic()))
            print(f"{time.monotonic() - began:6.1f} s  {name}", flush=True)
            await world.disturb(name)
        await asyncio.sleep(max(plan.pause / 2, began + plan.seconds - time.monotonic()))
        over.set()
        await asyncio.gather(*asking)
        ledger = world.ledger
        await wait_for(
            lambda: all(one.ended or not one.acknowledged or ledger.was_in_gap(one) for one in ledger.requests),
            time.monotonic() + END_SECONDS,
        )
        for task in living:
            task.cancel()


async def run(plan: Plan, folder: Path) -> Report:
    """Play once. The logs of the programs are left in `folder`."""
    ledger = Ledger()
    async with running_world(folder, ledger, plan) as world:
        await play(world, make_people(world, plan.people), plan)
        table, problems = ledger.judge([dict(row) for row in await world.postgres.query(ROWS)])
        for program in (world.bot, world.models):
            problems += [f"The {program.name} ended by itself with status {status}." for status in program.endings]
        problems += [*world.discord.violations, *world.slack.violations]
        # Leaving the fakes would raise what is reported here.
        world.discord.violations.clear()
        world.slack.violations.clear()
        return Report(table, problems, ledger.unacknowledged(), world.disk.is_small)


def main() -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in vars(Plan()).items():
        if name != "fake":
            parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument("--fake", action="store_true", help="engines without PyTorch, which load in no time")
    parser.add_argument("--folder", type=Path, help="keep the logs of the programs here")
    options = vars(parser.parse_args())
    kept = options.pop("folder")
    # So that what was started here ends with this program.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        folder = kept or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tempera-chaos-")))
        folder.mkdir(parents=True, exist_ok=True)
        # PostgreSQL runs as another user.
        folder.chmod(0o755)
        report = asyncio.run(run(Plan(**options), folder))
    print(as_markdown(report.table))
    print(f"Not acknowledged, so never promised: {dict(report.unacknowledged)}.")
    if not report.is_small_disk:
        print("No small disk could be mounted, so no disk was full.")
    for problem in report.problems:
        print(problem)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
