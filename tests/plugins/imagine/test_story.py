"""“How it was made”: the story of a picture, its strip and film, and its steps one by one."""

import pytest
from fakes.core.requests import ask, last, pressed
from fakes.model_server.model_api import GIF, FakeModels, look_at, png

from bot import Reply
from bot.app import Bot

LONG = "a cat in the snow wearing a big red hat"
"""A prompt with two words more than the fake text encoder reads."""


def labels(reply: Reply) -> list[str]:
    return [button.label for button in reply.buttons]


async def test_the_story_with_its_strip_and_its_film(bot: Bot, models: FakeModels) -> None:
    grid = await last(bot, ask(f"/imagine seed:7 steps:6 guidance:3 {LONG}"))
    models.requests.clear()
    how = await pressed(bot, grid, "How 1 was made")
    strip, film = how.attachments
    assert (strip.filename, film.filename) == ("steps-7.png", "film-7.gif")
    assert [look_at(strip.data), look_at(film.data)] == [look_at(png(7, 128, 128)), look_at(GIF)]
    assert film.media_type == "image/gif"
    assert strip.alt.startswith(f"“{LONG}”, seed 7, in a row from noise to picture; the number under each")
    assert film.alt == f"“{LONG}”, seed 7, as a film in 6 steps: from noise to picture"
    asked = [(body["layout"], body["seed"], body["n"]) for body in models.requests]
    assert asked == [("strip", 7, 1), ("animation", 7, 1)]
    words, beginning, steps, guidance = how.text.splitlines()
    assert "made numbers of each: `a` `cat` `in` `the` `snow` `wearing` `a` `big`." in words
    assert words.endswith("the end of the prompt: `red` `hat`.")
    assert "The seed 7 decided every speck of it" in beginning
    assert "6 times, a network looked at the picture" in steps
    assert steps.endswith("see the film, and the row of pictures, each with the number of its step.")
    assert "it went 3 times the way" in guidance
    assert labels(how) == ["Step by step ▶", "Delete", "👍", "👎"]


SINGLE = "Each step had a single guess, made with the prompt in mind"
AVOIDED_IGNORED = "Beside this one guess, what was to be avoided counted for nothing."


@pytest.mark.parametrize(
    ("options", "guided_by", "told"),
    [
        ("guidance:3", "comparison", "with the prompt in mind, one without. Guidance 3 means that it went 3 times"),
        ("guidance:0.5", "comparison", "Guidance 0.5 means that it went 0.5 times the way"),
        ('negative:"a dog"', "comparison", "one with what to avoid: `a` `dog`. Guidance 3 means"),
        ("guidance:1", "prompt", f"{SINGLE}, and took it as it was: at guidance 1, this model exaggerates nothing."),
        ('guidance:1 negative:"a dog"', "prompt", AVOIDED_IGNORED),
        ("guidance:3.5", "input", f"{SINGLE}. The network was told the guidance 3.5, too: it has learnt"),
        ('guidance:3.5 negative:"a dog"', "input", AVOIDED_IGNORED),
        ("guidance:0", "nothing", "Guidance 0 means that each guess was made without the prompt: the picture owes it"),
        (
            'guidance:0 negative:"a dog"',
            "nothing",
            "without the prompt, with what to avoid in mind instead: `a` `dog`",
        ),
    ],
)
async def test_the_story_tells_what_guided_each_step(
    bot: Bot, models: FakeModels, options: str, guided_by: str, told: str
) -> None:
    models.guided_by = guided_by
    how = await pressed(bot, await last(bot, ask(f"/imagine count:1 {options} a `cat")), "How it was made")
    assert told in how.text
    assert ("two guesses" in how.text) == (guided_by == "comparison")
    assert (AVOIDED_IGNORED in how.text) == (told == AVOIDED_IGNORED)
    assert "`a` `ˋcat`" in how.text


async def test_the_story_of_a_single_step(bot: Bot) -> None:
    how = await pressed(bot, await last(bot, ask("/imagine count:1 steps:1 a cat")), "How it was made")
    assert "3. **The step.** There was only one: a network looked at the noise" in how.text
    page = await pressed(bot, await pressed(bot, how, "Step by step ▶"), "▶")
    assert page.text == "After the only step: the picture, without noise."


async def test_the_story_of_a_variation(bot: Bot, models: FakeModels) -> None:
    varied = await pressed(bot, await last(bot, ask("/imagine seed:7 a cat")), "V1")
    models.requests.clear()
    how = await pressed(bot, varied, "How 1 was made")
    assert "The strength 0.6 says how thickly" in how.text
    # The source is drawn once for both, the strip and the film.
    assert ["image" in body for body in models.requests] == [False, True, True]
    page = await pressed(bot, how, "Step by step ▶")
    assert page.text == "Before step 1 of 4: the picture that it begins with, under noise."


async def test_the_steps_are_paged_through(bot: Bot, models: FakeModels) -> None:
    one = await last(bot, ask("/imagine seed:7 steps:12 count:1 a cat"))
    page = await pressed(bot, await pressed(bot, one, "How it was made"), "Step by step ▶")
    assert page.text == "Before step 1 of 12: only noise, made from the seed 7."
    assert (labels(page)[:2], page.quote) == (["▶", "▶▶"], "a cat")
    assert models.requests[-1]["frames"] == [0]
    page = await pressed(bot, page, "▶")
    assert (page.text, labels(page)[:4]) == ("After step 1 of 12.", ["◀◀", "◀", "▶", "▶▶"])
    (shown,) = page.attachments
    assert (shown.filename, shown.alt) == ("step-1-7.png", "“a cat”. After step 1 of 12.")
    for label, step in (("▶▶", 6), ("▶▶", 11), ("▶▶", 12), ("◀", 11), ("◀◀", 6), ("◀◀", 1), ("◀◀", 0)):
        page = await pressed(bot, page, label)
        assert models.requests[-1]["frames"] == [step]
        if step == 12:
            assert page.text == "After the last of 12 steps: the picture, without noise."
            assert labels(page)[:2] == ["◀◀", "◀"]
