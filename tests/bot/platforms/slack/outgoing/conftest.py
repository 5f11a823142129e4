"""Fixtures: the question of an answer whose replies a test says, and that answer with its first word."""

import pytest
from fakes.platforms.discord_bot import Toys
from fakes.platforms.slack_bot import run_command, wait_for_question, wait_for_thread
from fakes.slack import FakeMessage, FakeSlack

from bot.core.messages import Reply


@pytest.fixture
async def posted(slack: FakeSlack) -> FakeMessage:
    await run_command(slack, "/tempera", "play something")
    return await wait_for_question(slack)


@pytest.fixture
async def answer(slack: FakeSlack, toys: Toys, posted: FakeMessage) -> FakeMessage:
    toys.say(Reply(text="One"))
    [growing] = await wait_for_thread(slack, posted)
    return growing
