import asyncio
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fakes.core.requests import ask, last, pressed, speaking
from fakes.core.settings import put
from fakes.model_server.model_api import START, VOCABULARY, FakeModels, dialled

from bot.app import Bot
from plugins.lab.chart import OddsChart, draw_chart
from plugins.lab.odds import build_chart, fence, make_visible

CAT = "/odds temperature:1 The cat sat on the"
IDS = [START + place for place in range(5)]
TOTAL = sum(2.0**-number for number in range(len(VOCABULARY)))


def percent(number: int, total: float = TOTAL) -> str:
    return f"{100 * 2.0**-number / total:.1f} %"


async def test_the_ten_most_probable_tokens_are_shown_in_words_and_as_a_picture(bot: Bot, models: FakeModels) -> None:
    reply = await last(bot, ask("/odds temperature:1 top_p:0.9 The cat sat on the"))
    assert not reply.error, reply.text
    body = models.requests[0]
    assert (body["prompt"], body["temperature"], body["top_p"]) == ("The cat sat on the", 1, 0.9)
    # A half, a quarter, an eighth and a sixteenth are the smallest set that has nine tenths.
    kept = sum(2.0**-number for number in range(4))
    lines = reply.text.split("\n\n")[2].splitlines()
    assert lines[0] == f"1. `␣mat` {percent(0)} → {percent(0, kept)}"
    assert lines[3] == f"4. `↵` {percent(3)} → {percent(3, kept)}"
    assert lines[4] == f"5. `…` {percent(4)} → 0 %"
    assert lines[5] == f"6. `(end)` {percent(5)} → 0 %"
    rest = 100 * (2.0**-10 + 2.0**-11) / TOTAL
    assert rest < 0.1
    assert lines[10:] == ["- all others: < 0.1 % → 0 %"]
    (picture,) = reply.attachments
    assert (picture.media_type, picture.data[:4]) == ("image/png", b"\x89PNG")
    assert picture.alt.startswith(
        "What may come after “The cat sat on the”, by the model’s own odds → at temperature 1"
    )
    assert f"␣mat {percent(0)} → {percent(0, kept)}; ␣floor" in picture.alt
    assert [button.label for button in reply.buttons][:6] == ["␣mat", "␣floor", "␣roof", "↵", "…", "🎲 Draw one"]
    assert dict(reply.card) == {"model": "fake-chat", "temperature": "1", "top_p": "0.9"}


@pytest.mark.parametrize(
    ("temperature", "top_p", "min_p", "number"),
    [(1, 1, 0.05, 6), (2, 1, 0.05, 10), (1, 0.5, 0.05, 6), (1, 1, 0.3, 3), (1, 1, 0, 0), (0, 1, 0.05, 0)],
)
async def test_odds_say_which_tokens_ask_leaves_out(
    bot: Bot, temperature: float, top_p: float, min_p: float, number: int
) -> None:
    await put(bot.settings, "ask.min_p.default", min_p)
    reply = await last(bot, ask(f"/odds temperature:{temperature} top_p:{top_p} The cat sat on the"))
    told = re.findall(r"/ask leaves out all from number (\d+) on", reply.text)
    assert told == ([str(number)] if number else [])


async def test_a_forbidden_token_is_hidden_and_the_others_are_shown(bot: Bot) -> None:
    await put(bot.settings, "safety.words", "floor")
    reply = await last(bot, ask(CAT))
    assert not reply.error, reply.text
    lines = reply.text.split("\n\n")[2].splitlines()
    assert [line.split("`")[1] for line in lines[:3]] == ["␣mat", "(hidden)", "␣roof"]
    assert "floor" not in f"{reply.text} {reply.attachments[0].alt}"
    assert [button.label for button in reply.buttons][:4] == ["␣mat", "␣roof", "↵", "…"]


async def test_buttons_write_a_text_token_by_token(bot: Bot, models: FakeModels) -> None:
    first = await last(bot, ask(CAT))
    second = await pressed(bot, first, "␣floor")
    third = await pressed(bot, second, "↵")
    assert second.text.startswith("```\nThe cat sat on the floor\n```")
    assert third.text.startswith("```\nThe cat sat on the floor\n\n```")
    assert [body["prompt"] for body in models.requests] == ["The cat sat on the", [*IDS, 1], [*IDS, 1, 3]]
    assert [body["temperature"] for body in models.requests] == [1, 1, 1]
    row = await bot.messages.get(second.row)
    question = await bot.messages.get(row.parent)
    assert question.parent == first.row


