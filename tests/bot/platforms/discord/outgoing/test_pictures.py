"""Pictures and other files on Discord: previews, alt text, spoilers, and files that are too large."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.discord import FakeDiscord, FakeMessage
from fakes.model_server.model_api import FakeModels, png
from fakes.platforms.discord_bot import Toys, answered, begun, finished, on_discord

from bot import Context, Plugin, command
from bot.app import Bot
from bot.core.errors import UserError
from bot.core.messages import Attachment, Reply
from bot.inference.client import ModelClient
from bot.platforms.discord.outgoing import answer_view
from bot.storage.database import Database


class Sketch(Plugin):
    """Draws as image models do: a status and a preview for each step, then the picture."""

    name = "sketch"

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.enough = False

    @command()
    async def sketch(self, ctx: Context, seed: int | None = None) -> AsyncIterator[Reply]:
        """Draw something."""
        yield Reply(status="Waiting …")
        while not self.enough:
            self.steps += 1
            preview = Attachment("preview.png", png(self.steps), "image/png", f"Step {self.steps}")
            yield Reply(status=f"Step {self.steps}", attachments=(preview,))
            await asyncio.sleep(0.005)
        picture = Attachment("picture.png", png(0), "image/png", "A picture")
        yield Reply(attachments=(picture,), card={"seed": "7"}, final=True)


async def test_the_newest_preview_is_shown_no_faster_than_the_pace(
    models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace, sketch = 0.1, Sketch()
    monkeypatch.setattr(answer_view, "PACE_SECONDS", pace)
    seen: list[int] = []

    def is_over(message: FakeMessage) -> bool:
        """Check that picture and text are of the same step, newer than the last; return whether the answer is final."""
        if message.content.startswith("-# Step"):
            number = int(message.content.split()[2])
            (preview,) = message.attachments
            assert (preview.data, preview.description) == (png(number), f"Step {number}")
            assert preview.spoiler
            assert not seen or number >= seen[-1]
            seen.append(number)
            sketch.enough = len(set(seen)) == 4
        return "seed" in message.content

    database, options = Database(f"sqlite:///{tmp_path}/tempera.db"), {"settings": {"answers.spoiler": True}}
    async with (
        Bot(ModelClient(models.url), [sketch], database, **options) as bot,
        FakeDiscord() as discord,
        on_discord(bot, discord),
    ):
        message = await begun(discord, "sketch")
        await discord.until(lambda: is_over(message))
        (picture,) = message.attachments
        assert (picture.data, picture.description, picture.spoiler) == (png(0), "A picture", True)
        assert message.content == "-# seed 7"
        assert "Delete" in message.buttons
        # Each edit had one file, and no other file was sent.
        assert len(discord.files) == sum("Waiting" not in content for _, content in message.edits)
    times = [at for at, _ in message.edits]
    assert len(times) < sketch.steps
    assert all(later - earlier >= 0.99 * pace for earlier, later in itertools.pairwise(times[:-1]))


async def test_a_failed_picture_keeps_its_last_preview_in_place(discord: FakeDiscord, toys: Toys) -> None:
    message = await begun(discord, "play")
    toys.say(Reply(status="Step 25 of 30 …", attachments=(Attachment("preview.png", png(3), "image/png"),)))
    await discord.until(lambda: message.attachments)
    toys.say(UserError("No foxes today."))
    await finished(discord, message)
    assert (message.content, message.deleted) == ("No foxes today.", False)
    assert [file.data for file in message.attachments] == [png(3)]
    assert discord.private(discord.ann) == []


async def test_pictures_have_alt_text_and_spoilers(discord: FakeDiscord, toys: Toys) -> None:
    message = await answered(discord, "draw", count=2)
    assert [file.filename for file in message.attachments] == ["0.png", "1.png"]
    assert message.attachments[1].description.startswith("Picture 1. ")
    assert len(message.attachments[1].description) == 1024
    assert not message.attachments[0].spoiler
    asked = await discord.slash(discord.ann, discord.channel, "play")
    toys.say(Reply(attachments=(Attachment("a.png", png(1), spoiler=True),), final=True))
    message = await finished(discord, await asked.message())
    assert message.attachments[0].spoiler


async def test_a_preview_is_replaced_and_the_same_file_is_not_sent_again(discord: FakeDiscord, toys: Toys) -> None:
    message = await begun(discord, "play")
    seen = []
    pictures = [Attachment("step.png", png(number), alt=f"Step {number}") for number in range(2)]
    for number, text in ((0, "a"), (0, "ab"), (1, "abc")):
        toys.say(Reply(text=text, attachments=(pictures[number],)))
        await discord.until(lambda text=text: message.content == text)
        seen.append(message.attachments[0])
    toys.say(Reply(text="abcd", attachments=(pictures[1],), final=True))
    await finished(discord, message)
    seen += message.attachments
    assert [file.id == other.id for file, other in itertools.pairwise(seen)] == [True, False, True]
    assert [file.data for file in message.attachments] == [png(1)]


async def test_a_file_that_is_too_large_is_left_out_with_a_note(discord: FakeDiscord) -> None:
    discord.attachment_size_limit = 100_000
    message = await answered(discord, "draw", size=200_000)
    assert message.attachments == []
    assert message.content == "Look:\n\n-# 0.png is left out: it has 0.2 MB, and Discord takes 0.1 MB here."


async def test_files_beyond_the_limit_are_left_out_with_a_note(discord: FakeDiscord) -> None:
    message = await answered(discord, "draw", count=12)
    assert [file.filename for file in message.attachments] == [f"{number}.png" for number in range(9)]
    assert "11.png is left out: Discord takes 9 files in a message." in message.content
