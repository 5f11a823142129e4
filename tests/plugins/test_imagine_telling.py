"""What is said of finished pictures, and which buttons are under them, where prompts and models are unusual ones."""

import pytest
from fakes.asking import ask, last

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
