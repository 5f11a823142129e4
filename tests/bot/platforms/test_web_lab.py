"""What the lab's pages ask the chat for, over real sockets."""

import asyncio
import base64
import math
from datetime import timedelta
from typing import Any

from fakes.models import FakeModels
from fakes.page import Visitor

from bot.app import Bot
from bot.database import now
from bot.message import Place, User
from bot.safety.verdict import SENTENCES, WITHHELD
from bot.scope import home


async def turned(person: Visitor, **question: Any) -> tuple[int, dict[str, Any]]:
    async with person.session.post(f"{person.url}/dial", json=question, headers={"Origin": person.url}) as response:
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


async def test_the_text_is_gone_on_with_by_the_ids_of_its_tokens(ann: Visitor, models: FakeModels) -> None:
    _, dial = await turned(ann, text="The cat")
    chosen = dial["candidates"][1]
    _, after = await turned(ann, ids=[*dial["ids"], chosen["id"]], temperature=0.5, top_p=0.4, seed=2)
    assert after["ids"] == [*dial["ids"], chosen["id"]]
    assert text(after["prompt"][-1]) == text(chosen["bytes"])
    assert [candidate["after"] for candidate in after["candidates"]].count(0) == len(after["candidates"]) - 1
    assert after["drawn"]["id"] == after["candidates"][2]["id"]
    assert models.requests[-1]["user"] != ""


async def test_it_turns_the_model_that_is_chosen_for_ask(bot: Bot, ann: Visitor, models: FakeModels) -> None:
    models.listed["other-chat"] = "chat"
    mod = User("m", "Mod", is_moderator=True)
    await bot.settings.write([bot.settings.plan("ask.model", "other-chat", home(Place("web", "", "web")))], mod)
    assert (await turned(ann, text="The cat"))[1]["model"] == "other-chat"


async def test_what_the_dial_cannot_take_is_refused_with_a_sentence(ann: Visitor, models: FakeModels) -> None:
    limits = "The dial takes a text of 1 to 2000 characters and a temperature from 0 to 2."
    for question, sentence in (
        ({"text": "x" * 2001}, limits),
        ({"text": "hello", "temperature": 3}, limits),
        ({"text": "hello", "model": "other"}, limits),
        ({"text": ""}, "There is nothing that could be gone on with: type a few words."),
    ):
        assert await turned(ann, **question) == (422, {"error": sentence})
    models.failure = (503, "The model is still loading.")
    assert await turned(ann, text="hello") == (422, {"error": "The model is still loading."})


async def test_one_visitor_cannot_turn_all_dials(ann: Visitor, ben: Visitor, models: FakeModels) -> None:
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


async def test_an_answer_tells_its_tokens_and_is_forked(ann: Visitor, ben: Visitor, models: FakeModels) -> None:
    async with ann.page() as page, ben.page() as his:
        await page.say("/ask hello")
        answer = await page.final()
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
    assert models.requests[-1]["continue_final_message"]


async def test_nobody_is_told_the_tokens_of_what_is_private_or_gone(ann: Visitor, ben: Visitor) -> None:
    async with ann.page() as hers, ben.page() as his:
        await hers.say("/help")
        hidden = await hers.final()
        for page, sentence in (
            (hers, "No tokens are kept of this answer."),
            (his, "This has expired: it is no longer stored."),
        ):
            await page.send("tokens", exchange=hidden["id"])
            assert (await page.until("refused"))["text"] == sentence
        await hers.send("tokens", exchange=999)
        assert (await hers.until("refused"))["text"] == "This has expired: it is no longer stored."


async def test_who_is_timed_out_turns_no_dial(ann: Visitor, bot: Bot, models: FakeModels) -> None:
    async with ann.page("Ann") as page:
        me = page.received[0]["you"]
    place = Place("web", "general", server="web")
    teacher = User("t", "Teacher", is_moderator=True)
    await bot.timeouts.set(User(me["id"], "Ann"), home(place), now() + timedelta(hours=1), "", teacher)
    status, answer = await turned(ann, text="hello")
    assert status == 422
    assert answer["error"].startswith("Moderators have timed you out: you can use me again at ")
    assert models.requests == []


async def test_what_is_typed_and_drawn_passes_the_safety_checks(ann: Visitor, bot: Bot, models: FakeModels) -> None:
    mod = User("m", "Mod", is_moderator=True)
    place = home(Place("web", "", "web"))
    await bot.settings.write([bot.settings.plan("safety.level", "classroom", place)], mod)
    await bot.settings.write([bot.settings.plan("safety.words", "turnip", place)], mod)
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
