import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.core.requests import ask, last, press, pressed, replies
from fakes.model_server.model_api import FakeModels, look_at, png

from bot import Reply, UserError
from bot.app import Bot
from bot.platforms.discord.outgoing import render
from plugins.imagine.recipe import Recipe


def labels(reply: Reply) -> list[str]:
    return [button.label for button in reply.buttons]


# Drawing


async def test_four_pictures_with_their_card(bot: Bot, models: FakeModels) -> None:
    reply = await last(bot, ask("/imagine seed:7 guidance:4.5 steps:6 negative:dogs a cat"))
    (grid,) = reply.attachments
    assert (grid.filename, grid.media_type) == ("imagine-7.png", "image/png")
    assert look_at(grid.data) == look_at(png(7, 512, 512))
    assert grid.alt == "4 computer-made pictures of “a cat”, from seed 7 on"
    assert dict(reply.card) == {
        "model": "fake-images",
        "seed": "7",
        "steps": "6",
        "guidance": "4.5",
        "size": "16×16",
        "seconds": "1.2",
    }
    assert (reply.quote, reply.text, reply.status) == ("a cat", "", "")
    (body,) = models.requests
    assert (body["prompt"], body["n"], body["layout"], body["enlarge"]) == ("a cat", 4, "grid", 512)
    assert (body["steps"], body["guidance"], body["negative_prompt"], body["user"]) == (6, 4.5, "dogs", "ann")


async def test_options_that_are_not_given_are_left_to_the_model(bot: Bot, models: FakeModels) -> None:
    first, second = await last(bot, ask("/imagine a cat")), await last(bot, ask("/imagine a cat"))
    assert first.card["seed"] != second.card["seed"]
    assert (first.card["steps"], first.card["guidance"]) == ("4", "3")
    assert not {"steps", "guidance", "negative_prompt", "sweep"} & models.requests[0].keys()


async def test_the_status_tells_the_seconds_left(bot: Bot, models: FakeModels, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=itertools.count(100, 2).__next__)
    monkeypatch.setattr("plugins.imagine.progress.time", clock)
    handler = bot.registry.find("imagine").handler
    context = bot.contexts.make(ask(""), bot.registry.find("imagine"))
    statuses = [reply.status async for reply in handler(context, "a cat", steps=5)]
    # Each event takes two seconds, and every other step has two events.
    assert statuses[1:-1] == [
        "Step 1 of 5 …",
        "Step 1 of 5 …",
        "Step 2 of 5, about 12 s to go …",
        "Step 3 of 5, about 6 s to go …",
        "Step 3 of 5, about 8 s to go …",
        "Step 4 of 5, about 3 s to go …",
        "Step 5 of 5 …",
        "Step 5 of 5 …",
    ]


