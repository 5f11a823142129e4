"""Buttons on Discord that turn a page: the message above them shows the new page."""

import asyncio
from pathlib import Path

from fakes.core.requests import wait_until_delivered
from fakes.discord import FakeDiscord, FakeMessage
from fakes.model_server.model_api import FakeModels, png
from fakes.platforms.discord_bot import Toys, bot_with_toys, finished, first_in_thread, on_discord, told_privately

from bot.app import Bot
from bot.core.errors import UserError
from bot.core.messages import Attachment, Button, Reply


def page(number: int, text: str = "") -> Reply:
    """Return a page whose buttons show the next reply of the script."""
    picture = Attachment(f"{number}.png", png(number), "image/png", f"Page {number}")
    buttons = tuple(Button(label, "play", {"text": "a book"}, turns=True) for label in ("◀", "▶"))
    return Reply(text=text or f"Page {number}", attachments=(picture,), buttons=buttons, final=True)


async def open_page(discord: FakeDiscord, toys: Toys, text: str = "", **about: bool) -> FakeMessage:
    """Let Ann open the first page, and return its message."""
    toys.say(page(1, text))
    asked = await discord.slash(discord.ann, about.pop("channel", discord.channel), "play", text="a book", **about)
    first = await asked.message()
    await discord.until(lambda: "▶" in (asked.followups[-1] if asked.followups else first).buttons)
    return (asked.followups or [first])[-1]


async def turn(discord: FakeDiscord, toys: Toys, message: FakeMessage, number: int) -> None:
    """Let Ben turn to this page, and wait until it is shown."""
    toys.say(page(number))
    pressed = await discord.press(discord.ben, message, "▶")
    assert (await pressed.acknowledged()).kind == "defer_update"
    await discord.until(lambda: f"Page {number}" in message.content)


def row(message: FakeMessage) -> int:
    return int(message.buttons["▶"]["custom_id"].split(":")[2])


async def test_the_message_shows_the_page_with_its_picture_and_its_buttons(
    discord: FakeDiscord, toys: Toys, toy_bot: Bot
) -> None:
    message = await open_page(discord, toys)
    edits, ids = len(message.edits), [one["custom_id"] for one in message.buttons.values()]
    pressed = await discord.press(discord.ben, message, "▶")
    assert (await pressed.acknowledged()).kind == "defer_update"
    toys.say(Reply(status="Drawing …"), Reply(status="Step 1 of 2 …"))
    await discord.until(lambda: toys.script.empty())
    await asyncio.sleep(0.1)
    # The old page stays until the new one is final.
    assert (message.content, len(message.edits)) == ("> a book\n\nPage 1", edits)
    toys.say(page(2))
    await discord.until(lambda: "Page 2" in message.content)
    assert message.content == "> a book\n\nPage 2"
    assert [(file.filename, file.data, file.description) for file in message.attachments] == [
        ("2.png", png(2), "Page 2")
    ]
    assert list(message.buttons) == ["◀", "▶", "Again", "Edit", "Delete", "👍", "👎"]
    assert len(message.edits) == edits + 1
    assert [one["custom_id"] for one in message.buttons.values()][:2] != ids[:2]
    assert discord.messages(discord.channel) == [message]
    await wait_until_delivered(toy_bot, "discord", message.id)
    await turn(discord, toys, message, 3)
    assert discord.messages(discord.channel) == [message]
    assert discord.private(discord.ben) == []


async def test_pages_and_other_buttons_work_after_a_restart(
    models: FakeModels, toys: Toys, quick: None, tmp_path: Path
) -> None:
    async with FakeDiscord() as discord:
        async with bot_with_toys(models, tmp_path, toys) as bot, on_discord(bot, discord):
            message = await open_page(discord, toys)
            await turn(discord, toys, message, 2)
        discord.expire_tokens()
        again = Toys()
        async with bot_with_toys(models, tmp_path, again) as bot, on_discord(bot, discord):
            await turn(discord, again, message, 3)
            await discord.press(discord.ben, message, "👍")
            await discord.until(lambda: "👍 1" in message.buttons)
            assert message.content == "> a book\n\nPage 3"
            await turn(discord, again, message, 4)
            assert "👍 1" in message.buttons
            # The answer belongs to its asker, not to the one who turned the page.
            await discord.press(discord.ben, message, "Delete")
            await discord.until(lambda: discord.private(discord.ben))
            assert not message.deleted
            answer = row(message)
            await discord.press(discord.ann, message, "Delete")
            await discord.until(lambda: message.deleted)
            assert await bot.messages.get(answer) is None
            assert await bot.messages.get_external_ids(answer) == []


async def test_an_error_is_told_to_the_one_who_pressed_alone(discord: FakeDiscord, toys: Toys) -> None:
    message = await open_page(discord, toys)
    toys.say(UserError("No foxes today."))
    await discord.press(discord.ben, message, "▶")
    await discord.until(lambda: discord.private(discord.ben))
    assert [said.content for said in discord.private(discord.ben)] == ["No foxes today."]
    assert (message.content, [file.data for file in message.attachments]) == ("> a book\n\nPage 1", [png(1)])
    await turn(discord, toys, message, 2)


async def test_a_private_page_is_turned(discord: FakeDiscord, toys: Toys) -> None:
    toys.say(Reply(text="One", private=True, buttons=(Button("▶", "play", turns=True),), final=True))
    await discord.slash(discord.ann, discord.channel, "play")
    await discord.until(lambda: any("▶" in said.buttons for said in discord.private(discord.ann)))
    (message,) = [said for said in discord.private(discord.ann) if not said.deleted]
    toys.say(page(2))
    await discord.press(discord.ann, message, "▶")
    await discord.until(lambda: "Page 2" in message.content)
    assert [file.data for file in message.attachments] == [png(2)]
    assert [said for said in discord.private(discord.ann) if not said.deleted] == [message]
    assert discord.messages(discord.channel) == []


async def test_turning_a_page_keeps_the_message_with_the_button(discord: FakeDiscord, toys: Toys, toy_bot: Bot) -> None:
    message = await open_page(discord, toys, "word " * 700)
    assert len(discord.messages(discord.channel)) == 2
    await turn(discord, toys, message, 2)
    await discord.until(lambda: discord.messages(discord.channel) == [message])
    assert await toy_bot.messages.get_external_ids(row(message)) == [message.id]


async def test_a_page_that_cannot_be_shown_is_explained_and_shown_later(discord: FakeDiscord, toys: Toys) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "play", text="a book", thread=True)
    toys.say(page(1))
    starter = await asked.message()
    thread, answer = await first_in_thread(discord, starter)
    await finished(discord, answer)
    discord.archive_thread(thread)
    toys.say(page(2))
    await discord.press(discord.ann, answer, "▶")
    said = await told_privately(discord)
    assert said.content == "Discord does not let me change this message any more."
    assert answer.content == "Page 1"
    discord.open_thread(thread)
    # Either button shows the stored page, which was made by the first press.
    await discord.press(discord.ben, answer, "◀")
    await discord.until(lambda: answer.content == "Page 2")
    assert toys.played == 2


async def test_a_page_that_takes_longer_than_the_token_lives_is_shown(discord: FakeDiscord, toys: Toys) -> None:
    message = await open_page(discord, toys)
    pressed = await discord.press(discord.ben, message, "▶")
    await pressed.acknowledged()
    discord.expire_tokens()
    toys.say(page(2))
    await discord.until(lambda: "Page 2" in message.content)
    assert discord.messages(discord.channel) == [message]
