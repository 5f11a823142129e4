"""Ordinary messages on Discord, with and without the intent to read all of them, threads, and menus of messages."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.core.pictures import examine_here, make_picture
from fakes.core.requests import wait_until_delivered
from fakes.discord import FakeChannel, FakeDiscord, FakeMessage
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys, answered, begun, bot_with_toys, finished, on_discord
from fakes.storage.statements import counted_statements
from fakes.storage.trouble import locked, wait_briefly

from bot.answers import examiner
from bot.app import Bot
from bot.core import files
from bot.core.messages import Reply

LOOK_UP = "SELECT max(anon_1.id)"
"""The beginning of the statement that looks up the message that another one replies to."""


@pytest.fixture
async def open_discord(toy_bot: Bot, quick: None) -> AsyncIterator[FakeDiscord]:
    """A bot that may read all messages."""
    async with FakeDiscord() as server, on_discord(toy_bot, server, message_content=True):
        yield server


async def answer_to(discord: FakeDiscord, said: FakeMessage) -> FakeMessage:
    """Return the bot's reply to a message once it is finished."""

    def reply() -> FakeMessage | None:
        here = discord.messages(said.channel)
        return next((one for one in here if one.author is discord.bot and one.reference is said), None)

    return await finished(discord, await discord.until(reply))


async def assert_no_reply(discord: FakeDiscord, channel: FakeChannel, toys: Toys) -> None:
    """Assert that no message before this is answered; events are handled in order."""
    count = len(discord.messages(channel))
    said = await discord.say(discord.mod, discord.dm(discord.mod), "/play")
    toys.say(Reply(text="done", final=True))
    await answer_to(discord, said)
    assert len(discord.messages(channel)) == count


async def test_a_mention_is_answered(discord: FakeDiscord, models: FakeModels) -> None:
    said = await discord.say(discord.ann, discord.channel, f"What does {discord.ben.mention} mean?", mention=True)
    answer = await answer_to(discord, said)
    assert answer.content.startswith("Paris is the capital of France.\n\n-# made by AI · model")
    assert models.requests[-1]["messages"][-1]["content"] == "What does @Ben mean?"
    assert answer.pings == []


async def test_a_reply_to_any_part_of_an_answer_is_a_reply_to_the_answer(
    discord: FakeDiscord, toys: Toys, toy_bot: Bot
) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "stretch", length=5000)
    await discord.until(lambda: len(asked.followups) == 2 and "Delete" in asked.followups[-1].buttons)
    await wait_until_delivered(toy_bot, "discord", str(asked.followups[-1].id))
    for part in (asked.original, *asked.followups):
        await discord.say(discord.ann, discord.channel, "/inspect", reply_to=part)
    direct = discord.dm(discord.ann)
    await discord.until(lambda: len(discord.messages(direct)) == 3)
    for told in discord.messages(direct):
        assert (await finished(discord, told)).content.startswith("**/stretch**")


async def test_messages_to_others_are_not_answered(open_discord: FakeDiscord, toys: Toys) -> None:
    other = await open_discord.say(open_discord.ann, open_discord.channel, "Hello all")
    await open_discord.say(open_discord.ben, open_discord.channel, "Hello Ann", reply_to=other)
    machine = open_discord.add_user("Machine")
    machine.bot = True
    await open_discord.say(machine, open_discord.channel, "Beep", mention=True)
    await assert_no_reply(open_discord, open_discord.channel, toys)


async def test_silent_replies_are_answered_with_the_intent_and_others_are_not_looked_up(
    toy_bot: Bot, quick: None, toys: Toys
) -> None:
    async with FakeDiscord() as discord:
        async with on_discord(toy_bot, discord, message_content=True):
            answer = await answered(discord, "stretch", length=10)
            await wait_until_delivered(toy_bot, "discord", str(answer.id))
            with counted_statements() as statements:
                other = await discord.say(discord.ann, discord.channel, "Hello all")
                await discord.say(discord.ben, discord.channel, "Hello Ann", reply_to=other, ping=False)
                await assert_no_reply(discord, discord.channel, toys)
                assert [one for one in statements if LOOK_UP in one] == []
                said = await discord.say(discord.ben, discord.channel, "And then?", reply_to=answer, ping=False)
                await answer_to(discord, said)
                assert any(LOOK_UP in one for one in statements)
        # Without the intent, Discord sends no words of this.
        async with on_discord(toy_bot, discord):
            with counted_statements() as statements:
                await discord.say(discord.ben, discord.channel, "And then?", reply_to=answer, ping=False)
                await assert_no_reply(discord, discord.channel, toys)
            assert [one for one in statements if LOOK_UP in one] == []


async def test_a_refusal_is_a_reply(discord: FakeDiscord) -> None:
    said = await discord.say(discord.ann, discord.channel, "/aks Why?", mention=True)
    answer = await answer_to(discord, said)
    assert answer.content == "There is no command /aks. Did you mean /ask?"
    assert answer.buttons == {}


