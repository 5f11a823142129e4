"""Threads under questions on Discord: opened for public answers, and emptied with the deletion of the question."""

import pytest
from fakes.discord import FakeChannel, FakeDiscord, FakeInteraction, FakeMessage
from fakes.model_server.model_api import FakeModels, png
from fakes.platforms.discord_bot import Toys, begun, finished, first_in_thread, told_privately
from fakes.storage.database_dump import rows_holding

from bot.app import Bot
from bot.core.messages import Attachment, Reply

PARIS = "Paris is the capital of France."


async def ask(discord: FakeDiscord, **options: object) -> FakeInteraction:
    """Let Ann ask for an answer in a thread."""
    given = {"prompt": "aubergine"} | options
    return await discord.slash(discord.ann, discord.channel, "ask", thread=True, **given)


async def answered_in_thread(discord: FakeDiscord) -> tuple[FakeMessage, FakeChannel, FakeMessage]:
    """Return a question, the thread under it, and the finished answer in there."""
    starter = await (await ask(discord)).message()
    thread, answer = await first_in_thread(discord, starter)
    return starter, thread, await finished(discord, answer)


@pytest.mark.parametrize("settings", [{"safety.level": "classroom"}])
async def test_a_question_that_the_classifier_refuses_is_never_shown(discord: FakeDiscord, models: FakeModels) -> None:
    models.scores = {"aubergine": {"hate": 0.99}}
    starter = await (await ask(discord)).message()
    assert "Reason: " in (await told_privately(discord)).content
    assert models.moderated == ["aubergine"]
    assert not any("aubergine" in content for _, content in starter.edits)
    await discord.until(lambda: starter.deleted)
    assert discord.guild.threads == {}


async def test_a_submitted_form_opens_the_requested_thread(discord: FakeDiscord, models: FakeModels) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "ask", thread=True)
    sent = await discord.submit(discord.ann, asked, {"prompt": "aubergine"})
    starter = await sent.message()
    thread, answer = await first_in_thread(discord, starter)
    assert (await finished(discord, answer)).content.startswith(PARIS)
    assert (starter.content, thread.name) == ("> aubergine", "aubergine")


async def test_an_error_before_the_first_word_opens_no_thread(discord: FakeDiscord, models: FakeModels) -> None:
    models.failure = (503, "The model is loading.")
    await ask(discord)
    assert "The model is loading." in (await told_privately(discord)).content
    await discord.until(lambda: not discord.messages(discord.channel))
    assert discord.guild.threads == {}


async def open_thread(discord: FakeDiscord, toys: Toys) -> tuple[FakeMessage, FakeChannel]:
    """Return the question and the thread of an answer that already shows a picture."""
    starter = await begun(discord, "play", text="aubergine", thread=True)
    toys.say(Reply(status="You are next."))
    await discord.until(lambda: starter.content == "-# You are next.")
    assert discord.guild.threads == {}
    toys.say(Reply(attachments=(Attachment("a.png", png(1), "image/png"),)))
    return starter, await discord.until(lambda: starter.thread)


async def test_an_error_in_an_open_thread_stays_there(discord: FakeDiscord, toys: Toys) -> None:
    starter, thread = await open_thread(discord, toys)
    toys.say(RuntimeError("broken"))
    answer = await discord.until(
        lambda: next((one for one in discord.messages(thread) if "Something went wrong" in one.content), None)
    )
    assert [file.filename for file in answer.attachments] == ["a.png"]
    assert (thread.name, thread.archived, starter.deleted) == ("aubergine", False, False)


async def test_an_answer_that_becomes_private_deletes_the_question(discord: FakeDiscord, toys: Toys) -> None:
    starter, thread = await open_thread(discord, toys)
    toys.say(Reply(text="For you alone.", private=True, final=True))
    assert (await told_privately(discord)).content == "For you alone."
    await discord.until(lambda: thread.archived)
    assert (thread.name, starter.deleted, discord.messages(thread)) == ("…", True, [])


async def test_delete_removes_the_question_with_its_last_answer(discord: FakeDiscord, toy_bot: Bot) -> None:
    starter, thread, first = await answered_in_thread(discord)
    again = await (await discord.press(discord.ann, first, "Again")).message()
    await finished(discord, again)
    await discord.press(discord.ann, first, "Delete")
    await discord.until(lambda: first.deleted)
    await discord.press(discord.ann, again, "👍")
    await discord.until(lambda: "👍 1" in again.buttons)
    assert (thread.name, starter.deleted) == ("aubergine", False)
    await discord.press(discord.ann, again, "Delete")
    await discord.until(lambda: thread.archived)
    assert (thread.name, starter.deleted, again.deleted) == ("…", True, True)
    assert await rows_holding(toy_bot.database, "aubergine") == []


async def test_a_thread_in_which_others_talk_stays_open(discord: FakeDiscord) -> None:
    starter, thread, answer = await answered_in_thread(discord)
    await discord.say(discord.ben, thread, "Is that so?")
    await discord.press(discord.ann, answer, "Delete")
    await discord.until(lambda: thread.name == "…")
    assert (starter.deleted, thread.archived) == (True, False)


async def test_deleting_an_answer_in_a_thread_keeps_the_first_question(discord: FakeDiscord) -> None:
    starter, thread, first = await answered_in_thread(discord)
    asked = await discord.slash(discord.ben, thread, "ask", prompt="courgette")
    second = await finished(discord, await asked.message())
    await discord.press(discord.ben, second, "Delete")
    await discord.until(lambda: second.deleted)
    await discord.press(discord.ann, first, "👍")
    await discord.until(lambda: "👍 1" in first.buttons)
    assert (thread.name, starter.deleted) == ("aubergine", False)


async def test_a_thread_that_was_closed_meanwhile_loses_its_name_too(discord: FakeDiscord) -> None:
    starter, thread, answer = await answered_in_thread(discord)
    discord.archive_thread(thread)
    await discord.press(discord.ann, answer, "Delete")
    await discord.until(lambda: thread.name == "…")
    assert starter.deleted


@pytest.mark.parametrize("settings", [{"answers.quote": False}])
async def test_without_quotes_neither_message_nor_name_shows_the_question(discord: FakeDiscord) -> None:
    starter, thread, answer = await answered_in_thread(discord)
    assert (starter.content, thread.name) == ("> /ask", "/ask")
    assert answer.content.startswith(PARIS)
    asked = await discord.slash(discord.ann, discord.channel, "ask", thread=True)
    sent = await discord.submit(discord.ann, asked, {"prompt": "aubergine"})
    starter = await sent.message()
    await discord.until(lambda: starter.thread)
    assert starter.content == "> /ask"


async def test_a_thread_is_opened_after_the_token_expires(discord: FakeDiscord, toys: Toys) -> None:
    starter = await begun(discord, "play", text="aubergine", thread=True)
    toys.say(Reply(status="You are next."))
    await discord.until(lambda: starter.content == "-# You are next.")
    discord.expire_tokens()
    toys.say(Reply(text="One and all", final=True))
    _, answer = await first_in_thread(discord, starter)
    assert (await finished(discord, answer)).content == "One and all"
    assert (starter.content, starter.buttons) == ("> aubergine", {})


async def test_an_answer_that_becomes_private_opens_no_thread(discord: FakeDiscord, toys: Toys) -> None:
    message = await begun(discord, "play", text="aubergine", thread=True)
    toys.say(Reply(text="for you", private=True, final=True))
    assert (await told_privately(discord)).content.endswith("for you")
    await discord.until(lambda: message.deleted)
    assert discord.guild.threads == {}
