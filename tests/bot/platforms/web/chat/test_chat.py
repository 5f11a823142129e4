"""The web chat over real sockets: the messages that pages get."""

import asyncio
import itertools
from contextlib import AsyncExitStack

import pytest
from aiohttp import WSMsgType
from fakes.core.settings import WEB, put
from fakes.model_server.model_api import FakeModels
from fakes.platforms.web_page import Page, Visitor, visitor
from sqlalchemy import delete

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform
from bot.storage.audit import AuditFilter
from bot.storage.database import AttachmentRow

HERE = WebSection(port=0)


async def test_an_answer_streams_and_its_last_state_arrives(ann: Visitor, models: FakeModels) -> None:
    models.gate.clear()
    async with ann.page("Ann") as page:
        ref = await page.say("/ask temperature:0.2 What is the capital of France?")
        assert (await page.until("taken"))["ref"] == ref
        first = await page.until("exchange", lambda message: bool(message["reply"]["text"]))
        assert (first["question"], first["author"]["name"]) == (
            "/ask temperature:0.2 What is the capital of France?",
            "Ann",
        )
        assert (first["reply"]["text"], first["mine"]) == ("Paris", True)
        assert [button["label"] for button in first["reply"]["buttons"]] == ["Stop"]
        models.gate.set()
        last = await page.final()
    assert last["reply"]["text"] == "Paris is the capital of France."
    assert (last["private"], last["reply"]["error"]) == (False, False)
    assert ["temperature", "0.2"] in last["reply"]["card"]
    assert (last["reply"]["card"][0], last["reply"]["card_titles"][0]) == (["made by", "AI"], "made by")
    texts = [message["reply"]["text"] for message in page.received if message["type"] == "exchange"]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert models.requests[0]["temperature"] == 0.2


async def test_the_place_in_the_queue_is_shown_as_a_status(ann: Visitor, models: FakeModels) -> None:
    models.gate.clear()
    models.place = 3
    async with ann.page() as page:
        await page.say("/ask hello")
        await page.until("exchange", lambda message: message["reply"]["status"] == "Number 3 in the queue …")
        models.gate.set()
        assert (await page.final())["reply"]["status"] == ""


@pytest.mark.parametrize("line", ["/help", "/nothing", "/ask temperature:9 hi"])
async def test_a_private_answer_is_only_shown_to_its_asker(line: str, ann: Visitor, ben: Visitor) -> None:
    async with ann.page() as hers, ben.page() as his:
        answer = await hers.ask(line)
        assert answer["private"]
        assert answer["reply"]["error"] is (line != "/help")
        await his.send("dismiss", exchange=answer["id"])
        await hers.say("/ask in public")
        await his.final()
        assert [exchange["question"] for exchange in his.exchanges.values()] == ["/ask in public"]
        assert line not in str(his.received[1:])
        assert answer["id"] in hers.exchanges
        await hers.send("dismiss", exchange=answer["id"])
        await hers.until("gone", lambda message: message["id"] == answer["id"])
        (public,) = hers.exchanges
        await hers.send("dismiss", exchange=public)
        await hers.ask("/nothing")
        assert public in hers.exchanges


async def test_an_answer_that_fails_disappears_for_the_others(ann: Visitor, ben: Visitor, models: FakeModels) -> None:
    models.failure = (503, "The model is still loading.")
    async with ann.page() as hers, ben.page() as his:
        error = await hers.ask("/ask hello")
        assert (error["reply"]["text"], error["reply"]["error"]) == ("The model is still loading.", True)
        assert error["private"]
        await his.until("gone", lambda message: message["id"] == error["id"])
        assert not his.exchanges


async def test_only_the_asker_can_stop_and_stop_reaches_the_model_server(
    ann: Visitor, ben: Visitor, models: FakeModels
) -> None:
    models.gate.clear()
    async with ann.page("Ann") as hers, ben.page() as his:
        await hers.say("/ask hello")
        running = await hers.until("exchange", lambda message: message["reply"]["text"] == "Paris")
        seen = await his.until("exchange", lambda message: message["reply"]["text"] == "Paris")
        assert not seen["reply"]["buttons"]
        assert (
            await his.refused("press", exchange=running["id"], id=running["reply"]["buttons"][0]["id"])
            == "Only Ann, who asked, and moderators can do that."
        )
        assert (models.running, models.dropped) == (1, 0)
        await hers.press(running, "Stop")
        stopped = await hers.final()
        await models.until(dropped=1, running=0)
    assert (stopped["reply"]["text"], stopped["reply"]["status"]) == ("Paris", "Stopped.")


