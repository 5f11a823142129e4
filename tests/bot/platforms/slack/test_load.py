"""Two hundred people use a command within one second, while the model server is stuck."""

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys, bot_with_toys
from fakes.platforms.slack_bot import find_answers, on_slack
from fakes.slack import FakeMessage, FakeSlack

pytestmark = pytest.mark.load
PEOPLE, CHANNELS = 200, 20
PATIENCE_SECONDS = 300
PARIS = "Paris is the capital of France."


def question_number(message: FakeMessage) -> int:
    """Return the number of the question in a message."""
    found = re.search(r"question (\d+)", message.shown)
    assert found is not None, message.shown
    return int(found[1])


async def test_two_hundred_commands_in_a_second_are_answered(models: FakeModels, toys: Toys, tmp_path: Path) -> None:
    models.gate.clear()
    async with bot_with_toys(models, tmp_path, toys) as bot, FakeSlack() as slack, on_slack(bot, slack):
        channels = [slack.add_channel(f"room-{number}") for number in range(CHANNELS)]
        people = [slack.add_user(f"P{number}") for number in range(PEOPLE)]
        loop = asyncio.get_running_loop()
        began = loop.time()
        asked = []
        for number, person in enumerate(people):
            asked.append(await slack.command(person, channels[number % CHANNELS], "/ask", f"question {number}"))
            await asyncio.sleep(max(0.0, began + number / PEOPLE - loop.time()))
        took = loop.time() - began

        for one in asked:
            await one.acknowledged()
        slowest = max(slack.acknowledgements)
        print(f"\n{PEOPLE} commands in {took:.2f} s; the slowest was acknowledged after {slowest:.3f} s")
        assert not slack.lost

        models.gate.set()
        await slack.until(lambda: len(find_answers(slack, PARIS)) >= PEOPLE, PATIENCE_SECONDS)
        print(f"the last answer was there {loop.time() - began:.1f} s after the first command")
        refused = Counter(call.method for call in slack.rate_limited_calls)
        print(f"calls: {dict(Counter(call.method for call in slack.calls))}, too many: {dict(refused)}")

        questions = [message for channel in channels for message in slack.messages(channel)]
        assert sorted(map(question_number, questions)) == list(range(PEOPLE))
        for question in questions:
            assert question.channel == channels[question_number(question) % CHANNELS]
            [answer] = slack.thread(question.channel, question.ts)
            assert answer.shown.count(PARIS) == 1
        assert sorted(request["messages"][-1]["content"] for request in models.requests) == sorted(
            f"question {number}" for number in range(PEOPLE)
        )
        # On a busy machine calls that were paced may still arrive together; without any pace dozens are refused.
        assert refused.total() <= PEOPLE // 100
        # People who wait long are offered a Stop button, and nothing else.
        told = [message for person in people for message in slack.ephemeral(person)]
        assert all(list(message.buttons) == ["Stop"] for message in told)
