"""Killing the process of the web chat during answers: no message that was acknowledged is lost."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.web_page import Visitor, visitor
from fakes.programs.deployment import Deployment

pytestmark = pytest.mark.chaos
PEOPLE = 5


async def begin(person: Visitor, number: int) -> None:
    """Ask something, and wait until it is acknowledged and the first words are shown."""
    async with person.page(f"P{number}") as page:
        await page.say(f"/ask seed:{number} question {number}", ref="before the kill")
        await page.until("exchange", lambda message: message["mine"] and message["reply"]["text"])


async def test_no_acknowledged_message_is_lost_when_the_process_is_killed(models: FakeModels, tmp_path: Path) -> None:
    made = Deployment(tmp_path, foreign_models=models.url)
    await asyncio.to_thread(made.start)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, made.end)
        people = [await stack.enter_async_context(visitor(made.web_url)) for _ in range(PEOPLE)]
        models.gate.clear()
        await asyncio.gather(*(begin(person, number) for number, person in enumerate(people)))
        await asyncio.to_thread(made.wait_for_stored_text, PEOPLE)

        await asyncio.to_thread(made.stop, signal.SIGKILL)
        await models.until(running=0)
        models.gate.set()
        await asyncio.to_thread(made.start)

        for number, person in enumerate(people):
            async with person.page(f"P{number}") as page:
                mine = [exchange for exchange in page.exchanges.values() if exchange["mine"]]
                last = mine[-1]
                assert last["question"] == f"/ask seed:{number} question {number}"
                assert last["reply"]["final"]
                assert last["reply"]["status"] == "Interrupted: the bot was restarted."
                assert last["reply"]["text"]
                await page.press(last, "Again")
                again = await page.until(
                    "exchange", lambda message, old=last: message["id"] != old["id"] and message["reply"]["final"]
                )
                assert not again["reply"]["error"]
                assert again["reply"]["quote"] == f"question {number}"
        assert models.requests[-1]["messages"][-1]["content"] == f"question {PEOPLE - 1}"
        assert await asyncio.to_thread(made.stop) == 0
