"""The dial page's requests and the tokens of answers, over real sockets."""

import asyncio
import base64
import math
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.core.settings import WEB, put
from fakes.model_server.model_api import VOCABULARY, FakeModels
from fakes.platforms.discord_bot import bot_with_plugins
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import Visitor, visitor

from bot import LikelyToken, Token
from bot.app import Bot
from bot.config.sections import WebSection
from bot.core.messages import Place, User
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.limits import WEB_LIMITS
from bot.platforms.web.chat.protocol import tokens_json
from bot.safety.sentences import SENTENCES, WITHHELD
from bot.settings.scopes import server_scope
from bot.storage.database import now


async def turned(person: Visitor, room: str = "", **question: Any) -> tuple[int, dict[str, Any]]:
    address, headers = f"{person.url}/dial?room={room}", {"Origin": person.url}
    async with person.session.post(address, json=question, headers=headers) as response:
        return response.status, await response.json()


def text(piece: str) -> str:
    return base64.b64decode(piece).decode()


async def test_one_answer_holds_the_odds_at_every_temperature(ann: Visitor) -> None:
    status, dial = await turned(ann, text="The cat sat")
    assert status == 200
    assert [text(piece) for piece in dial["prompt"]] == ["The", " cat", " sat"]
    place = dial["temperatures"].index(1.0)
    for candidate in dial["candidates"]:
        assert math.isclose(candidate["before"], math.exp(candidate["logit"] - dial["log_sum_exp"][place]))
    first = dial["candidates"][0]
    assert (first["before"] > 0.4, first["ends"]) == (True, False)
    assert [candidate["id"] for candidate in dial["candidates"] if candidate["ends"]]


async def test_a_text_is_continued_by_the_ids_of_its_tokens(ann: Visitor, models: FakeModels) -> None:
    _, dial = await turned(ann, text="The cat")
    chosen = dial["candidates"][1]
    _, after = await turned(ann, ids=[*dial["ids"], chosen["id"]], temperature=0.5, top_p=0.4, seed=2)
    assert after["ids"] == [*dial["ids"], chosen["id"]]
    assert text(after["prompt"][-1]) == text(chosen["bytes"])
    assert [candidate["after"] for candidate in after["candidates"]].count(0) == len(after["candidates"]) - 1
    assert after["drawn"]["id"] == after["candidates"][2]["id"]
    assert models.requests[-1]["user"] != ""


async def test_the_dial_uses_the_model_chosen_for_ask(bot: Bot, ann: Visitor, models: FakeModels) -> None:
    models.listed["other-chat"] = "chat"
    await put(bot.settings, "ask.model", "other-chat", WEB)
    assert (await turned(ann, text="The cat"))[1]["model"] == "other-chat"


async def test_invalid_dial_requests_are_refused_with_a_sentence(ann: Visitor, models: FakeModels) -> None:
    limits = "The dial takes a text of 1 to 2000 characters and a temperature from 0 to 2."
    longer = "The dial goes on with a text of up to 2000 tokens, and this one has more; take some of it away."
    for question, sentence in (
        ({"text": "x" * 2001}, limits),
        ({"text": "hello", "temperature": 3}, limits),
        ({"ids": [0] * 2001}, longer),
        ({"text": "hello", "model": "other"}, limits),
        ({"text": ""}, "There is nothing that could be gone on with: type a few words."),
    ):
        assert await turned(ann, **question) == (422, {"error": sentence})
    models.failure = (503, "The model is still loading.")
    assert await turned(ann, text="hello") == (422, {"error": "The model is still loading."})


async def test_one_visitor_has_a_limit_of_dial_requests(ann: Visitor, ben: Visitor, models: FakeModels) -> None:
    async with ann.page():
        models.gate.clear()
        slow = [asyncio.create_task(turned(ann, text=f"text {number}")) for number in range(4)]
        await models.until(requests=4)
        sentence = "Your last distributions are still being computed; wait for them."
        assert await turned(ann, text="one more") == (422, {"error": sentence})
        his = asyncio.create_task(turned(ben, text="mine"))
        await models.until(requests=5)
        models.gate.set()
        assert [status for status, _ in await asyncio.gather(*slow, his)] == [200] * 5
        assert (await turned(ann, text="one more"))[0] == 200