async def test_a_private_answer_comes_as_a_direct_message(discord: FakeDiscord) -> None:
    await discord.say(discord.ann, discord.channel, "/whisper hello", mention=True)
    (told,) = await discord.until(lambda: discord.messages(discord.dm(discord.ann)))
    await finished(discord, told)
    assert told.content == "psst, hello"
    assert len(discord.messages(discord.channel)) == 1


async def test_closed_direct_messages_are_explained_in_the_channel(discord: FakeDiscord) -> None:
    discord.ann.dm_closed = True
    said = await discord.say(discord.ann, discord.channel, "/whisper hello", mention=True)
    answer = await answer_to(discord, said)
    assert answer.content.startswith("You take no direct messages from me. Use a slash command")


async def test_two_processes_answer_a_message_once(toy_bot: Bot, discord: FakeDiscord, models: FakeModels) -> None:
    async with on_discord(toy_bot, discord):
        await discord.until(lambda: [name for name, _ in discord.gateway_log].count("identify") == 2)
        await discord.connected()
        said = await discord.say(discord.ann, discord.channel, "Why?", mention=True)
        await answer_to(discord, said)
    assert len(models.requests) == 1


async def test_a_deleted_question_is_answered(discord: FakeDiscord, models: FakeModels) -> None:
    models.gate.clear()
    models.before_gate = 0
    said = await discord.say(discord.ann, discord.channel, "Why?", mention=True)
    discord.delete_message(said)
    models.gate.set()
    answer = await discord.until(lambda: next(iter(discord.messages(discord.channel)), None))
    assert "Paris" in (await finished(discord, answer)).content


# Threads


async def threaded(discord: FakeDiscord, question: str = "What is a GAN?") -> FakeChannel:
    """Ask a question, and return the thread that it opens."""
    message = await begun(discord, "ask", prompt=question, thread=True)
    return await discord.until(lambda: message.thread)


async def test_a_thread_is_opened_under_the_question(discord: FakeDiscord) -> None:
    question = "What is a GAN? " * 20
    thread = await threaded(discord, question)
    (starter,) = discord.messages(discord.channel)
    assert starter.content == f"> {question.strip()}"
    assert thread.name == f"{question[:99].strip()}…"
    (answer,) = await discord.until(lambda: discord.messages(thread))
    await finished(discord, answer)
    assert answer.content.startswith("Paris is the capital of France.\n\n-# made by AI · model")
    assert "Again" in answer.buttons


async def test_every_message_in_a_thread_continues_the_conversation(
    open_discord: FakeDiscord, models: FakeModels
) -> None:
    thread = await threaded(open_discord)
    (answer,) = await open_discord.until(lambda: open_discord.messages(thread))
    await finished(open_discord, answer)
    await answer_to(open_discord, await open_discord.say(open_discord.ben, thread, "And then?"))
    turns = [turn["content"] for turn in models.requests[-1]["messages"]]
    assert turns[1:] == ["What is a GAN?", "Paris is the capital of France.", "And then?"]
    pressed = await open_discord.press(open_discord.ann, answer, "Again")
    again = await finished(open_discord, await pressed.message())
    assert again.channel is thread


async def test_without_the_intent_a_thread_is_told_once_which_messages_are_read(
    discord: FakeDiscord, models: FakeModels, toys: Toys
) -> None:
    thread = await threaded(discord)
    (answer,) = await discord.until(lambda: discord.messages(thread))
    await finished(discord, answer)
    told = await answer_to(discord, await discord.say(discord.ben, thread, "And then?"))
    assert told.content == "I read here only what mentions me, @Tempera, or replies to me with a ping."
    await discord.say(discord.ben, thread, "Hello?")
    await assert_no_reply(discord, thread, toys)
    await answer_to(discord, await discord.say(discord.ben, thread, "And then?", mention=True))
    turns = [turn["content"] for turn in models.requests[-1]["messages"]]
    assert turns[1:] == ["What is a GAN?", "Paris is the capital of France.", "And then?"]


async def test_where_threads_are_not_allowed_the_answer_says_so(discord: FakeDiscord) -> None:
    discord.guild.set_permissions(discord.channel, deny=["create_public_threads"])
    message = await answered(discord, "ask", prompt="Why?", thread=True)
    assert message.content.startswith("> Why?\n\nParis")
    assert "-# I could not open a thread here; that needs Create Public Threads" in message.content
    assert message.thread is None


@pytest.mark.parametrize("code", [50013, 160004])
async def test_a_thread_that_cannot_be_opened_leaves_the_answer_in_place(discord: FakeDiscord, code: int) -> None:
    discord.refuse("POST", "/channels/*/threads", 403, code=code)
    message = await answered(discord, "ask", prompt="Why?", thread=True)
    await discord.until(lambda: "I could not open a thread here" in message.content)
    assert "Paris" in message.content