async def test_the_first_token_of_the_model_is_not_shown_in_the_text(bot: Bot, models: FakeModels) -> None:
    models.opening = "<|begin|>"
    first = await last(bot, ask(CAT))
    second = await pressed(bot, first, "␣floor")
    assert "```\nThe cat sat on the\n```" in first.text
    assert "```\nThe cat sat on the floor\n```" in second.text
    assert models.requests[-1]["prompt"] == [*IDS, START + len(IDS), 1]


async def test_a_button_asks_the_model_whose_tokens_it_has(bot_with: Callable[..., Bot], models: FakeModels) -> None:
    async with bot_with("lab") as bot:
        first = await last(bot, ask(CAT))
        models.listed = {"newer": "chat"} | models.listed
        await pressed(bot, first, "␣floor")
    assert [body["model"] for body in models.requests] == ["fake-chat", "fake-chat"]


async def test_a_token_is_drawn_with_the_seed(bot: Bot, models: FakeModels) -> None:
    first = await last(bot, ask("/odds temperature:1 seed:2 The cat sat on the"))
    drawn = await pressed(bot, first, "🎲 Draw one")
    # The fake model draws the word whose number is the seed: the seed of the answer plus the length of the text.
    assert models.requests[1]["seed"] == 2 + 5
    assert drawn.text.startswith(f"🎲 Drawn: `␣sofa`, which had {percent(7)}.\n\n```\nThe cat sat on the sofa\n```")
    assert models.requests[2]["prompt"] == [*IDS, 7]
    again = await pressed(bot, drawn, "🎲 Draw one")
    assert models.requests[3]["seed"] == 2 + 6
    assert again.text.startswith(f"🎲 Drawn: `␣table`, which had {percent(8)}.")


@pytest.mark.parametrize("vocabulary", [VOCABULARY, ("<end>",) * len(VOCABULARY)], ids=["a token", "the end"])
async def test_warmer_repeats_a_draw_that_had_no_seed(
    bot: Bot, models: FakeModels, monkeypatch: pytest.MonkeyPatch, vocabulary: tuple[str, ...]
) -> None:
    monkeypatch.setattr("fakes.model_server.model_api.VOCABULARY", vocabulary)
    drawn = await pressed(bot, await last(bot, ask(CAT)), "🎲 Draw one")
    await pressed(bot, drawn, "Cooler")
    first, second = (body for body in models.requests if body["seed"])
    assert (second["prompt"], second["seed"], second["temperature"]) == (IDS, first["seed"], 0.7)
    assert first["seed"] == (int(drawn.card["seed"]) + len(IDS)) % 2**31


@pytest.mark.parametrize("presses", [(), ("🎲 Draw one",), ("🎲 Draw one", "Warmer")])
async def test_a_random_seed_is_not_passed_on_to_the_next_draw(
    bot: Bot, models: FakeModels, monkeypatch: pytest.MonkeyPatch, presses: tuple[str, ...]
) -> None:
    # A random seed can draw any token, and after the end nothing is drawn.
    endless = tuple(word for word in VOCABULARY if word != "<end>")
    monkeypatch.setattr("fakes.model_server.model_api.VOCABULARY", endless)
    drawn = await last(bot, ask(CAT))
    for label in presses:
        drawn = await pressed(bot, drawn, label)
    models.requests.clear()
    for _ in range(2):
        await pressed(bot, drawn, "🎲 Draw one")
    assert len({body["seed"] for body in models.requests if body["seed"]}) == 2


async def test_a_given_seed_is_kept_for_later_draws_at_another_temperature(bot: Bot, models: FakeModels) -> None:
    drawn = await pressed(bot, await last(bot, ask("/odds temperature:1 seed:2 The cat sat on the")), "🎲 Draw one")
    await pressed(bot, await pressed(bot, drawn, "Warmer"), "🎲 Draw one")
    assert [body["seed"] for body in models.requests if body["seed"]] == [2 + 5, 2 + 5, 2 + 6]


async def test_a_drawn_end_ends_the_text(bot: Bot, models: FakeModels) -> None:
    first = await last(bot, ask("/odds temperature:1 seed:0 The cat sat on the"))
    drawn = await pressed(bot, first, "🎲 Draw one")
    assert drawn.text == (
        f"🎲 Drawn: `(end)`, which had {percent(5)}.\n\n```\nThe cat sat on the\n```\n\n"
        "The end: this, too, is a token, and after it nothing comes."
    )
    assert drawn.attachments == ()
    assert len(models.requests) == 2


