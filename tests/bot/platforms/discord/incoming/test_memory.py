"""What of the earlier messages on Discord the model reads: the kind of place decides, never how many are there."""

from collections.abc import Awaitable

from fakes.core.requests import wait_until_delivered
from fakes.discord import FakeDiscord, FakeInteraction, FakeMessage
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import finished

from bot.app import Bot


async def test_who_reads_what_was_said_before(discord: FakeDiscord, models: FakeModels, toy_bot: Bot) -> None:
    ann, ben, channel = discord.ann, discord.ben, discord.channel
    group, direct = discord.private_channel(ann, ben), discord.dm(ann)

    async def check(answer: FakeMessage, *read: str) -> FakeMessage:
        """Wait for an answer, and check which questions the model read for it."""
        answer = await finished(discord, answer)
        await wait_until_delivered(toy_bot, "discord", str(answer.id))
        assert [turn["content"] for turn in models.requests[-1]["messages"][1::2]] == list(read)
        return answer

    async def use(action: Awaitable[FakeInteraction], *read: str) -> FakeMessage:
        return await check(await (await action).message(), *read)

    async def say(message: Awaitable[FakeMessage], *read: str) -> FakeMessage:
        said = await message
        return await check(await discord.until(lambda: find_reply(said)), *read)

    def find_reply(said: FakeMessage) -> FakeMessage | None:
        return next((one for one in discord.messages(said.channel) if one.reference is said), None)

    async def fill_in(label: str, message: FakeMessage, prompt: str) -> FakeInteraction:
        pressed = await discord.press(ben, message, label)
        await pressed.acknowledged()
        return await discord.submit(ben, pressed, {"prompt": prompt})

    owl = await use(discord.slash(ann, channel, "ask", prompt="owl"), "owl")
    await use(discord.slash(ben, channel, "ask", prompt="fox"), "fox")
    await say(discord.say(ann, channel, "lion", mention=True), "lion")
    reply = await say(discord.say(ben, channel, "and?", reply_to=owl), "owl", "and?")
    await use(discord.press(ben, reply, "Again"), "owl", "and?")
    await use(fill_in("Edit", reply, "or?"), "owl", "or?")
    await use(fill_in("Continue", reply, "so?"), "owl", "and?", "so?")
    thread = discord.add_thread(channel, "More", ann, reply)
    await use(discord.slash(ann, thread, "ask", prompt="deep"), "owl", "and?", "deep")
    await use(discord.slash(ann, thread, "new"), "owl", "and?", "deep")
    await use(discord.slash(ann, thread, "ask", prompt="mine"), "mine")
    his = await use(discord.slash(ben, thread, "ask", prompt="his"), "owl", "and?", "deep", "mine", "his")
    await say(discord.say(ann, thread, "more", reply_to=his), "mine", "his", "more")
    for prompt in ("one", "two"):
        await use(discord.slash(ann, group, "ask", prompt=prompt, installed_by_user=True), prompt)
    await say(discord.say(ann, direct, "one"), "one")
    two = await use(discord.slash(ann, direct, "ask", prompt="two"), "one", "two")
    assert "Continue" not in two.buttons
    await use(discord.press(ann, two, "Warmer"), "one", "two")
