"""The limits that moderators set for the numbers of /imagine also hold for the buttons below pictures."""

import pytest
from fakes.core.requests import MODERATOR, ask, last, pressed
from fakes.model_server.model_api import FakeModels, look_at, png

from bot.app import Bot


async def set_limits(bot: Bot, *lines: str) -> None:
    for line in lines:
        assert not (await last(bot, ask(f"/config set imagine.{line}", MODERATOR))).error


async def test_the_model_and_the_buttons_keep_to_the_minimum_that_moderators_set(bot: Bot, models: FakeModels) -> None:
    await set_limits(bot, "steps.minimum 10", "guidance.minimum 5")
    grid = await last(bot, ask("/imagine seed:7 a cat"))
    for label in ("1", "V1"):
        made = await pressed(bot, grid, label)
        assert not made.error, made.text
        assert (made.card["steps"], made.card["guidance"]) == ("10", "5")


@pytest.mark.parametrize(("limits", "steps"), [(("maximum 100",), "4"), (("minimum 10", "maximum 3"), "3")])
async def test_the_model_keeps_to_the_limits_that_moderators_set(bot: Bot, limits: tuple[str, ...], steps: str) -> None:
    await set_limits(bot, *(f"steps.{limit}" for limit in limits))
    for line in ("/imagine a cat", "/imagine sweep:guidance=1,3 a cat"):
        assert (await last(bot, ask(line))).card["steps"] == steps


async def test_moderators_may_have_all_pictures_drawn_from_memory(bot: Bot, models: FakeModels) -> None:
    await set_limits(bot, "references.maximum 0")
    assert not (await last(bot, ask("/imagine a cat"))).error
    assert models.requests[-1]["most_references"] == 0
    assert (await last(bot, ask("/imagine references:1 a cat"))).error


async def test_one_variation_is_drawn_alone_even_if_count_has_a_higher_minimum(bot: Bot, models: FakeModels) -> None:
    await set_limits(bot, "count.minimum 2")
    varied = await pressed(bot, await last(bot, ask("/imagine seed:7 a cat")), "V1")
    seed = int(varied.card["seed"])
    large = await pressed(bot, varied, "2")
    assert not large.error, large.text
    assert [look_at(file.data) for file in large.attachments] == [look_at(png(seed + 1, 512, 512))]
    again = await pressed(bot, large, "Again")
    edited = await pressed(bot, large, "Edit", prompt="a dog", strength="0.9")
    for made, prompt, strength in ((again, "a cat", "0.6"), (edited, "a dog", "0.9")):
        assert not made.error, made.text
        assert (made.quote, made.card["strength"], made.card["seed"] != large.card["seed"]) == (prompt, strength, True)
    assert [body["n"] for body in models.requests[-2:]] == [1, 1]
    assert look_at(models.requests[-1]["image"]) == look_at(png(7))
    assert (await last(bot, ask("/imagine count:1 a cat"))).error


async def test_a_picture_beyond_a_limit_that_was_set_later_is_not_drawn_again(bot: Bot, models: FakeModels) -> None:
    large = await last(bot, ask("/imagine count:1 steps:100 seed:7 a cat"))
    await set_limits(bot, "steps.maximum 20")
    models.requests.clear()
    refused = await pressed(bot, large, "How it was made")
    sentence = "This was drawn with steps 100; moderators allow 20 at most here. Begin anew with /imagine."
    assert (refused.error, refused.text, models.requests) == (True, sentence, [])


async def test_a_page_that_is_drawn_counts_towards_the_rate_limit(bot: Bot, models: FakeModels) -> None:
    assert not (await last(bot, ask("/config set limits.user.hour 5", MODERATOR))).error
    how = await pressed(bot, await last(bot, ask("/imagine count:1 steps:8 seed:7 a cat")), "How it was made")
    page = await pressed(bot, how, "Step by step ▶")
    for label, step in (("▶▶", 5), ("▶", 6)):
        page = await pressed(bot, page, label, in_place=True)
        assert (page.text, models.requests[-1]["frames"]) == (f"After step {step} of 8.", [step])
    drawn = len(models.requests)
    for in_place in (True, False):
        refused = await pressed(bot, page, "▶", in_place=in_place)
        assert refused.text.startswith("The limit here is 5 per hour")
    assert len(models.requests) == drawn
    # The limit of steps holds for pages, too.
    assert not (await last(bot, ask("/config set limits.user.hour 0", MODERATOR))).error
    await set_limits(bot, "steps.maximum 5")
    refused = await pressed(bot, page, "▶", in_place=True)
    assert refused.text.startswith("This was drawn with steps 8; moderators allow 5")


async def test_a_variation_is_refused_if_its_source_is_beyond_the_limits(bot: Bot, models: FakeModels) -> None:
    large = await last(bot, ask("/imagine count:1 steps:100 seed:7 a cat"))
    varied = await pressed(bot, await pressed(bot, large, "Variations"), "Edit", prompt="a cat", steps="20")
    assert not varied.error, varied.text
    await set_limits(bot, "steps.maximum 20")
    models.requests.clear()
    again = await pressed(bot, varied, "Again")
    assert again.text.startswith("This was drawn with steps 100; moderators allow 20 at most here.")
    assert (again.error, models.requests) == (True, [])