async def test_buttons_change_their_message_or_make_a_new_one(ann: Visitor, ben: Visitor) -> None:
    async with ann.page() as hers, ben.page() as his:
        answer, seen = await hers.ask("/ask temperature:0.5 seed:1 hello"), await his.final()
        assert [button["label"] for button in seen["reply"]["buttons"]] == ["👍", "👎"]
        await his.press(seen, "👍")
        voted = await hers.until("exchange", lambda message: message["reply"]["buttons"] != answer["reply"]["buttons"])
        assert (voted["id"], voted["reply"]["text"]) == (answer["id"], answer["reply"]["text"])
        assert "👍 1" in [button["label"] for button in voted["reply"]["buttons"]]
        second = await hers.ask("/ask seed:1 hello")
        assert (
            await hers.refused("press", exchange=answer["id"], id=f"t:up:{second['row']}") == "This button has expired."
        )
        await hers.press(answer, "Warmer")
        warmer = await hers.until(
            "exchange", lambda message: message["id"] > second["id"] and message["reply"]["final"]
        )
        assert ["temperature", "0.8"] in warmer["reply"]["card"]
        assert (warmer["question"], warmer["reply"]["quote"]) == ("", "hello")
        assert warmer["cause"]["text"].endswith(" pressed Warmer → 0.8")
        await hers.press(answer, "Delete")
        await his.until("gone", lambda message: message["id"] == answer["id"])
        assert await hers.refused("press", exchange=answer["id"], id="t:again:1") == "This button has expired."


async def test_a_command_without_its_options_opens_a_form(ann: Visitor, models: FakeModels) -> None:
    async with ann.page() as page:
        await page.say("/ask")
        form = await page.until("form")
        fields = {field["name"]: field for field in form["fields"]}
        assert (form["title"], fields["prompt"]["required"], fields["temperature"]["maximum"]) == ("/ask", True, 2)
        await page.send("submit", id=form["id"], fields={"prompt": "hello", "temperature": "7"}, files={})
        sentence = "temperature must be a number from 0 to 2; you gave “7”."
        assert (await page.until("refused"))["text"] == sentence
        ref = await page.send("submit", id=form["id"], fields={"prompt": "hello", "temperature": "1"}, files={})
        assert (await page.until("taken"))["ref"] == ref
        assert (await page.final())["question"] == "hello"
    assert models.requests[-1]["temperature"] == 1


async def test_a_lost_connection_does_not_stop_an_answer(ann: Visitor, models: FakeModels) -> None:
    models.gate.clear()
    async with ann.page() as page:
        await page.say("/ask hello")
        await page.until("exchange", lambda message: message["reply"]["text"] == "Paris")
    async with ann.page() as page:
        (running,) = page.exchanges.values()
        assert (running["reply"]["text"], running["reply"]["final"], running["mine"]) == ("Paris", False, True)
        assert models.dropped == 0
        models.gate.set()
        assert (await page.final())["reply"]["text"] == "Paris is the capital of France."


async def read_and_lost(bot: Bot, one: Visitor, page: Page) -> None:
    """Check that the page's only picture is read from the database, under an address that nobody can guess, and
    disappears once it is deleted there.
    """
    (exchange,) = page.exchanges.values()
    (picture,) = exchange["reply"]["pictures"]
    assert (picture["width"], picture["height"], "seed 7" in picture["alt"]) == (384, 384, True)
    assert len(picture["url"].removeprefix("/files/")) >= 32
    answer = await one.get(picture["url"])
    assert (answer.body[:4], len(answer.body)) == (b"\x89PNG", picture["size"])
    assert (answer.headers["Content-Type"], answer.headers["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
    async with bot.database.writing() as session:
        await session.execute(delete(AttachmentRow))
    assert [(await one.get(path)).status for path in (picture["url"], "/files/guessed")] == [404, 404]
    await page.until("exchange", lambda message: not message["reply"]["pictures"])


@pytest.mark.parametrize("restarted", [False, True])
async def test_pictures_are_read_from_the_database(bot: Bot, restarted: bool) -> None:
    async with WebPlatform(bot, HERE).serve() as url, visitor(url) as ann, ann.page() as page:
        await page.ask("/face seed:7")
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "web answer"))
        if not restarted:
            await read_and_lost(bot, ann, page)
    if restarted:
        async with WebPlatform(bot, HERE).serve() as url, visitor(url) as ben, ben.page() as page:
            await read_and_lost(bot, ben, page)


async def test_a_slow_page_can_still_fetch_a_replaced_preview(ann: Visitor, models: FakeModels) -> None:
    async with ann.page() as page:
        models.gate.clear()
        await page.say("/imagine a cat")
        seen = await page.until("exchange", lambda message: message["reply"]["pictures"])
        models.gate.set()
        await page.final()
        address = ann.url + seen["reply"]["pictures"][0]["url"]
        async with ann.session.get(address) as response:
            assert response.status == 200
        await page.press(page.exchanges[seen["id"]], "Delete")
        await page.until("gone")
        async with ann.session.get(address) as response:
            assert response.status == 404


