"""Answers on Discord that go on elsewhere or end: tokens, permissions, deletions."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest
from fakes.core.clock import returning_late
from fakes.core.requests import wait_until_delivered
from fakes.discord import FakeChannel, FakeDiscord, FakeMessage
from fakes.discord.interactions import FOLLOWUPS_OF_A_USER_INSTALL
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import (
    Toys,
    begun,
    bot_with_toys,
    finished,
    first_in_thread,
    on_discord,
    playing,
    told_privately,
)
from fakes.storage.trouble import locked, wait_briefly

from bot.app import Bot
from bot.core.errors import DatabaseUnavailable
from bot.core.messages import Reply
from bot.platforms import answer_tasks
from bot.platforms.discord.outgoing import targets

END = Reply(text="One and all", final=True)


async def direct(discord: FakeDiscord, count: int = 1) -> list[str]:
    """Return the direct messages to Ann."""
    channel = discord.dm(discord.ann)
    await discord.until(lambda: len(discord.messages(channel)) >= count)
    return [message.content for message in discord.messages(channel)]


@pytest.fixture
async def abroad(discord: FakeDiscord) -> FakeChannel:
    """A channel of a server that the bot is no member of."""
    guild = discord.add_guild("Elsewhere", bot=False)
    return guild.add_channel("general")


# Expired tokens


async def test_an_answer_goes_on_without_the_token(discord: FakeDiscord, toys: Toys, toy_bot: Bot) -> None:
    asked, message = await playing(discord, toys)
    discord.expire_tokens()
    toys.say(Reply(text="One and"))
    await discord.until(lambda: message.content == "One and")
    toys.say(Reply(text="One and all " + "word " * 800, final=True))
    first, second, third = await discord.until(
        lambda: len(discord.messages(discord.channel)) == 3 and discord.messages(discord.channel)
    )
    await finished(discord, third)
    assert first is message
    assert (first.buttons, second.buttons) == ({}, {})
    assert asked.followups == []
    # Once the tasks of the answer are done, nothing but the database knows its messages.
    await wait_until_delivered(toy_bot, "discord", str(third.id))
    await discord.press(discord.ann, third, "👍")
    await discord.until(lambda: "👍 1" in third.buttons)
    await discord.press(discord.ann, third, "Delete")
    await discord.until(lambda: not discord.messages(discord.channel))


async def test_the_token_is_not_used_to_its_last_minute(toy_bot: Bot, toys: Toys, quick: None) -> None:
    async with FakeDiscord() as discord, on_discord(toy_bot, discord, token_seconds=0):
        discord.refuse("PATCH", "/webhooks/*", 404, code=10015, times=99)
        _, message = await playing(discord, toys)
        toys.say(END)
        await finished(discord, message)
        assert message.content == "One and all"
        assert [refusal.times for refusal in discord.rest.limits.refusals] == [99]


@pytest.mark.parametrize(("status", "code"), [(403, 50005), (404, 10008), (403, 50001)])
async def test_a_new_message_replaces_one_that_cannot_be_edited(
    discord: FakeDiscord, toys: Toys, status: int, code: int
) -> None:
    _, message = await playing(discord, toys)
    discord.expire_tokens()
    discord.refuse("PATCH", "/channels/*/messages/*", status, code=code)
    toys.say(END)
    new = await discord.until(lambda: next(iter(discord.messages(discord.channel)[1:]), None))
    await finished(discord, new)
    assert new.content == "One and all"
    said = await discord.say(discord.ben, discord.channel, "/inspect", reply_to=new)
    await discord.until(lambda: discord.messages(discord.dm(discord.ben)))
    assert said is not message


async def test_a_reply_that_becomes_private_after_the_token_comes_directly(discord: FakeDiscord, toys: Toys) -> None:
    message = await begun(discord, "play")
    toys.say(Reply(status="Waiting …"))
    await discord.until(lambda: message.content)
    discord.expire_tokens()
    toys.say(Reply(status="Still waiting …"))
    await discord.until(lambda: "Still" in message.content)
    toys.say(Reply(text="A secret", private=True, final=True))
    assert await direct(discord) == ["A secret"]
    assert message.deleted


@pytest.mark.parametrize("by_user", [True, False])
async def test_an_answer_ends_before_its_token_where_the_bot_is_no_member(
    toy_bot: Bot, toys: Toys, quick: None, by_user: bool
) -> None:
    async with FakeDiscord() as discord, on_discord(toy_bot, discord, token_seconds=2.0):
        guild = discord.add_guild("Elsewhere", bot=False)
        guild.commands_alone = not by_user
        channel = guild.add_channel("general")
        asked = await discord.slash(discord.ann, channel, "play", installed_by_user=by_user)
        message = await asked.message()
        toys.say(Reply(text="One"))
        await finished(discord, message)
        text, note = message.content.split("\n\n")
        assert text == "One"
        assert note.startswith("-# Discord lets me write here for 15 minutes only, so your answer ends here. “Again” ")
        pressed = await discord.press(discord.ann, message, "Again")
        toys.say(END)
        again = await finished(discord, await pressed.message())
        assert again.content == "> Ann pressed Again\n\nOne and all"


async def test_a_private_answer_ends_before_its_token(toy_bot: Bot, quick: None) -> None:
    async with FakeDiscord() as discord, on_discord(toy_bot, discord, token_seconds=2.0):
        message = await begun(discord, "hush")
        assert message.ephemeral
        await finished(discord, message)
        assert "for 15 minutes only" in message.content
        assert "Again" in message.buttons


async def test_an_answer_without_further_follow_ups_keeps_to_its_messages(
    discord: FakeDiscord, toys: Toys, abroad: FakeChannel
) -> None:
    asked = await discord.slash(discord.ann, abroad, "play", installed_by_user=True)
    message = await asked.message()
    # Each time, the status needs one more message, which is deleted again.
    for number in range(FOLLOWUPS_OF_A_USER_INSTALL):
        toys.say(Reply(text="word " * 399, status="Number 3 in the queue …"))
        await discord.until(lambda number=number: len(asked.followups) > number)
        toys.say(Reply(text="word " * 399))
        await discord.until(lambda: all(part.deleted for part in asked.followups))
    toys.say(Reply(text="word " * 450))
    await discord.until(lambda: len(message.content) > 1995)
    toys.say(Reply(text="word " * 500, final=True))
    await discord.until(lambda: message.attachments)
    assert message.attachments[0].data.decode() == "word " * 500
    assert "Delete" in message.buttons
    assert discord.private(discord.ann) == []


async def test_a_private_reply_without_a_remaining_message_ends_the_answer(
    discord: FakeDiscord, toys: Toys, abroad: FakeChannel
) -> None:
    asked = await discord.slash(discord.ann, abroad, "play", installed_by_user=True)
    message = await asked.message()
    discord.refuse("POST", "/webhooks/*", 400, code=40094)
    toys.say(Reply(text="A secret", private=True, final=True))
    assert await direct(discord) == ["Discord takes no more messages from me here, so your answer ends here."]
    assert message.deleted


async def test_an_answer_that_can_be_shown_nowhere_ends(
    discord: FakeDiscord, toys: Toys, abroad: FakeChannel, caplog: pytest.LogCaptureFixture
) -> None:
    asked = await discord.slash(discord.ann, abroad, "play", installed_by_user=True)
    await asked.message()
    discord.expire_tokens()
    toys.say(Reply(text="One"))
    (said,) = await direct(discord)
    assert said == "Discord lets me write here for 15 minutes only, so your answer ends here."
    assert "Traceback" not in caplog.text


# Permissions and places


async def answered_mention(discord: FakeDiscord, toys: Toys, channel: FakeChannel) -> FakeMessage:
    """Start an answer as a reply to a message of Ann's."""
    await discord.say(discord.ann, channel, "/play", mention=True)
    toys.say(Reply(text="One"))
    answer = await discord.until(lambda: next(iter(discord.messages(channel)[1:]), None))
    await discord.until(lambda: answer.content == "One")
    return answer


