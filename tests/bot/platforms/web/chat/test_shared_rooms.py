"""The web chat in two processes, which show each other's rooms through a real Redis server."""

from pathlib import Path
from typing import Any

import pytest
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import DUEL_MODEL, FakeModels
from fakes.platforms.web_page import Page, Visitor, visitor
from fakes.platforms.web_process import process

from bot.access.rate_limits import MEMORY
from bot.app import Bot
from bot.platforms.web.access.teachers import WebModerators
from bot.platforms.web.chat import shared_rooms, shared_uploads
from plugins import duel


def moved(one: Visitor, there: Visitor) -> Visitor:
    """Return the same visitor, with the same cookies, at the process of another one."""
    return Visitor(one.session, there.url)


async def saying(page: Page, text: str, *, final: bool = False) -> dict[str, Any]:
    """Read up to an exchange whose answer says this."""
    return await page.until("exchange", lambda one: one["reply"]["text"] == text and one["reply"]["final"] >= final)


async def test_an_answer_grows_on_the_pages_of_both_and_is_stopped_from_the_other_one(
    here: Visitor, there: Visitor, models: FakeModels
) -> None:
    models.gate.clear()
    async with here.page("Ann") as hers, there.page("Ben") as his, there.page("Ben") as aside:
        await hers.say("/ask hello")
        seen = await saying(his, "Paris")
        assert (seen["author"]["name"], seen["mine"], seen["question"]) == ("Ann", False, "/ask hello")
        assert "Stop" not in [button["label"] for button in seen["reply"]["buttons"]]
        await saying(aside, "Paris")
    # Ann goes on at the other process, where she is known by her cookie.
    async with moved(here, there).page("Ann") as page, here.page("Ann") as hers:
        (known,) = page.exchanges.values()
        assert (known["mine"], known["reply"]["text"]) == (True, "Paris")
        await page.press(known, "Stop")
        for one in (page, hers):
            stopped = await one.final()
            assert (stopped["reply"]["text"], stopped["reply"]["status"]) == ("Paris", "Stopped.")
    await models.until(dropped=1)
    models.gate.set()


async def test_what_is_shown_twice_is_one_exchange_that_ends_everywhere(here: Visitor, there: Visitor) -> None:
    async with here.page("Ann") as hers, there.page("Ben") as his:
        await hers.say("/ask hello")
        done = await saying(his, "Paris is the capital of France.", final=True)
        await saying(hers, "Paris is the capital of France.", final=True)
        assert len(his.exchanges) == len(hers.exchanges) == 1
        ref = await his.say("/ask in your thread", thread=done["row"])
        assert (await his.until("taken"))["ref"] == ref
        reply = await hers.until("exchange", lambda one: one["thread"] == done["row"] and one["reply"]["final"])
        await hers.press(next(one for one in hers.exchanges.values() if one["row"] == done["row"]), "Delete")
        await his.until("gone", lambda one: one["id"] == done["id"])
        assert reply["author"]["name"] == "Ben"


async def test_pictures_are_seen_while_and_after_they_take_shape(
    here: Visitor, there: Visitor, models: FakeModels
) -> None:
    models.gate.clear()
    async with here.page("Ann") as hers, there.page("Ben") as his:
        await hers.say("/imagine steps:4 a cat")
        preview = await his.until("exchange", lambda one: one["reply"]["pictures"])
        assert not preview["reply"]["final"]
        models.gate.set()
        final = await his.until("exchange", lambda one: one["reply"]["final"])
        for shown in (preview, final):
            async with there.session.get(there.url + shown["reply"]["pictures"][0]["url"]) as response:
                assert response.status == 200
                assert (await response.read()).startswith(b"\x89PNG")


async def test_a_private_answer_is_seen_by_its_asker_alone(here: Visitor, there: Visitor) -> None:
    async with here.page("Ann") as hers, there.page("Ben") as his:
        await hers.ask("/help")
        await hers.say("/ask hello")
        await saying(his, "Paris is the capital of France.", final=True)
        assert [one["question"] for one in his.exchanges.values()] == ["/ask hello"]
    async with moved(here, there).page("Ann") as page:
        assert sorted(one["question"] for one in page.exchanges.values()) == ["/ask hello", "/help"]


async def test_a_round_of_duel_is_played_in_both(
    here: Visitor, there: Visitor, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duel, "TICK_SECONDS", 0.05)
    models.listed[DUEL_MODEL] = "faces"
    async with here.page("Ann") as hers, there.page("Ben") as his:
        await hers.say("/duel seconds:300")
        sheet = await his.until("exchange", lambda one: "Vote" in labels(one))
        await his.press(sheet, "Vote")
        ballot = await his.until("exchange", lambda one: "12" in labels(one))
        await his.press(ballot, "2")
        await his.until("exchange", lambda one: "✗ 2" in labels(one))
        await hers.until("exchange", lambda one: "1 has voted." in one["reply"]["status"])
        async with moved(here, there).page("Ann") as page:
            sheet = next(one for one in page.exchanges.values() if "Vote" in labels(one))
            await page.press(sheet, "Vote")
            await page.press(await page.until("exchange", lambda one: "12" in labels(one)), "Show the truth now")
        for one in (hers, his):
            await one.until("exchange", lambda one: "Forged: 2, 4, 6, 8, 10, 12." in one["reply"]["text"])


def labels(exchange: dict[str, Any]) -> list[str]:
    """Return the words on the buttons of an exchange."""
    return [button["label"] for button in exchange["reply"]["buttons"]]