async def test_stop_keeps_the_last_preview_and_reaches_the_model_server(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    seen = []
    async for reply in bot.prepare(ask("/imagine seed:7 a cat")).start():
        seen.append(reply)
        if reply.attachments and not reply.final:
            await replies(bot, press("stop", reply.row))
    assert seen[-1].status == "Stopped."
    assert [look_at(file.data) for file in seen[-1].attachments] == [look_at(png(8, 512, 512))]
    await models.until(dropped=1, running=0)


# One picture of a grid


async def test_a_button_draws_one_picture_of_the_grid_large(bot: Bot, models: FakeModels) -> None:
    grid = await last(bot, ask("/imagine seed:7 guidance:0 steps:6 negative:dogs a cat"))
    own = ["1", "2", "3", "4", "How 1 was made", "V1", "V2", "V3", "V4"]
    assert labels(grid) == [*own, "Again", "Edit", "Delete", "👍", "👎"]
    three = await pressed(bot, grid, "3")
    assert [look_at(file.data) for file in three.attachments] == [look_at(png(9, 512, 512))]
    assert three.attachments[0].alt == "A computer-made picture of “a cat”, seed 9"
    assert labels(three) == ["How it was made", "Variations", "Again", "Edit", "Delete", "👍", "👎"]
    body = models.requests[-1]
    assert (body["n"], body["seed"], body["guidance"], body["steps"]) == (1, 9, 0, 6)
    assert (body["negative_prompt"], three.quote) == ("dogs", "a cat")


@pytest.mark.parametrize(
    ("line", "told", "rows"),
    [
        ("/imagine seed:7 a cat", {}, [5, 5, 4]),
        ("/imagine seed:7 a cat", {"enlarged_by": "Sharpener"}, [5, 5, 5]),
        ("/imagine sweep:steps=1,2,3,4,5,6,7,8 a cat", {}, [5, 5, 3]),
    ],
)
async def test_the_buttons_fill_rows_on_discord(
    bot: Bot, models: FakeModels, line: str, told: dict[str, Any], rows: list[int]
) -> None:
    models.told = told
    shown = render.button_view(render.buttons(await last(bot, ask(line))))
    assert shown is not None
    assert [len(row["components"]) for row in shown.to_components()] == rows


async def test_the_last_seed_is_one_that_can_be_drawn_again(bot: Bot) -> None:
    grid = await last(bot, ask("/imagine seed:2147483644 a cat"))
    assert (await pressed(bot, grid, "4")).card["seed"] == "2147483647"
    for one in ("count:1", "sweep:guidance=1,3"):
        assert (await last(bot, ask(f"/imagine seed:2147483647 {one} a cat"))).card["seed"] == "2147483647"


async def test_a_button_uses_the_model_that_drew_the_picture(bot: Bot, models: FakeModels) -> None:
    grid, sweep = await last(bot, ask("/imagine a cat")), await last(bot, ask("/imagine sweep:guidance=1,3 a cat"))
    models.listed = {"newer-images": "images", **models.listed}
    large = await pressed(bot, grid, "2")
    for reply in (large, await pressed(bot, sweep, "guidance 3"), await pressed(bot, large, "Again")):
        assert reply.card["model"] == "fake-images"
    edited = await pressed(bot, large, "Edit", prompt="a dog", guidance="2")
    assert [edited.card[name] for name in ("model", "guidance")] == ["fake-images", "2"]
    assert (edited.quote, models.requests[-1]["n"]) == ("a dog", 1)
    assert (await last(bot, ask("/imagine a cat"))).card["model"] == "newer-images"


async def test_a_model_that_is_no_longer_served_is_named(bot: Bot, models: FakeModels) -> None:
    grid = await last(bot, ask("/imagine a cat"))
    page = await pressed(bot, await pressed(bot, grid, "How 1 was made"), "Step by step ▶")
    del models.listed["fake-images"]
    models.listed["newer-images"] = "images"
    models.requests.clear()
    for reply, label in ((grid, "1"), (grid, "V1"), (grid, "How 1 was made"), (page, "▶")):
        assert (await pressed(bot, reply, label)).text == (
            "The model “fake-images”, which drew this, is no longer there. Begin anew with /imagine."
        )
    assert models.requests == []


# Variations


async def test_a_variation_starts_from_the_picture_drawn_again(bot: Bot, models: FakeModels) -> None:
    grid = await last(bot, ask("/imagine seed:7 guidance:2 steps:6 a cat"))
    models.requests.clear()
    varied = await pressed(bot, grid, "V2")
    again, variation = models.requests
    assert (again["seed"], again["guidance"], again["steps"], again["n"]) == (8, 2, 6, 1)
    assert not {"enlarge", "image", "strength"} & again.keys()
    assert (look_at(variation["image"]), variation["strength"], variation["n"]) == (look_at(png(8)), 0.6, 4)
    assert (variation["prompt"], variation["seed"] != 8, variation["model"]) == ("a cat", True, "fake-images")
    assert (varied.card["strength"], varied.quote) == ("0.6", "a cat")
    assert labels(varied) == labels(grid)


async def test_a_variation_of_a_variation_is_drawn_again(bot: Bot, models: FakeModels) -> None:
    grid = await last(bot, ask("/imagine seed:7 a cat"))
    varied = await pressed(bot, grid, "V1")
    seed = int(varied.card["seed"])
    models.requests.clear()
    large = await pressed(bot, varied, "4")
    assert [body["seed"] for body in models.requests] == [7, seed + 3]
    assert [look_at(file.data) for file in large.attachments] == [look_at(png(seed + 3, 512, 512))]
    models.requests.clear()
    await pressed(bot, large, "Variations")
    first, second, third = models.requests
    assert (first["seed"], second["seed"], look_at(second["image"])) == (7, seed + 3, look_at(png(7)))
    assert look_at(third["image"]) == look_at(png(seed + 3))


async def test_again_and_edit_vary_the_same_picture(bot: Bot, models: FakeModels) -> None:
    varied = await pressed(bot, await last(bot, ask("/imagine seed:7 a cat")), "V1")
    again = await pressed(bot, varied, "Again")
    assert again.card["seed"] != varied.card["seed"]
    edited = await pressed(bot, varied, "Edit", prompt="a dog", strength="0,9")
    assert (edited.card["strength"], edited.quote) == ("0.9", "a dog")
    redrawn, variation = models.requests[-2:]
    assert (redrawn["prompt"], variation["prompt"]) == ("a cat", "a dog")
    assert look_at(variation["image"]) == look_at(png(7))


async def test_the_depth_of_variations_is_limited(bot: Bot) -> None:
    reply = await last(bot, ask("/imagine seed:7 count:1 a cat"))
    for _ in range(6):
        reply = await pressed(bot, reply, "Variations" if "Variations" in labels(reply) else "V1")
        assert not reply.error
    assert (await pressed(bot, reply, "V1")).text == (
        "This varies a variation of a variation, 6 times over. Begin anew with /imagine."
    )


async def test_buttons_work_after_a_restart(bot_with: Callable[..., Bot]) -> None:
    async with bot_with() as before:
        grid = await last(before, ask("/imagine seed:7 a cat"))
    async with bot_with() as after:
        for label in ("1", "V1", "How 1 was made"):
            assert not (await pressed(after, grid, label)).error


async def test_edit_cannot_change_options_that_the_form_does_not_show(bot: Bot, models: FakeModels) -> None:
    grid = await last(bot, ask("/imagine seed:7 a cat"))
    varied, large = await pressed(bot, grid, "V1"), await pressed(bot, grid, "1")
    row = await bot.messages.get(varied.row)
    assert row is not None
    models.requests.clear()
    other = row.options["source"].replace("a cat", "a turnip")
    assert not (await pressed(bot, varied, "Edit", prompt="a dog", source=other, negative="a turnip")).error
    assert not (await pressed(bot, large, "Edit", prompt="a dog", model="other-images")).error
    asked = [(body["prompt"], body["model"], body.get("negative_prompt")) for body in models.requests]
    assert asked == [("a cat", "fake-images", None), ("a dog", "fake-images", None), ("a dog", "fake-images", None)]


@pytest.mark.parametrize("source", ["", "cat", "5", "[]", "{}", '{"source": {}}', '{"prompt": 1}', "[" * 10_000])
def test_a_malformed_recipe_is_refused(source: str) -> None:
    with pytest.raises(UserError, match="This button has expired"):
        Recipe.from_json(source)


# Errors

NEXT_SEEDS = "Each picture has the next seed, so for 4 of them seed is 2147483644 at most."


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/imagine count:5 a cat", "count must be a whole number from 1 to 4; you gave “5”."),
        ("/imagine seed:2147483645 a cat", NEXT_SEEDS),
    ],
)
async def test_wrong_options_are_refused(bot: Bot, models: FakeModels, line: str, sentence: str) -> None:
    assert (await last(bot, ask(line))).text == sentence
    assert models.requests == []