BLOCKED = "Your message has a word in it that is blocked on this server. Please say it differently."


async def test_a_form_that_may_not_be_sent_keeps_what_was_typed_and_can_be_appealed_against(
    bot: Bot, ann: Visitor, ben: Visitor
) -> None:
    await put(bot.settings, "safety.words", "banana", WEB)
    async with ben.page() as his, ann.page() as hers:
        answer = await hers.ask("/ask hello")
        await hers.press(answer, "Edit")
        form = await hers.until("form")
        ref = await hers.send("submit", id=form["id"], fields={"prompt": "a banana"}, files={})
        told = await hers.until("refused")
        assert (told["ref"], told["text"]) == (ref, BLOCKED)
        shown = hers.exchanges.get(answer["id"] + 1) or await hers.final()
        assert (shown["reply"]["text"], shown["reply"]["status"]) == (BLOCKED, "Reason: a blocked word")
        assert shown["private"]
        await hers.press(shown, "Appeal")
        told = await hers.until("exchange", lambda one: "moderators can now see" in one["reply"]["text"])
        assert told["private"]
        await his.say("/help")
        await his.until("exchange", lambda one: one["reply"]["final"] and one["private"])
        assert BLOCKED not in [one["reply"]["text"] for one in his.exchanges.values()]
    assert len(await bot.audit.find("web", "web", AuditFilter(kind="appeal"))) == 1


async def test_a_button_that_may_not_be_pressed_any_more_says_so_where_it_can_be_appealed_against(
    bot: Bot, ann: Visitor
) -> None:
    async with ann.page() as page:
        answer = await page.ask("/ask a banana")
        await put(bot.settings, "safety.words", "banana", WEB)
        await page.press(answer, "Again")
        shown = await page.until("exchange", lambda one: one["id"] != answer["id"])
        assert (shown["reply"]["text"], shown["private"]) == (BLOCKED, True)
        assert [button["label"] for button in shown["reply"]["buttons"]] == ["Appeal"]
        assert "refused" not in [message["type"] for message in page.received]


async def test_shutdown_stops_answers_and_closes_the_sockets(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    async with WebPlatform(bot, HERE).serve() as url, visitor(url) as one:
        socket = await one.session.ws_connect(f"{url}/socket", origin=url)
        await socket.send_json({"type": "say", "text": "/ask hello", "ref": "1"})
        await models.until(running=1)
    await models.until(dropped=1, running=0)
    while (message := await socket.receive(timeout=20)).type is WSMsgType.TEXT:
        pass
    assert (message.type, message.data) in [(WSMsgType.CLOSE, 1001), (WSMsgType.CLOSED, None)]
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("web")]


async def test_the_end_of_the_last_answer_reaches_the_page_before_the_bot_closes_it(
    bot: Bot, models: FakeModels
) -> None:
    models.gate.clear()
    async with AsyncExitStack() as serving:
        url = await serving.enter_async_context(WebPlatform(bot, HERE).serve())
        async with visitor(url) as ann, ann.page("Ann") as page:
            await page.say("/ask hello")
            await page.until("exchange", lambda message: bool(message["reply"]["text"]))
            models.gate.set()
            await bot.drain(20)
            closing = asyncio.create_task(serving.aclose())
            await page.final()
            await closing


async def test_messages_survive_a_restart(bot: Bot, models: FakeModels) -> None:
    async with WebPlatform(bot, HERE).serve() as url, visitor(url) as ann, ann.page("Ann") as page:
        for line in ("/face seed:7", "/help", "/ask temperature:0 first"):
            before = await page.ask(line)
        models.gate.clear()
        await page.say("/ask second")
        await page.until("exchange", lambda message: message["reply"]["text"] == "Paris")
    models.gate.set()
    async with WebPlatform(bot, HERE).serve() as url, visitor(url) as ben, ben.page() as page:
        face, first, second = page.exchanges.values()
        assert [known["question"] for known in (face, first, second)] == [
            "/face seed:7", "/ask temperature:0 first", "/ask second",
        ]  # fmt: skip
        assert (first["reply"]["text"], first["reply"]["card"]) == (before["reply"]["text"], before["reply"]["card"])
        assert first["author"]["name"] == "Ann"
        # Kept to the second, so that rounding may fall on either side.
        assert first["at"] == pytest.approx(before["at"], abs=2)
        assert second["reply"]["final"]
        assert second["reply"]["status"].startswith("Interrupted")
        async with ben.session.get(url + face["reply"]["pictures"][0]["url"]) as response:
            assert response.status == 200