@pytest.mark.parametrize("lost", ["view_channel", "send_messages", "the channel"])
async def test_lost_places_and_permissions_end_the_answer_and_the_asker_is_told(
    discord: FakeDiscord, toys: Toys, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    caplog.set_level(logging.INFO)
    channel = discord.guild.add_channel("short-lived")
    await answered_mention(discord, toys, channel)
    if lost == "the channel":
        discord.delete_channel(channel)
        sentence = "The place where you asked is gone, so your answer ends here."
    else:
        discord.guild.set_permissions(channel, deny=[lost])
        sentence = "I may not write where you asked any more, so your answer ends here."
    toys.say(Reply(text="word " * 600))
    assert await direct(discord) == [sentence]
    assert "An answer ends, as Discord refuses it: 40" in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_refused_message_ends_the_answer_and_the_asker_is_told(
    discord: FakeDiscord, toys: Toys, caplog: pytest.LogCaptureFixture
) -> None:
    _, growing = await playing(discord, toys)
    waiting = await begun(discord, "play")
    assert waiting.loading
    assert "Stop" in growing.buttons
    for number in range(2):
        discord.refuse("PATCH", "/webhooks/*", 400, code=50035)
        toys.say(END)
        await discord.until(lambda number=number: len(discord.private(discord.ann)) > number)
    for said in discord.private(discord.ann):
        assert said.content == "Something went wrong inside the bot; its log says more."
    assert waiting.deleted
    assert (growing.content, growing.buttons) == ("One", {})
    assert "Invalid Form Body" in caplog.text


async def test_an_answer_to_an_unreadable_message_is_no_reply(discord: FakeDiscord) -> None:
    discord.guild.set_permissions(discord.channel, deny=["read_message_history"])
    await discord.say(discord.ann, discord.channel, "/draw", mention=True)
    answer = await discord.until(lambda: next(iter(discord.messages(discord.channel)[1:]), None))
    await finished(discord, answer)
    assert (answer.content, len(answer.attachments), answer.reference) == ("Look:", 1, None)
    assert discord.messages(discord.dm(discord.ann)) == []


async def test_an_answer_without_permitted_files_is_shown_as_text(discord: FakeDiscord) -> None:
    discord.guild.set_permissions(discord.channel, deny=["attach_files"])
    said = await discord.say(discord.ann, discord.channel, "/draw", mention=True)
    answer = await discord.until(lambda: next(iter(discord.messages(discord.channel)[1:]), None))
    await finished(discord, answer)
    note = "I may not show files here; that needs the permission Attach Files."
    assert (answer.content, answer.attachments) == (f"Look:\n\n-# {note}", [])
    await discord.say(discord.ann, discord.channel, "/stretch length:15000", mention=True)
    parts = await discord.until(
        lambda: (found := discord.messages(discord.channel)[3:]) and "Delete" in found[-1].buttons and found
    )
    assert " ".join(part.content for part in parts).split() == ["word"] * 3000
    assert said is not answer


async def test_a_closed_thread_ends_the_answer(discord: FakeDiscord, toys: Toys) -> None:
    starter = await begun(discord, "play", text="Why?", thread=True)
    toys.say(Reply(text="One"))
    thread, answer = await first_in_thread(discord, starter)
    await discord.until(lambda: answer.content == "One")
    discord.archive_thread(thread, locked=True)
    toys.say(END)
    # The token is still valid, but not in a closed thread: the asker is told where the question stands.
    said = await told_privately(discord)
    assert said.content == "The thread was closed, so your answer ends here."


async def test_an_unreachable_discord_ends_the_answer(
    discord: FakeDiscord, toys: Toys, toy_bot: Bot, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(*_: object, **__: object) -> None:
        raise aiohttp.ServerDisconnectedError

    caplog.set_level(logging.INFO)
    await playing(discord, toys)
    monkeypatch.setattr(answer_tasks, "RETRY_SECONDS", ())
    for target in (targets.InteractionTarget, targets.ChannelTarget):
        monkeypatch.setattr(target, "edit", unreachable)
        monkeypatch.setattr(target, "post", unreachable)
    toys.say(END)
    await discord.until(lambda: caplog.text.count("The asker could not be told") == 2)
    assert "Something went wrong on Discord" not in caplog.text


# Deletions by others


async def wait_until_deleted(discord: FakeDiscord, folder: Path) -> None:
    """Wait until the first answer is no longer stored; its messages may be deleted before it."""

    def state() -> str:
        with closing(sqlite3.connect(folder / "tempera.db")) as database:
            return database.execute("SELECT state FROM messages WHERE role = 'assistant' ORDER BY id").fetchone()[0]

    await discord.until(lambda: state() == "deleted")


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_deleted_message_ends_its_answer(
    discord: FakeDiscord, toys: Toys, toy_bot: Bot, tmp_path: Path, at_once: bool
) -> None:
    asked, message = await playing(discord, toys)
    toys.say(Reply(text="word " * 600))
    await discord.until(lambda: asked.followups)
    if at_once:
        discord.delete_messages(discord.channel, [message, *asked.followups])
    else:
        discord.delete_message(asked.followups[0])
    await discord.until(lambda: not discord.messages(discord.channel))
    await discord.until(lambda: not toy_bot.runs.ids)
    await wait_until_deleted(discord, tmp_path)
    assert discord.messages(discord.dm(discord.ann)) == []


async def test_a_message_deleted_before_its_id_is_known_ends_its_answer(
    discord: FakeDiscord, toys: Toys, toy_bot: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, _ = await playing(discord, toys)
    monkeypatch.setattr(targets.InteractionTarget, "post", returning_late(targets.InteractionTarget.post))
    toys.say(Reply(text="word " * 600))
    discord.delete_message((await discord.until(lambda: asked.followups))[0])
    await discord.until(lambda: not discord.messages(discord.channel))
    await wait_until_deleted(discord, tmp_path)


async def test_an_unreported_deletion_ends_its_answer(
    discord: FakeDiscord, toys: Toys, toy_bot: Bot, tmp_path: Path
) -> None:
    _, message = await playing(discord, toys)
    message.deleted = True
    toys.say(Reply(text="One and"))
    await discord.until(lambda: not toy_bot.runs.ids)
    await wait_until_deleted(discord, tmp_path)


async def test_a_finished_answer_is_deleted_with_its_message(discord: FakeDiscord, tmp_path: Path) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "stretch", length=5000)
    await discord.until(lambda: len(asked.followups) == 2 and "Delete" in asked.followups[-1].buttons)
    discord.delete_message(asked.followups[0])
    await discord.until(lambda: not discord.messages(discord.channel))
    await wait_until_deleted(discord, tmp_path)


async def test_the_bots_own_deletions_do_not_end_an_answer(discord: FakeDiscord, toys: Toys, toy_bot: Bot) -> None:
    asked, message = await playing(discord, toys)
    text = "word " * 3000
    toys.say(Reply(text=text[:7000]))
    await discord.until(lambda: len(asked.followups) == 3)
    toys.say(Reply(text=text, final=True))
    await discord.until(lambda: all(part.deleted for part in asked.followups))
    await discord.press(discord.ann, message, "👍")
    await discord.until(lambda: "👍 1" in message.buttons)
    assert await toy_bot.messages.get(2) is not None


# A database that goes away


async def test_an_answer_that_fails_with_the_database_leaves_nothing_behind_for_others(
    models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_briefly(monkeypatch)
    toys = Toys()
    async with bot_with_toys(models, tmp_path, toys) as bot, FakeDiscord() as discord, on_discord(bot, discord):
        asked = await discord.slash(discord.ann, discord.channel, "play")
        thinking = await asked.message()
        await wait_until_delivered(bot, "discord", str(thinking.id))
        async with locked(tmp_path / "tempera.db"):
            toys.say(DatabaseUnavailable())
            await discord.until(lambda: thinking.deleted and asked.followups)
        [told] = asked.followups
        assert told.content.startswith("My database cannot be used at the moment")
        assert told.ephemeral