async def test_requests_without_cookies_from_one_address_leave_room_for_others(bot: Bot, models: FakeModels) -> None:
    async with (
        WebPlatform(bot, WebSection(port=0, proxies=("127.0.0.1",))).serve() as url,
        visitor(url, "198.51.100.7") as stranger,
        visitor(url, "192.0.2.1") as pupil,
    ):

        async def turned_anew() -> tuple[int, dict[str, Any]]:
            stranger.session.cookie_jar.clear()
            return await turned(stranger, text="hello")

        models.gate.clear()
        most = WEB_LIMITS.distributions.of_address
        slow = [asyncio.create_task(turned_anew()) for _ in range(most)]
        await models.until(requests=most)
        sentence = "Too many people are turning the dial at the moment; try again shortly."
        assert await turned_anew() == (422, {"error": sentence})
        own = asyncio.create_task(turned(pupil, text="mine"))
        await models.until(requests=most + 1)
        models.gate.set()
        assert {status for status, _ in await asyncio.gather(own, *slow)} == {200}
        assert (await turned_anew())[0] == 200


async def test_an_answer_shows_its_tokens_and_can_be_forked(ann: Visitor, ben: Visitor, models: FakeModels) -> None:
    async with ann.page() as page, ben.page() as his:
        answer = await page.ask("/ask hello")
        assert answer["reply"]["tokens"]
        await page.send("tokens", exchange=answer["id"])
        told = (await page.until("tokens"))["tokens"]
        assert "".join(text for text, _, _ in told) == answer["reply"]["text"]
        assert [round(probability, 2) for _, probability, _ in told][:2] == [0.5, 0.25]
        assert (told[1][2][0][0], round(told[1][2][0][1], 2)) == (" so", 0.5)
        await page.send("submit", id=f"t:fork:{answer['row']}", fields={"at": "1", "choice": "0"}, files={})
        forked = await his.until(
            "exchange", lambda message: message["row"] != answer["row"] and message["reply"]["final"]
        )
        assert forked["reply"]["text"].startswith("Paris so")
        assert forked["cause"] == {
            "text": f"{forked['author']['name']} chose “so” instead of “is”",
            "source": answer["row"],
            "mark": "so",
            "at": 6,
        }
        assert (forked["question"], forked["reply"]["quote"]) == ("", "hello")
    assert models.requests[-1]["continue_final_message"]


def test_tiny_probabilities_are_not_rounded_to_zero() -> None:
    assert tokens_json([Token("x", 1.23456789e-12, (LikelyToken("y", 2e-9),))]) == [["x", 1.23457e-12, [["y", 2e-9]]]]


async def test_blocked_words_are_hidden_among_the_candidates(ann: Visitor, bot: Bot, models: FakeModels) -> None:
    await put(bot.settings, "safety.words", "so, floor", WEB)
    status, dial = await turned(ann, text="The cat sat on the", seed=VOCABULARY.index(" floor"))
    assert status == 200
    assert [(one["hidden"], text(one["bytes"])) for one in dial["candidates"][:3]] == [
        (False, " mat"),
        (True, ""),
        (False, " roof"),
    ]
    assert (dial["drawn"]["hidden"], dial["drawn"]["bytes"]) == (True, "")
    async with ann.page() as page:
        answer = await page.ask("/ask hello")
        await page.send("tokens", exchange=answer["id"])
        told = (await page.until("tokens"))["tokens"]
    likely = [one for _, _, beside in told for one, _ in beside]
    assert None in likely
    assert " so" not in likely


async def test_tokens_of_private_and_deleted_answers_are_not_shown_to_others(ann: Visitor, ben: Visitor) -> None:
    async with ann.page() as hers, ben.page() as his:
        hidden = await hers.ask("/help")
        for page, sentence in (
            (hers, "No tokens are kept of this answer."),
            (his, "This has expired: it is no longer stored."),
        ):
            assert await page.refused("tokens", exchange=hidden["id"]) == sentence
        assert await hers.refused("tokens", exchange=999) == "This has expired: it is no longer stored."