async def test_the_end_can_be_chosen_by_a_button(bot: Bot, models: FakeModels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakes.model_server.model_api.VOCABULARY", ("<end>", *VOCABULARY[1:]))
    first = await last(bot, ask(CAT))
    chosen = await pressed(bot, first, "(end)")
    assert chosen.text.startswith("```\nThe cat sat on the\n```\n\nThe end:")
    assert [button.label for button in chosen.buttons][:1] == ["Again"]


async def test_warmer_shows_the_same_text_at_another_temperature(bot: Bot, models: FakeModels) -> None:
    first = await last(bot, ask("/odds The cat sat on the"))
    second = await pressed(bot, await pressed(bot, first, "␣mat"), "Warmer")
    assert second.text.startswith("```\nThe cat sat on the mat\n```")
    assert [body["temperature"] for body in models.requests] == [0.7, 0.7, 1.0]


async def test_at_zero_one_token_has_all_the_odds(bot: Bot) -> None:
    reply = await last(bot, ask("/odds temperature:0 The cat sat on the"))
    assert f"1. `␣mat` {percent(0)} → 100 %" in reply.text
    assert f"2. `␣floor` {percent(1)} → 0 %" in reply.text


@pytest.mark.parametrize(
    ("shares", "others"),
    [
        # In binary, ten times 0.1 is less than 1.
        ([0.1] * 10 + [0.0, 0.0], "0 %"),
        # In binary, 1 plus a number as small as this is still 1.
        ([1.0] + [1e-20] * 11, "< 0.1 %"),
    ],
)
async def test_all_others_have_no_odds_only_where_top_p_cut_them_off(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, shares: list[float], others: str
) -> None:
    def answer_with_shares(body: dict[str, Any], pieces: dict[int, str], opening: str) -> dict[str, Any]:
        answer = dialled(body, pieces, opening)
        for one, share in zip(answer["tokens"], shares, strict=True):
            one["after"] = share
        return answer

    monkeypatch.setattr("fakes.model_server.model_api.dialled", answer_with_shares)
    assert f"- all others: < 0.1 % → {others}\n" in (await last(bot, ask(CAT))).text


async def test_the_odds_are_in_the_askers_language(bot: Bot) -> None:
    reply = await last(bot, ask(CAT, speaking("de")))
    assert "- alle anderen: " in reply.text
    assert "🎲 Eines ziehen" in [button.label for button in reply.buttons]
    assert reply.attachments[0].alt.startswith("Was nach „The cat sat on the“ kommen kann")


def drawing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("chart")]


async def test_the_chart_is_drawn_in_a_thread_that_ends_with_the_bot(bot_with: Callable[..., Bot]) -> None:
    async with bot_with("lab") as bot:
        assert (await last(bot, ask(CAT))).attachments
        (thread,) = drawing_threads()
    await asyncio.to_thread(thread.join)


async def test_answers_under_way_are_finished_after_a_reload(
    bot: Bot, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    charts, free, waited = asyncio.Queue[OddsChart](), threading.Event(), []

    def report_and_build(*about: Any) -> OddsChart:
        charts.put_nowait(build_chart(*about))
        return build_chart(*about)

    def draw_slowly(chart: OddsChart) -> bytes:
        # The limit ends the test if the loop waits for this thread.
        waited.append(free.wait(20))
        return draw_chart(chart)

    monkeypatch.setattr("plugins.lab.odds.build_chart", report_and_build)
    monkeypatch.setattr("plugins.lab.draw_chart", draw_slowly)
    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(last(bot, ask(CAT))) for _ in range(2)]
        await charts.get(), await charts.get()
        models.gate.clear()
        answers.append(group.create_task(last(bot, ask(CAT))))
        await models.until(requests=3)
        before = drawing_threads()
        await bot.registry.reload("lab")
        models.gate.set()
        free.set()
    assert all(waited)
    for reply in (answer.result() for answer in answers):
        assert reply.attachments, reply.text
    for thread in before:
        await asyncio.to_thread(thread.join)
    assert (await last(bot, ask(CAT))).attachments


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/odds top_p:1.5 The cat", "top_p must be a number from 0 to 1; you gave “1.5”."),
        ("/odds temperature:3 The cat", "temperature must be a number from 0 to 2; you gave “3”."),
    ],
)
async def test_wrong_options_are_refused(bot: Bot, models: FakeModels, line: str, sentence: str) -> None:
    assert (await last(bot, ask(line))).text == sentence
    assert models.requests == []


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (b" a b", "␣a␣b"),
        (b"\n\n", "↵↵"),
        (b"\t", "⇥"),
        ("猫".encode(), "猫"),
        ("😀".encode()[:2], "F0 9F"),
        ("\xa0".encode(), "U+00A0"),
        ("\u200b\u2028a".encode(), "U+200B U+2028 a"),
        (b"\x00", "U+0000"),
    ],
)
def test_tokens_are_made_visible(token: bytes, text: str) -> None:
    assert make_visible(token) == text


def test_a_text_cannot_break_out_of_its_code_block() -> None:
    assert fence("a ``` b") == "````\na ``` b\n````"
