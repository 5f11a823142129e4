"""The list of who is here and what moderators do to people in it, over real sockets."""

from typing import Any

import pytest
from fakes.platforms.web_page import Page, Visitor, visitor

from bot.app import Bot
from bot.core.messages import Place, User
from bot.storage.audit import MODERATION, AuditFilter

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36"
SPAN = 300


def id_of(page: Page) -> str:
    return str(page.received[0]["you"]["id"])


async def listed(person: Visitor) -> tuple[int, Any]:
    async with person.session.get(f"{person.url}/people/data?name=Kim&locale=en") as response:
        return response.status, await response.json()


async def test_the_list_tells_three_people_apart_who_wanted_one_name(teacher: Visitor, url: str) -> None:
    async with visitor(url) as one, visitor(url) as two, visitor(url) as three:
        for person in (one, two, three):
            person.session.headers["User-Agent"] = PHONE if person is three else FIREFOX
        async with one.page("kid3") as first, two.page("kid3"), three.page("kid3", room="general"), teacher.page("Kim"):
            await first.ask("/ask aubergine")
            status, answer = await listed(teacher)
        assert status == 200
        rows = answer["people"]
        assert [(row["name"], row["moderator"], row["own"]) for row in rows] == [
            *(("kid3", False, False), ("kid3 2", False, False), ("kid3 3", False, False)),
            ("Kim", True, True),
        ]
        assert len({(row["mark"]["letters"], row["mark"]["hue"]) for row in rows}) == 4
        assert [row["device"] for row in rows[:3]] == [
            *["Firefox on a Windows computer"] * 2,
            "Chrome on an Android device",
        ]
        assert [row["asked"] for row in rows[:2]] == ["/ask aubergine", ""]
        assert {(row["room"], row["here"], row["at_address"], row["met"]) for row in rows} == {("general", True, 4, 3)}
        assert "127.0.0.1" not in str(answer)


async def test_somebody_is_timed_out_and_may_ask_again(bot: Bot, teacher: Visitor, ben: Visitor) -> None:
    async with ben.page("Ben") as his:
        status, answer = await teacher.act(do="time_out", id=id_of(his), seconds=SPAN)
        assert status == 200
        assert answer["people"][0]["timed_out"] > answer["people"][0]["since"]
        assert "timed you out" in (await his.ask("/ask aubergine"))["reply"]["text"]
        assert (await teacher.act(do="lift", id=id_of(his)))[1]["people"][0]["timed_out"] is None
        assert not (await his.ask("/ask aubergine"))["reply"]["error"]
        assert (await teacher.act(do="lift", id=id_of(his)))[1] == {"error": "This time-out has ended already."}
    entries = await bot.audit.find("web", "web", AuditFilter(kind=MODERATION))
    assert [entry.what for entry in entries][:2] == ["lift", "timeout"]


async def test_a_renamed_person_is_told_why_and_has_the_name_at_all_that_they_asked(
    bot: Bot, teacher: Visitor, ben: Visitor
) -> None:
    async with ben.page("Stinker") as his, teacher.page("Kim") as hers:
        asked = await his.ask("/ask aubergine")
        assert (await teacher.act(do="rename", id=id_of(his), name="Teacher"))[0] == 422
        assert "“Kim 2” is free" in (await teacher.act(do="rename", id=id_of(his), name="Kim"))[1]["error"]
        status, answer = await teacher.act(do="rename", id=id_of(his), name="Ben")
        assert (status, answer["people"][0]["name"], answer["people"][0]["given"]) == (200, "Ben", True)
        assert (await his.until("you"))["you"]["name"] == "Ben"
        told = await his.until("exchange", lambda one: one["private"])
        assert told["reply"]["text"].startswith("**Kim** has given you the name “Ben”. Names matter here:")
        await hers.until("exchange", lambda one: one["id"] == asked["id"] and one["author"]["name"] == "Ben")
        ref = await his.send("name", name="Stinker", ref="n")
        assert (await his.until("refused"))["ref"] == ref
    async with ben.page("Stinker") as his:
        assert his.received[0]["you"]["name"] == "Ben"
    rows = await bot.messages.recent(Place("web", "general", "web"), 10)
    assert {row.author_name for row in rows} == {"Ben"}
    (entry,) = await bot.audit.find("web", "web", AuditFilter(kind=MODERATION, what="rename"))
    assert (entry.actor_name, entry.subject_name, entry.after) == ("Kim", "Stinker", {"name": "Ben"})


async def test_a_whole_address_is_timed_out_only_with_the_number_that_was_shown(
    bot: Bot, teacher: Visitor, ben: Visitor, url: str
) -> None:
    async with visitor(url) as eve, ben.page("Ben") as his, eve.page("Eve") as hers, teacher.page("Kim"):
        row = (await listed(teacher))[1]["people"][0]
        assert row["met"] == 2
        about = {"do": "time_out_address", "id": row["id"], "seconds": SPAN}
        assert await teacher.act(**about, count=3) == (
            422,
            {"error": "There are 2 people at this address by now. Look at the list again."},
        )
        place = Place("web", "general", "web")
        assert not bot.timeouts.find_active(User(id_of(his), ""), place)
        people = (await teacher.act(**about, count=2))[1]["people"]
        assert [bool(row["timed_out"]) for row in people] == [True, True, False]
        assert all(bot.timeouts.find_active(User(id_of(page), ""), place) for page in (his, hers))


@pytest.mark.parametrize("do", ["time_out", "time_out_address", "lift", "rename"])
async def test_nobody_but_moderators_sees_the_list_or_does_anything(do: str, teacher: Visitor, ben: Visitor) -> None:
    async with teacher.page("Kim") as hers, ben.page("Ben") as his:
        refused = (403, {"error": "Only moderators can do that."})
        assert await listed(ben) == refused
        for page in (hers, his):
            assert await ben.act(do=do, id=id_of(page), seconds=SPAN, count=1, name="Zoe") == refused
        assert {row["name"] for row in (await listed(teacher))[1]["people"]} == {"Kim", "Ben"}
        # Not to themselves, nor to other moderators.
        assert (await teacher.act(do=do, id=id_of(hers), seconds=SPAN, name="Zoe"))[0] == 422


@pytest.mark.parametrize(
    "wrong",
    [{}, {"do": "end_all"}, {"seconds": 59}, {"seconds": 86401}, {"id": "x" * 65}, {"name": "x" * 201}],
)
async def test_what_is_no_request_of_the_page_does_nothing(
    wrong: dict[str, Any], teacher: Visitor, ben: Visitor
) -> None:
    async with ben.page("Ben") as his:
        request = {"do": "time_out", "id": id_of(his), "seconds": SPAN, **wrong} if wrong else {}
        sentence = "The page sent something that the bot does not understand; reload the page."
        assert await teacher.act(**request) == (422, {"error": sentence})
        assert not any(row["timed_out"] for row in (await listed(teacher))[1]["people"])


async def test_somebody_who_is_gone_cannot_be_timed_out(teacher: Visitor) -> None:
    assert await teacher.act(do="time_out", id="0", seconds=SPAN) == (422, {"error": "This person is no longer here."})