async def test_no_thread_is_opened_in_a_thread_or_in_direct_messages(discord: FakeDiscord) -> None:
    thread = await threaded(discord)
    for channel in (thread, discord.dm(discord.ann)):
        asked = await discord.slash(discord.ann, channel, "ask", prompt="Why?", thread=True)
        message = await finished(discord, await asked.message())
        assert message.channel is channel
        assert "thread" not in message.content


# Commands in the menu of a message


async def test_a_message_is_explained_from_its_menu(discord: FakeDiscord) -> None:
    said = await discord.say(discord.ben, discord.channel, f"GANs are cool, {discord.ann.mention}")
    asked = await discord.use_on_message(discord.ann, said, "Explain this")
    assert (await asked.acknowledged()).kind == "defer"
    told = await finished(discord, await asked.message())
    assert told.content.startswith("> GANs are cool, @\N{ZERO WIDTH SPACE}Ann\n")
    assert "That is not in the lessons. There are none here yet." in told.content


async def test_an_answer_in_a_private_thread_is_inspected_only_there(discord: FakeDiscord) -> None:
    thread = discord.add_thread(discord.channel, "Secret", discord.ann, private=True)
    asked = await discord.slash(discord.ann, thread, "ask", prompt="a secret")
    answer = await finished(discord, await asked.message())
    await finished(discord, await (await discord.press(discord.ann, answer, "Again")).message())
    await answer_to(discord, await discord.say(discord.ann, thread, "one more secret", mention=True))
    for channel, told in ((discord.channel, "There is no answer of mine"), (thread, "one more secret")):
        inspected = await discord.slash(discord.ben, channel, "inspect")
        assert told in (await finished(discord, await inspected.message())).content


async def test_a_picture_of_anybody_is_inspected_from_its_menu_and_as_a_file(
    discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examiner, "examine_in_child", examine_here)
    said = await discord.say(discord.ben, discord.channel, "Look!", files=[("a.png", make_picture())])
    inspected = await discord.use_on_message(discord.ann, said, "Inspect")
    ack = await inspected.acknowledged()
    assert (ack.kind, ack.private) == ("defer", True)
    assert (await finished(discord, await inspected.message())).content.startswith("**Nothing found.")
    face = await answered(discord, "face")
    inspected = await discord.use_on_message(discord.ben, face, "Inspect")
    told = await finished(discord, await inspected.message())
    assert told.content.startswith("**Made by this bot, unchanged.**\n**/face** – asked by Ann")
    drawing = {"file": ("a.svg", b"<svg/>")}
    told = await answered(discord, "inspect", files=drawing)
    assert told.content == "This is no picture that I can read; send a PNG, JPEG, WebP or GIF file."
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 100)
    inspected = await discord.use_on_message(discord.ann, said, "Inspect")
    told = await finished(discord, await inspected.message())
    assert told.content.startswith("a.png is too large: I take files of up to")


async def test_explaining_a_message_without_words_is_refused(discord: FakeDiscord) -> None:
    said = await discord.say(discord.ben, discord.channel, "", files=[("a.png", b"png")])
    asked = await discord.use_on_message(discord.ann, said, "Explain this")
    ack = await asked.acknowledged()
    assert (ack.kind, ack.private) == ("message", True)


async def test_direct_messages_that_are_switched_off_get_one_sentence(
    models: FakeModels, toys: Toys, tmp_path: Path
) -> None:
    sentence = "I do not answer direct messages here. Ask me in a channel of a server that I am in."
    async with (
        bot_with_toys(models, tmp_path, toys, direct_messages=False) as bot,
        FakeDiscord() as discord,
        on_discord(bot, discord),
    ):
        direct = discord.dm(discord.ann)
        for text in ("Why?", ""):
            said = await discord.say(discord.ann, direct, text, mention=not text)
            assert (await answer_to(discord, said)).content == sentence
        # Discord does not show most commands there; those about privacy stay.
        with pytest.raises(LookupError):
            await discord.slash(discord.ann, direct, "ask", prompt="Why?")
        asked = await discord.slash(discord.ann, direct, "help")
        assert "/ask" not in (await finished(discord, await asked.message())).content
        await answer_to(discord, await discord.say(discord.ann, discord.channel, "Why?", mention=True))
    assert len(models.requests) == 1


async def test_who_mentions_the_bot_while_the_database_is_away_is_told(
    models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_briefly(monkeypatch)
    async with bot_with_toys(models, tmp_path, Toys()) as bot, FakeDiscord() as discord, on_discord(bot, discord):
        async with locked(tmp_path / "tempera.db"):
            said = await discord.say(discord.ann, discord.channel, "Why?", mention=True)
            told = await answer_to(discord, said)
        assert told.content.startswith("My database cannot be used at the moment")
    assert models.requests == []
