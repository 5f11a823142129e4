"""The texts and buttons of finished pictures for unusual prompts and models."""

from typing import Any

import pytest
from fakes.core.requests import ask, last, press, pressed, speaking
from fakes.model_server.model_api import FakeModels

from bot import Reply
from bot.app import Bot
from plugins.imagine.presentation import quote_prompt


def imagine_labels(reply: Reply) -> list[str]:
    return [button.label for button in reply.buttons if button.command.startswith("imagine-")]


# Long prompts


@pytest.mark.parametrize(
    ("prompt", "quoted"),
    [
        ("a  cat\nin the snow", "a cat in the snow"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
        ("苹" * 250, "苹" * 199 + "…"),
        ("a cat " + "x" * 250, "a cat " + "x" * 193 + "…"),
        ("cat " * 60, "cat " * 49 + "cat…"),
        ("x" * 198 + "👩‍🚀", "x" * 198 + "…"),
    ],
)
def test_a_long_prompt_is_cut_after_a_word_if_it_has_spaces(prompt: str, quoted: str) -> None:
    assert quote_prompt(prompt) == quoted
    assert len(quoted) <= 200


async def test_the_description_quotes_a_shortened_prompt_without_spaces(bot: Bot) -> None:
    reply = await last(bot, ask(f"/imagine seed:7 count:1 {'苹' * 250}"))
    assert reply.attachments[0].alt == f"A computer-made picture of “{'苹' * 199}…”, seed 7"


# Pictures that a network made larger


async def test_the_card_says_what_enlarged_a_picture_and_a_button_gets_it_as_it_was_drawn(
    bot: Bot, models: FakeModels
) -> None:
    for line in ("/imagine seed:7 count:1 a cat", "/imagine seed:7 a cat"):
        assert "imagine-original" not in [button.command for button in (await last(bot, ask(line))).buttons]
    models.told = {"enlarged_by": "Sharpener"}
    grid = await last(bot, ask("/imagine seed:7 negative:dogs a cat"))
    assert grid.card["size"] == "16×16, shown at 512×512, enlarged by Sharpener"
    # A variation of the file begins with what a network made of the picture.
    assert b"enlarged_by\x00Sharpener" in grid.attachments[0].data
    models.told = {}
    original = await pressed(bot, grid, "Original size")
    drawn = models.requests[-1]
    assert [drawn.get(name) for name in ("seed", "n", "negative_prompt", "layout", "enlarge")] == [
        *(7, 4, "dogs"),
        *("separate", None),
    ]
    assert original.text.startswith("As the model drew it, with 16×16 pixels. What was shown before went through a")
    assert (original.card["size"], original.quote) == ("16×16", "a cat")
    assert [file.filename for file in original.attachments] == [f"original-{seed}.png" for seed in (7, 8, 9, 10)]
    assert not (await pressed(bot, grid, "V2")).error
    source = models.requests[-2]
    assert (source["seed"], source.get("enlarge")) == (8, None)


# Words that the text encoder does not know


async def test_things_that_were_drawn_one_by_one_are_named(bot: Bot, models: FakeModels) -> None:
    assert "drawn one by one" not in (await last(bot, ask("/imagine a cat"))).card
    models.told = {"parts": ["a red heart", "a red heart", "a dog"]}
    reply = await last(bot, ask("/imagine two red hearts and a dog"))
    assert reply.card["drawn one by one"] == "2 × a red heart, a dog"
    assert "drew each by itself, and they were put together: 2 × a red heart, a dog." in reply.status
    # A variation of the file is drawn in as many parts.
    assert b"parts\x003" in reply.attachments[0].data


async def test_a_thing_that_was_read_in_the_place_of_the_prompt_is_named(bot: Bot, models: FakeModels) -> None:
    models.told = {"meant": "penguin"}
    reply = await last(bot, ask("/imagine count:1 a bird that cannot fly"))
    sentence = "The network knows single things by their names, so it read your words as “penguin”."
    assert (reply.card["drawn as"], reply.status) == ("penguin", sentence)
    assert sentence in (await pressed(bot, reply, "How it was made")).text


@pytest.mark.parametrize(("count", "part", "end"), [(20, "end", "."), (21, "last 21", " …")])
async def test_a_long_list_and_long_words_are_cut(
    bot: Bot, models: FakeModels, count: int, part: str, end: str
) -> None:
    unknown = ["苹" * 90, *["x"] * (count - 1)]
    models.told = {"prompt": {"tokens": ["[UNK]"], "dropped": ["y"] * count, "limit": 1, "unknown": unknown}}
    assert (await last(bot, ask("/imagine a cat"))).status == (
        f"The text encoder reads 1 tokens at most, so it never saw the {part} of the prompt:{' `y`' * 20}{end} "
        f"The text encoder has no tokens for these words and reads all such words alike: `{'苹' * 39}…`"
        f"{' `x`' * 19}{end}"
    )


# A model that has changed

CHANGED = "The model has changed since then: the same words and seed now give another picture."
PERHAPS = "If the model has changed since then, the same words and seed now give another picture."


@pytest.mark.parametrize(("before", "sentence"), [("11111111", CHANGED), ("", PERHAPS), ("22222222", "")])
async def test_buttons_below_pictures_of_before_say_if_the_model_has_changed(
    bot: Bot, models: FakeModels, before: str, sentence: str
) -> None:
    models.told = {"fingerprint": before}
    four = await last(bot, ask("/imagine a cat"))
    models.told = {"fingerprint": "22222222"}
    one = await pressed(bot, four, "2")
    for reply in (one, await pressed(bot, four, "V2")):
        assert reply.status == sentence
    assert (await pressed(bot, four, "How 1 was made")).text.partition("1. ")[0].strip() == sentence
    for reply in (await pressed(bot, one, "Variations"), await last(bot, ask("/imagine a cat"))):
        assert "has changed" not in reply.status


# Abilities of the model


@pytest.mark.parametrize(
    ("told", "one", "four"),
    [
        ({"starts": False}, ["How it was made"], ["1", "2", "3", "4", "How 1 was made"]),
        ({"shows": False}, ["Variations"], ["1", "2", "3", "4", "V1", "V2", "V3", "V4"]),
        ({"starts": False, "shows": False}, [], ["1", "2", "3", "4"]),
    ],
    ids=str,
)
async def test_a_model_has_buttons_only_for_what_it_can_do(
    bot: Bot, models: FakeModels, told: dict[str, Any], one: list[str], four: list[str]
) -> None:
    models.told = told
    grid = await last(bot, ask("/imagine seed:7 a cat"))
    assert (imagine_labels(grid), imagine_labels(await pressed(bot, grid, "3"))) == (four, one)
    two = await last(bot, ask("/imagine count:2 a cat"))
    assert imagine_labels(two) == [label for label in four if not label.endswith(("3", "4"))]


# The card


@pytest.mark.parametrize("line", ["/imagine", "/imagine sweep:guidance=1,3"])
async def test_the_card_keeps_the_unread_words_after_a_thumb(bot: Bot, models: FakeModels, line: str) -> None:
    models.told = {"prompt": {"tokens": ["a", "[UNK]"], "dropped": ["red", "hat"], "limit": 2, "unknown": ["🍎"]}}
    drawn = await last(bot, ask(f"{line} a 🍎 red hat"))
    assert drawn.card["not read"] == "red hat 🍎"
    assert (await last(bot, press("up", drawn.row))).card["not read"] == "red hat 🍎"
    models.told = {"prompt": {"tokens": ["a"], "dropped": ["y" * 50] * 21, "limit": 1, "unknown": []}}
    many = await last(bot, ask("/imagine a cat", speaking("de")))
    assert many.card["nicht gelesen"] == f"{'y' * 39}… " * 20 + "…"
    models.told = {}
    assert "not read" not in (await last(bot, ask(f"{line} a cat"))).card