@pytest.mark.parametrize("tells", [True, False])
async def test_a_line_that_is_sent_to_both_is_answered_once(
    pair: tuple[tuple[Bot, str], tuple[Bot, str]],
    here: Visitor,
    there: Visitor,
    models: FakeModels,
    monkeypatch: pytest.MonkeyPatch,
    tells: bool,
) -> None:
    if not tells:
        # As if the first process died before it could tell anybody.
        monkeypatch.setattr(pair[0][0].events, "publish", lambda *_, **__: None)
    async with here.page("Ann") as hers:
        ref = await hers.say("/ask hello")
        await hers.final()
    async with moved(here, there).page("Ann") as page:
        await page.say("/ask hello", ref=ref, again=True)
        await page.say("/ask what comes last")
        await page.until("exchange", lambda one: one["question"] != "/ask hello" and one["reply"]["final"])
        assert [one["question"] for one in page.exchanges.values()] == ["/ask hello", "/ask what comes last"]
    assert len(models.requests) == 2


async def test_rooms_typing_and_new_messages_are_known_in_both(
    pair: tuple[tuple[Bot, str], tuple[Bot, str]], here: Visitor, there: Visitor
) -> None:
    await here.sign_in(await WebModerators(pair[0][0].database).create_code(), "Kim")
    async with here.page("Kim") as hers, there.page("Ben") as his:
        await hers.send("make_room", name="lab")
        assert "lab" in (await his.until("rooms"))["rooms"]
        await his.send("enter", room="lab")
        await his.until("welcome", lambda one: one["room"] == "lab")
        await hers.send("typing")
        await hers.say("/ask hello")
        assert (await his.until("spoken"))["room"] == "general"
        await his.say("/ask in the lab")
        assert (await hers.until("spoken"))["room"] == "lab"
        await hers.send("enter", room="lab")
        await hers.until("welcome", lambda one: one["room"] == "lab" and one["exchanges"])
        await hers.send("typing")
        assert (await his.until("typing"))["who"]["name"] == "Kim"
        await hers.send("close_room", room="lab")
        assert (await his.until("closed"))["room"] == "lab"
        await his.send("enter", room="general")
        await his.until("welcome", lambda one: one["room"] == "general")
        await his.send("enter", room="lab")
        gone = await his.until("welcome")
        assert gone["notice"] == "Kim has closed the room “lab”. You are in “general” now."


async def test_moderators_see_who_is_at_the_other_process(
    pair: tuple[tuple[Bot, str], tuple[Bot, str]], here: Visitor, there: Visitor
) -> None:
    await here.sign_in(await WebModerators(pair[0][0].database).create_code(), "Kim")

    async def present(url: str) -> list[tuple[str, bool]]:
        async with here.session.get(f"{url}/people/data") as response:
            found = (await response.json())["people"] if response.status == 200 else ()
            return sorted((one["name"], one["here"]) for one in found)

    async def until(wanted: list[tuple[str, bool]], url: str = here.url) -> None:
        async def is_reached() -> bool:
            return await present(url) == wanted

        await eventually(is_reached)

    async with here.page("Kim"):
        async with there.page("Ben"):
            await until([("Ben", True), ("Kim", True)])
        await until([("Ben", False), ("Kim", True)])
        await until([("Ben", False), ("Kim", True)], there.url)
        async with there.page("Kim") as page:
            # The name is taken, though not in this process.
            assert "Kim" in (await page.until("refused"))["text"]


async def test_an_upload_is_used_at_the_other_process_until_it_makes_way_in_redis(
    here: Visitor, there: Visitor, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with here.page("Ann"):
        name = await here.upload(b"The capital of Peru is Lima.")
    async with moved(here, there).page("Ann") as page, there.page("Ben") as his:
        assert "no longer here" in await his.refused("say", text="/ask hello", files={"file": name})
        await page.ask("/ask hello", files={"file": name})
        assert "Lima" in str(models.requests[-1]["messages"])
        monkeypatch.setattr(shared_uploads, "MAX_BYTES", 2500)
        names = [await here.upload(b"x" * 1000) for _ in range(3)]
        assert "no longer here" in await page.refused("say", text="/ask hello", files={"file": names[0]})
        await page.ask("/ask hello", files={"file": names[1]})


async def test_what_a_dead_process_told_last_is_repaired_from_the_database(
    pair: tuple[tuple[Bot, str], tuple[Bot, str]],
    here: Visitor,
    there: Visitor,
    models: FakeModels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models.gate.clear()
    async with here.page("Ann") as hers, there.page("Ben") as his:
        await hers.say("/ask hello")
        await saying(his, "Paris")
        monkeypatch.setattr(pair[0][0].events, "publish", lambda *_, **__: None)
        models.gate.set()
        await hers.final()
        rooms = shared_rooms_of(pair[1][0])
        await rooms.repair()
        await rooms.repair()
        assert (await his.final())["reply"]["text"] == "Paris is the capital of France."


def shared_rooms_of(bot: Bot) -> shared_rooms.SharedRooms:
    """Return the shared rooms of a process, which hear its events."""
    handler: Any = bot.events._handlers[shared_rooms.EXCHANGE]
    found: shared_rooms.SharedRooms = handler.__self__
    return found


async def test_without_redis_nothing_is_shared(models: FakeModels, tmp_path: Path) -> None:
    async with (
        process(models, tmp_path, MEMORY) as (_, url),
        process(models, tmp_path, MEMORY) as (_, other),
        visitor(url) as ann,
        visitor(other) as ben,
        ann.page("Ann") as hers,
        ben.page("Ben") as his,
    ):
        await hers.ask("/ask hello")
        await his.ask("/ask me")
        assert [one["question"] for one in his.exchanges.values()] == ["/ask me"]
