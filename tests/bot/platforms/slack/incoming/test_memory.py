"""What of the earlier messages on Slack the model reads: the kind of place decides, never how many people are there."""

from collections.abc import Awaitable

from fakes.model_server.model_api import FakeModels
from fakes.platforms.slack_bot import find_answers
from fakes.slack import FakeMessage, FakeSlack

PARIS = "Paris is the capital of France."


async def test_who_reads_what_was_said_before(slack: FakeSlack, models: FakeModels) -> None:
    ann, ben, channel = slack.ann, slack.ben, slack.channel
    direct, between = slack.dm(ann), slack.dm_between(ann, ben)

    async def answer(action: Awaitable[object], *read: str) -> FakeMessage:
        """Return the answer that an action leads to, and check which questions the model read for it."""
        before = len(find_answers(slack, PARIS))
        await action
        await slack.until(lambda: len(find_answers(slack, PARIS)) > before)
        assert [turn["content"] for turn in models.requests[-1]["messages"][1::2]] == list(read)
        return find_answers(slack, PARIS)[-1]

    async def fill_in(label: str, message: FakeMessage, prompt: str) -> None:
        await slack.press(ben, message, label)
        await slack.submit(ben, await slack.view(ben), {"prompt": prompt})

    owl = await slack.say(ann, channel, "owl", mention=True)
    await slack.until(lambda: find_answers(slack, PARIS))
    below = {"thread_ts": owl.ts}
    await answer(slack.say(ben, channel, "fox", mention=True), "fox")
    await answer(slack.command(ann, channel, "/ask", "lion"), "lion")
    reply = await answer(slack.say(ben, channel, "and?", **below), "owl", "and?")
    await answer(slack.press(ben, reply, "Again"), "owl", "and?")
    await answer(fill_in("Edit", reply, "or?"), "owl", "or?")
    assert "Continue" not in reply.buttons
    await slack.say(ann, channel, "/new", mention=True, **below)
    await slack.until(lambda: find_answers(slack, "A fresh start."))
    await answer(slack.say(ann, channel, "mine", **below), "mine")
    await answer(slack.say(ben, channel, "his", **below), "owl", "and?", "or?", "mine", "his")
    await answer(slack.command(ann, between, "/ask", "one"), "one")
    two = await answer(slack.command(ann, between, "/ask", "two"), "two")
    await answer(fill_in("Continue", two, "so?"), "two", "so?")
    await answer(slack.say(ann, direct, "one"), "one")
    two = await answer(slack.command(ann, direct, "/ask", "two"), "one", "two")
    await answer(slack.press(ann, two, "Warmer"), "one", "two")
    await answer(slack.say(ann, direct, "three", thread_ts=two.thread_ts), "one", "two", "three")
    await answer(slack.say(ann, direct, "four"), "one", "two", "four")
