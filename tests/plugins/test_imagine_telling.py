"""What is said of finished pictures, and which buttons are under them, where prompts and models are unusual ones."""

import pytest
from fakes.asking import ask, last, pressed
from fakes.models import FakeModels

from bot.app import Bot
from plugins.imagine.telling import short

# Long prompts


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a  cat\nin the snow", "a cat in the snow"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
        ("苹" * 250, "苹" * 199 + "…"),
        ("a cat " + "x" * 250, "a cat " + "x" * 193 + "…"),
        ("cat " * 60, "cat " * 49 + "cat…"),
    ],
)
def test_a_long_prompt_is_cut_after_a_word_or_where_it_has_none(prompt: str, said: str) -> None:
    assert short(prompt) == said
    assert len(said) <= 200


async def test_what_a_picture_shows_is_told_of_a_prompt_without_spaces(bot: Bot) -> None:
    reply = await last(bot, ask(f"/imagine seed:7 count:1 {'苹' * 250}"))
    assert reply.attachments[0].alt == f"A computer-made picture of “{'苹' * 199}…”, seed 7"


# Words that the text encoder does not know


async def test_words_that_are_not_known_are_named(bot: Bot, models: FakeModels) -> None:
    models.told = {"prompt": {"tokens": ["an", "[UNK]", "[UNK]"], "dropped": [], "limit": 8, "unknown": ["🍎", "猫"]}}
    said = "The text encoder has no tokens for these words and reads all such words alike: `🍎` `猫`."
    one = await last(bot, ask("/imagine count:1 an 🍎 猫"))
    assert one.status == said
    assert said in (await pressed(bot, one, "How it was made")).text


@pytest.mark.parametrize(("count", "end"), [(20, "`x` `x`."), (21, "`x` `x` …")])
async def test_of_many_and_long_ones_the_beginnings_are_named(
    bot: Bot, models: FakeModels, count: int, end: str
) -> None:
    reading = {"tokens": ["[UNK]"], "dropped": ["y"], "limit": 1, "unknown": ["苹" * 90, *["x"] * (count - 1)]}
    models.told = {"prompt": reading}
    status = (await last(bot, ask("/imagine a cat"))).status
    assert status.startswith("The text encoder reads 1 tokens at most, so it never saw the end of the prompt: `y`. The")
    assert f"alike: `{'苹' * 39}…` `x` " in status
    assert status.endswith(end)
