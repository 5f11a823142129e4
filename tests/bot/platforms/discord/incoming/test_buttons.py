"""Buttons and forms on Discord: their effects, who may use them, and that old ones still work."""

import pytest
from fakes.core.requests import wait_until_delivered
from fakes.discord import FakeDiscord
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import answered, begun, finished, first_in_thread, told_privately
from fakes.storage.trouble import busy_with_readers

from bot.app import Bot
from bot.platforms.discord.incoming import interactions
from bot.storage.audit import AuditFilter


async def test_stop_ends_an_answer_with_the_text_so_far(discord: FakeDiscord, models: FakeModels) -> None:
    models.gate.clear()
    message = await begun(discord, "ask", prompt="Why?")
    await discord.until(lambda: "Paris" in message.content)
    pressed = await discord.press(discord.ann, message, "Stop")
    assert (await pressed.acknowledged()).kind == "defer_update"
    await finished(discord, message)
    assert message.content == "> Why?\n\nParis\n\n-# Stopped."
    assert "Again" in message.buttons
    await models.until(running=0)


async def test_thumbs_are_counted_in_the_language_of_the_asker(discord: FakeDiscord) -> None:
    eva = discord.add_user("Eva", locale="de")
    message = await answered(discord, "ask", prompt="Why?")
    before = message.content
    for user, label, shown in ((discord.ann, "👍", "👍 1"), (eva, "👍 1", "👍 2"), (discord.ann, "👎", "👎 1")):
        pressed = await discord.press(user, message, label)
        assert (await pressed.acknowledged()).kind == "defer_update"
        await discord.until(lambda shown=shown: shown in message.buttons)
    assert list(message.buttons) == ["Again", "Cooler", "Warmer", "Edit", "Continue", "Delete", "👍 1", "👎 1"]
    assert message.content == before


async def test_a_press_that_cannot_change_its_message_is_explained(discord: FakeDiscord) -> None:
    starter = await begun(discord, "ask", prompt="Why?", thread=True)
    thread, answer = await first_in_thread(discord, starter)
    await finished(discord, answer)
    for number, label in enumerate(("👍", "Delete")):
        discord.archive_thread(thread)
        await discord.press(discord.ann, answer, label)
        await discord.until(lambda number=number: len(discord.private(discord.ann)) > number)
    said = {message.content for message in discord.private(discord.ann)}
    assert said == {"Discord does not let me change this message any more."}


@pytest.mark.parametrize("lives", [900.0, 0.0])
async def test_delete_removes_all_parts_of_a_user_install_while_the_token_is_valid(
    discord: FakeDiscord, toy_bot: Bot, monkeypatch: pytest.MonkeyPatch, lives: float
) -> None:
    monkeypatch.setattr(interactions, "TOKEN_LIFETIME_SECONDS", lives)
    channel = discord.add_guild("Elsewhere", bot=False).add_channel("general")
    asked = await discord.slash(discord.ann, channel, "stretch", installed_by_user=True, length=5000)
    await discord.until(lambda: asked.followups and "Delete" in asked.followups[-1].buttons)
    parts = discord.messages(channel)
    # Once these tasks are done, no view shows the answer any more.
    await wait_until_delivered(toy_bot, "discord", str(parts[-1].id))
    await discord.press(discord.ann, parts[-1], "👍")
    await discord.until(lambda: "👍 1" in parts[-1].buttons)
    await discord.press(discord.ann, parts[-1], "Delete")
    if lives:
        await discord.until(lambda: all(part.deleted for part in parts))
        return
    said = await told_privately(discord)
    assert said.content == "The first parts of this answer stay: Discord let me delete them for 15 minutes only."
    assert [part.deleted for part in parts] == [False, False, True]


