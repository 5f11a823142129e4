from collections.abc import Callable
from dataclasses import replace

from fakes.core.requests import ANN, BEN, ROOM, ask, last, press, pressed, speaking

from bot.app import Bot
from bot.core.messages import PRIVATE_THREAD


async def test_the_last_answer_is_shown_with_its_options_and_facts(bot: Bot) -> None:
    await last(bot, ask("/ask temperature:0.2 seed:7 Which city?"))
    await last(bot, ask("/help"))
    decision = bot.prepare(ask("/inspect", BEN))
    assert decision.private
    lines = [reply async for reply in decision.start()][-1].text.splitlines()
    assert lines[0].startswith("**/ask** – asked by Ann, 20")
    assert lines[1:5] == [
        "- `prompt`: Which city? – What you want to know",
        "- `temperature`: 0.2 – 0 always takes the most probable word, 2 dares the wildest",
        "- `max_tokens`: 512 – The longest answer, in tokens (a token is about three quarters of a word)",
        "- `seed`: 7 – The same seed gives the same answer to the same conversation again",
    ]
    assert lines[5].startswith("- `min_p`: 0.05 – Leaves out tokens less probable than this share of the most")
    assert lines[6:] == ["- model: fake-chat", "- tokens: 6", "- seconds: 0.5"]


async def test_examining_counts_as_a_use(bot: Bot) -> None:
    # It may take seconds of computing, so that nobody may ask without end.
    assert next(command for command in bot.registry.commands if command.name == "inspect").is_limited


async def test_a_reply_inspects_the_answer_it_replies_to(bot: Bot) -> None:
    first = await last(bot, ask("/face seed:3"))
    await bot.messages.set_external_ids(first.row, ["a1", "a2"])
    await last(bot, ask("/ask something else"))
    assert "gefragt von Ann" in (await last(bot, ask("/inspect", speaking("de"), reply_to="a2"))).text
    text = (await last(bot, ask("/inspect", reply_to="a2"))).text
    assert "\n**/face** – asked by Ann" in text
    assert "- `seed`: 3 – The same seed gives the same face again" in text


async def test_a_channel_does_not_include_its_private_threads(bot: Bot) -> None:
    drawn = (await last(bot, ask("/face"))).card["seed"]
    thread = {"place": replace(ROOM, thread="7"), "resume": {PRIVATE_THREAD: True}}
    await last(bot, ask("/ask a secret", **thread))
    for reader in (BEN, ANN):
        # A seed that nobody gave is told as well.
        assert f"- `seed`: {drawn} – The same seed" in (await last(bot, ask("/inspect", reader))).text
        assert "a secret" in (await last(bot, ask("/inspect", reader, **thread))).text


async def test_an_answer_of_a_button_is_shown_under_the_command_that_people_type(bot: Bot) -> None:
    odds = await last(bot, ask("/odds temperature:1 The cat sat on the"))
    await pressed(bot, odds, "␣floor")
    lines = (await last(bot, ask("/inspect", BEN))).text.splitlines()
    assert lines[0].startswith("**/odds** – asked by Ann, 20")
    assert lines[1:] == [
        "- `text`: The cat sat on the – The beginning of a text, such as The cat sat on the",
        "- `temperature`: 1 – 0 leaves the most probable token alone, 2 gives the others a chance",
        "- `top_p`: 1 – Only the most probable tokens that together have this much of the odds can be drawn",
        "- model: fake-chat",
    ]


async def test_a_recipe_is_not_shown(bot: Bot) -> None:
    pictures = await last(bot, ask("/imagine seed:7 steps:4 a cat"))
    varied = await pressed(bot, pictures, "V2")
    text = (await last(bot, ask("/inspect"))).text
    assert "**/imagine** – asked by Ann" in text
    assert "- `prompt`: a cat – What to draw\n" in text
    assert f"- `seed`: {varied.card['seed']} – The same seed and words" in text
    assert "- `strength`: 0.6 – How much of the picture to give up" in text
    assert "source" not in text


async def test_a_fork_is_shown_like_the_answer_that_it_goes_on_from(bot: Bot) -> None:
    answer = await last(bot, ask("/ask seed:7 Which city?"))
    await last(bot, press("fork", answer.row, at=0, choice=1))
    text = (await last(bot, ask("/inspect"))).text
    assert text.startswith("**/ask** – asked by Ann")
    assert "- `prompt`: Which city? – What you want to know\n" in text
    assert "`choice`" not in text


async def test_without_an_answer_there_is_an_error(bot: Bot) -> None:
    none = "There is no answer of mine to inspect here, or it is no longer stored."
    reply = await last(bot, ask("/inspect"))
    assert (reply.text, reply.error, reply.private) == (none, True, True)
    await last(bot, ask("/face seed:3"))
    for nowhere in ({"place": replace(ROOM, channel="other")}, {"reply_to": "purged"}):
        assert (await last(bot, ask("/inspect", **nowhere))).text == none


async def test_another_members_private_answer_is_not_shown(bot_with: Callable[..., Bot]) -> None:
    async with bot_with(settings={"answers.private": True}) as bot:
        first = await last(bot, ask("/face seed:3"))
        await bot.messages.set_external_ids(first.row, ["a1"])
        for reply_to in ("", "a1"):
            assert (await last(bot, ask("/inspect", BEN, reply_to=reply_to))).error
            assert not (await last(bot, ask("/inspect", ANN, reply_to=reply_to))).error