async def test_a_user_in_timeout_cannot_use_the_dial(ann: Visitor, bot: Bot, models: FakeModels) -> None:
    async with ann.page("Ann") as page:
        me = page.received[0]["you"]
    place = Place("web", "general", server="web")
    teacher = User("t", "Teacher", is_moderator=True)
    await bot.timeouts.set(User(me["id"], "Ann"), server_scope(place), now() + timedelta(hours=1), "", teacher)
    status, answer = await turned(ann, text="hello")
    assert status == 422
    assert answer["error"].startswith("Moderators have timed you out: you can use me again at ")
    assert models.requests == []


async def test_typed_texts_and_drawn_tokens_pass_the_safety_checks(ann: Visitor, bot: Bot, models: FakeModels) -> None:
    await put(bot.settings, "safety.level", "classroom", WEB)
    await put(bot.settings, "safety.words", "turnip", WEB)
    models.scores = {"vile": {"hate": 0.99}}
    assert await turned(ann, text="a turnip") == (422, {"error": SENTENCES["blocked_word"].text})
    assert await turned(ann, text="a vile thing") == (422, {"error": SENTENCES["hate"].text})
    assert models.requests == []
    _, dial = await turned(ann, text="The cat")
    chosen = dial["candidates"][1]
    models.scores = {f"The cat{text(chosen['bytes'])}": {"hate": 0.99}}
    assert await turned(ann, ids=[*dial["ids"], chosen["id"]]) == (422, {"error": WITHHELD.text})
    refused = [(row.what, row.reason) for row in await bot.audit.find("web", "web") if row.kind == "refusal"]
    assert set(models.moderated_for) == {models.requests[-1]["user"]}
    assert refused == [("dial", "answer_hate"), ("dial", "hate"), ("dial", "blocked_word")]


@pytest.fixture
async def with_lab(models: FakeModels, tmp_path: Path) -> AsyncIterator[tuple[Bot, Visitor]]:
    """Yield a bot with /odds and a visitor of its web chat."""
    bot = bot_with_plugins(models, tmp_path, ("ask", "lab"), settings={"safety.level": "standard"})
    async with bot, WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as one:
        yield bot, one


async def linked(person: Visitor, room: str) -> bool:
    async with person.page(room=room) as page:
        return f"/dial?room={room}" in [one["url"] for one in page.received[-1]["links"]]


async def test_the_dial_is_available_where_odds_is(with_lab: tuple[Bot, Visitor], models: FakeModels) -> None:
    bot, ann = with_lab
    async with visitor(ann.url) as teacher:
        await become_teacher(bot, teacher)
        async with teacher.page() as page:
            await page.make_room("lesson-1")
    assert await linked(ann, "general")
    await put(bot.settings, "access.channels", "lesson-1", WEB)
    elsewhere = "I may be used in some channels alone, and this one is not among them."
    assert await turned(ann, "general", text="hello") == (422, {"error": elsewhere})
    assert (await turned(ann, "lesson-1", text="hello"))[0] == 200
    assert [await linked(ann, "general"), await linked(ann, "lesson-1")] == [False, True]
    await put(bot.settings, "lab.enabled", "no", WEB)
    asked = len(models.requests)
    assert await turned(ann, "lesson-1", text="hello") == (422, {"error": "/odds is switched off here."})
    assert len(models.requests) == asked
    assert not await linked(ann, "lesson-1")
    refused = [
        (row.what, row.reason, row.channel) for row in await bot.audit.find("web", "web") if row.kind == "refusal"
    ]
    assert refused == [("odds", "off", "lesson-1"), ("odds", "channel", "general")]


async def test_continuing_a_text_counts_as_a_use_and_turning_the_dial_does_not(
    with_lab: tuple[Bot, Visitor], models: FakeModels
) -> None:
    bot, ann = with_lab
    await put(bot.settings, "limits.user.hour", 1, WEB)
    for _ in range(3):
        status, dial = await turned(ann, text="The cat")
        assert status == 200
    on = [*dial["ids"], dial["candidates"][0]["id"]]
    models.failure = (503, "The model is still loading.")
    assert await turned(ann, ids=on, writes_on=True) == (422, {"error": "The model is still loading."})
    models.failure = None
    assert (await turned(ann, ids=on, writes_on=True))[0] == 200
    assert (await turned(ann, ids=on, top_p=0.5))[0] == 200
    status, answer = await turned(ann, ids=on, writes_on=True)
    assert status == 422
    assert re.match("The limit here is 1 per hour for each person, and yours is used up.", answer["error"])