@pytest.mark.parametrize("label", ["Again", "Delete", "Edit"])
async def test_somebody_elses_press_is_refused_privately(discord: FakeDiscord, toy_bot: Bot, label: str) -> None:
    message = await answered(discord, "ask", prompt="Why?")
    await discord.press(discord.ben, message, label)
    said = await told_privately(discord, discord.ben)
    assert said.content == "Only Ann, who asked, and moderators can do that."
    wanted = AuditFilter(kind="refusal")

    async def is_recorded() -> bool:
        return bool(await toy_bot.audit.find("discord", discord.guild.id, wanted))

    # After it is told.
    await eventually(is_recorded)
    (refusal,) = await toy_bot.audit.find("discord", discord.guild.id, wanted)
    assert (refusal.what, refusal.actor, refusal.reason) == (
        label.lower(),
        discord.ben.id,
        "owner",
    )
    assert discord.messages(discord.channel) == [message]
    assert discord.private(discord.ann) == []


@pytest.mark.parametrize("label", ["Edit", "Continue"])
async def test_a_form_that_the_database_delays_is_refused_in_time(
    discord: FakeDiscord, toy_bot: Bot, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    message = await answered(discord, "ask", prompt="Why?")
    await wait_until_delivered(toy_bot, "discord", str(message.id))
    monkeypatch.setattr(interactions, "DATABASE_SECONDS", 0.2)
    async with busy_with_readers(toy_bot.database):
        pressed = await discord.press(discord.ann, message, label)
        ack = await pressed.acknowledged()
        assert (ack.kind, ack.private) == ("message", True)
        assert ack.data["content"] == "My database was too slow to open the form in time. Please try again."


async def test_a_refused_form_gives_back_its_values(discord: FakeDiscord) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "ask")
    prompt = "Why is ```code``` so?"
    sent = await discord.submit(discord.ann, asked, {"prompt": prompt, "temperature": "hot"})
    ack = await sent.acknowledged()
    assert (ack.kind, ack.private) == ("message", True)
    sentence, rest = ack.data["content"].split("\n\n", 1)
    assert sentence == "temperature must be a number from 0 to 2; you gave “hot”."
    assert "prompt:\n```\nWhy is ˋˋˋcodeˋˋˋ so?\n```" in rest
    assert "temperature:\n```\nhot\n```" in rest


async def test_a_long_refused_form_comes_back_as_a_file(discord: FakeDiscord) -> None:
    message = await answered(discord, "ask", prompt="Why?")
    pressed = await discord.press(discord.ann, message, "Edit")
    prompt = "Why? " * 700
    sent = await discord.submit(discord.ann, pressed, {"prompt": prompt, "temperature": "hot"})
    await sent.acknowledged()
    said = await told_privately(discord)
    assert said.content.startswith("temperature must be a number from 0 to 2; you gave “hot”.")
    (file,) = said.attachments
    assert f"prompt:\n{prompt.strip()}" in file.data.decode()
    assert discord.messages(discord.channel) == [message]


async def test_a_form_takes_files(discord: FakeDiscord) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "weigh")
    sent = await discord.submit(discord.ann, asked, {"file": [("notes.txt", b"twelve bytes")]})
    message = await finished(discord, await sent.message())
    assert message.content == "notes.txt: 12 bytes of text/plain"


async def test_a_button_of_an_answer_that_is_no_longer_stored_says_so(discord: FakeDiscord, toy_bot: Bot) -> None:
    message = await answered(discord, "ask", prompt="Why?")
    await toy_bot.database.purge(0)
    for label in ("Again", "👍", "Edit"):
        before = len(discord.private(discord.ann))
        await discord.press(discord.ann, message, label)
        await discord.until(lambda before=before: len(discord.private(discord.ann)) > before)
    assert {said.content for said in discord.private(discord.ann)} == {"This has expired: it is no longer stored."}
    assert discord.messages(discord.channel) == [message]


async def test_values_of_a_setting_are_suggested_by_its_name(discord: FakeDiscord, models: FakeModels) -> None:
    async def offered(typed: str, **given: str) -> list[str]:
        return await discord.autocomplete(discord.mod, discord.channel, "config set", "value", typed, **given)

    assert await offered("", setting="ask.model") == ["fake-chat"]
    assert await offered("cl", setting="safety.level") == ["classroom"]
    assert await offered("", setting="nothing.known") == []
    assert await discord.autocomplete(discord.mod, discord.channel, "config show", "setting", "safety.l") == [
        "safety.level"
    ]
    assert await discord.autocomplete(discord.mod, discord.channel, "config set", "setting", "ask.model ") == [
        "ask.model fake-chat"
    ]
