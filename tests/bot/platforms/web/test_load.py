"""Load test: two hundred WebSockets whose answers stream at once. Prints the memory for each page."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.web_page import Page, visitor
from fakes.programs.deployment import Deployment

from bot.platforms.web.access.teachers import WebModerators
from bot.storage.database import Database

pytestmark = pytest.mark.load
PEOPLE, ROOMS = 200, 10
ANSWER = tuple(f"This is sentence {number}. " for number in range(12))
HELD_BACK = 4
"""Sentences of each answer that are sent before the model server stalls."""


def memory(made: Deployment) -> int:
    assert made.process is not None
    return psutil.Process(made.process.pid).memory_info().rss


async def make_rooms(made: Deployment) -> list[str]:
    async with Database(made.environment["TEMPERA_DATABASE__URL"]) as database:
        code = await WebModerators(database).create_code()
    async with visitor(made.web_url) as teacher:
        assert await teacher.sign_in(code) == 303
        async with teacher.page() as page:
            for number in range(ROOMS):
                await page.send("make_room", name=f"room-{number}")
                await page.until("taken")
    return [f"room-{number}" for number in range(ROOMS)]


async def ask(page: Page, number: int) -> None:
    """Ask something and wait for the first words of the answer."""
    await page.say(f"/ask seed:{number} question {number}")
    await page.until("exchange", lambda message: message["mine"] and message["reply"]["text"])


async def finish(page: Page) -> str:
    last = await page.until("exchange", lambda message: message["mine"] and message["reply"]["final"])
    return last["reply"]["text"]


async def test_two_hundred_pages_stream_at_once(models: FakeModels, tmp_path: Path) -> None:
    models.answer, models.before_gate = ANSWER, HELD_BACK
    models.gate.clear()
    made = Deployment(tmp_path, foreign_models=models.url)
    await asyncio.to_thread(made.start)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, made.end)
        rooms = await make_rooms(made)
        alone = memory(made)
        pages = []
        for number in range(PEOPLE):
            person = await stack.enter_async_context(visitor(made.web_url))
            room = rooms[number % ROOMS]
            pages.append(await stack.enter_async_context(person.page(f"P{number}", room)))
        opened = memory(made)
        # One more page opens and reads nothing, which must be to nobody's cost.
        idle = await stack.enter_async_context(visitor(made.web_url))
        await stack.enter_async_context(idle.page("idle", rooms[0]))

        await asyncio.gather(*(ask(page, number) for number, page in enumerate(pages)))
        assert models.running == PEOPLE
        streaming = memory(made)
        models.gate.set()
        texts = await asyncio.gather(*map(finish, pages))
    kilobytes = [(later - alone) / PEOPLE / 1024 for later in (opened, streaming)]
    print(f"\n{PEOPLE} pages: {kilobytes[0]:.0f} KB for each that is open, {kilobytes[1]:.0f} KB while it streams")
    assert {text.strip() for text in texts} == {"".join(ANSWER).strip()}