async def test_a_distribution_that_was_withheld_counts(with_lab: tuple[Bot, Visitor], models: FakeModels) -> None:
    bot, ann = with_lab
    _, dial = await turned(ann, text="The cat")
    chosen = dial["candidates"][0]
    on = [*dial["ids"], chosen["id"]]
    models.scores = {f"The cat{text(chosen['bytes'])}": {"hate": 0.99}}
    await put(bot.settings, "limits.user.hour", 1, WEB)
    assert await turned(ann, ids=on, writes_on=True) == (422, {"error": WITHHELD.text})
    status, answer = await turned(ann, ids=on, writes_on=True)
    assert (status, answer["error"].startswith("The limit here is 1 per hour")) == (422, True)


async def test_going_on_counts_for_the_address_whoever_the_visitor_says_they_are(
    with_lab: tuple[Bot, Visitor], models: FakeModels
) -> None:
    bot, ann = with_lab
    await put(bot.settings, "limits.address.hour", 2, WEB)
    _, dial = await turned(ann, text="The cat")
    on = [*dial["ids"], dial["candidates"][0]["id"]]
    outcomes = []
    for _ in range(3):
        ann.session.cookie_jar.clear()
        outcomes.append(await turned(ann, ids=on, writes_on=True))
    assert [status for status, _ in outcomes] == [200, 200, 422]
    assert outcomes[-1][1]["error"].startswith("The limit here is 2 per hour for all who share your IP address,")


async def test_the_knobs_have_the_limits_of_odds(with_lab: tuple[Bot, Visitor], models: FakeModels) -> None:
    bot, ann = with_lab
    _, free = await turned(ann, text="The cat")
    assert free["limits"] == {"temperature": [0, 2], "top_p": [0, 1]}
    await put(bot.settings, "odds.temperature.maximum", 0.5, WEB)
    await put(bot.settings, "odds.top_p.maximum", 0.9, WEB)
    status, dial = await turned(ann, text="The cat")
    assert (status, dial["limits"]) == (200, {"temperature": [0, 0.5], "top_p": [0, 0.9]})
    assert (models.requests[-1]["temperature"], models.requests[-1]["top_p"]) == (0.5, 0.9)
    assert (await turned(ann, ids=dial["ids"], temperature=0, top_p=0))[0] == 200
    asked = len(models.requests)
    for knob, value, most in (("temperature", 1, "0.5"), ("top_p", 0.95, "0.9")):
        sentence = (
            f"{knob} must be a number from 0 to {most}, as moderators have set it here with `odds.{knob}.maximum`; "
            f"you gave “{value:.4g}"
        )
        status, answer = await turned(ann, ids=dial["ids"], **{knob: value})
        assert status == 422
        assert answer["error"].startswith(sentence)
    assert len(models.requests) == asked
    assert dial["min_p"] == 0.05
    await put(bot.settings, "ask.min_p.default", 0, WEB)
    await put(bot.settings, "temperature.maximum", 0.3, WEB)
    assert (await turned(ann, text="The cat"))[1]["min_p"] == 0
    assert (await turned(ann, text="The cat"))[1]["limits"]["temperature"] == [0, 0.3]
    status, answer = await turned(ann, ids=dial["ids"], temperature=0.4)
    assert (status, "`temperature.maximum`" in answer["error"]) == (422, True)


async def test_the_knobs_have_the_limit_of_all_temperatures_where_there_is_no_odds(
    ann: Visitor, bot: Bot, models: FakeModels
) -> None:
    await put(bot.settings, "temperature.maximum", 0.3, WEB)
    _, dial = await turned(ann, text="The cat")
    assert (dial["limits"]["temperature"], models.requests[-1]["temperature"]) == ([0, 0.3], 0.3)
    assert "`temperature.maximum`" in (await turned(ann, ids=dial["ids"], temperature=0.4))[1]["error"]
