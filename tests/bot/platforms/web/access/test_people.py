"""The visitors who are here: no two are called alike, over real sockets; and what is remembered of those who left."""

import pytest
from fakes.core.clock import ManualClock
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import Visitor, visitor

from bot.app import Bot
from bot.config.sections import WebSection
from bot.core.messages import User
from bot.platforms.web import WebPlatform
from bot.platforms.web.access import people as module
from bot.platforms.web.access.people import LATELY_SECONDS, People


class Page:
    """A page that counts how often it was told of a name."""

    told = 0

    def name_changed(self) -> None:
        self.told += 1


def guest(letter: str) -> User:
    return User(letter * 16, f"Guest {letter * 4}")


async def test_a_name_that_somebody_has_is_refused_with_one_that_is_free(ann: Visitor, ben: Visitor) -> None:
    async with ann.page("Ada") as hers, ben.page("Аda") as his:
        assert (hers.received[0]["you"]["name"], hers.received[0]["you"]["named"]) == ("Ada", True)
        assert his.received[0]["you"]["name"] == "Аda 2"
        assert (await his.until("refused"))["text"] == (
            "Somebody here is called “Ada”, and names that look alike mix people up. “Аda 2” is free. You are called "
            "“Аda 2” now; press your name to choose another one."
        )
        for wished, why in (
            ("A D A", "“A D A 2” is free."),
            ("Teacher", "could be taken for the bot"),
            ("☃", "not “☃”"),
        ):
            ref = await his.send("name", name=wished, ref=f"n {wished}")
            assert why in (await his.until("refused", lambda one, ref=ref: one["ref"] == ref))["text"]
        ref = await his.send("name", name="Ben", ref="n2")
        assert (await his.until("taken"))["ref"] == ref
        await hers.send("name", name="ADA")
        assert (await hers.until("you"))["you"]["name"] == "ADA"
    async with ben.page("ada") as his, ann.page("Ada") as hers:
        assert his.received[0]["you"]["name"] == "Ben"
        assert hers.received[0]["you"]["name"] == "Ada"


async def test_what_no_visitor_can_be_called_becomes_the_name_of_a_guest(ann: Visitor, ben: Visitor) -> None:
    async with ann.page("Moderator") as hers, ben.page("Ben ✓") as his:
        assert hers.received[0]["you"]["name"].startswith("Guest ")
        assert not hers.received[0]["you"]["named"]
        assert his.received[0]["you"]["name"] == "Ben"


async def test_all_pages_of_a_visitor_have_one_name(ann: Visitor) -> None:
    async with ann.page("Ann") as one, ann.page() as other:
        assert other.received[0]["you"]["name"] == "Ann"
        await one.send("name", name="Anna")
        assert (await other.until("you"))["you"]["name"] == "Anna"


async def test_moderators_have_a_badge_at_all_that_they_asked_as_long_as_they_are_moderators(
    bot: Bot, ann: Visitor, ben: Visitor
) -> None:
    async with ann.page("Ann") as hers, ben.page("Ben") as his:
        await hers.say("/ask aubergine")
        assert not (await his.final())["author"]["moderator"]
        await become_teacher(bot, ann)
        await his.until("exchange", lambda one: one["author"]["moderator"])
        await hers.send("name", name="Teacher")
        await hers.until("you", lambda one: one["you"]["name"] == "Teacher")
        await hers.send("sign_out")
        await his.until("exchange", lambda one: not one["author"]["moderator"])
        assert (await hers.until("welcome", lambda one: not one["you"]["moderator"]))["you"]["name"].startswith("Guest")


async def test_names_in_messages_of_lately_are_kept_for_their_authors_after_a_restart(bot: Bot) -> None:
    async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as ann, ann.page("Ada") as page:
        await page.ask("/ask aubergine")
        cookies = ann.session.cookie_jar
    async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as ben, visitor(url) as again:
        async with ben.page("Ada") as his:
            assert his.received[0]["you"]["name"] == "Ada 2"
        again.session.cookie_jar.update_cookies({one.key: one.value for one in cookies})
        async with again.page("Ada") as hers:
            assert hers.received[0]["you"]["name"] == "Ada"


async def test_a_name_is_free_again_when_its_owner_was_away_for_long() -> None:
    clock = ManualClock()
    people, page, ada, bea = People(clock), Page(), guest("a"), guest("b")
    people.arrive(page, ada, "Ada", "here", "Firefox")
    people.leave(page, ada.id)
    clock.now += LATELY_SECONDS - 1
    assert people.name_of(bea, "Ada") == "Ada 2"
    clock.now += 2
    assert people.name_of(bea, "Ada") == "Ada"
    await people.drop_old()
    assert people.find(ada.id) is None


def test_somebody_who_comes_back_soon_was_here_all_the_time() -> None:
    clock = ManualClock()
    people, page, ada = People(clock), Page(), guest("a")
    for away, since in ((0, clock.now), (60, clock.now), (4000, clock.now + 4060)):
        clock.now += away
        people.arrive(page, ada, "Ada", "here", "Firefox")
        known = people.find(ada.id)
        assert known is not None
        assert (known.since, known.is_here, page.told) == (since, True, 0)
        people.leave(page, ada.id)


def test_only_so_many_are_remembered_and_whoever_left_first_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PEOPLE", 2)
    people, page = People(ManualClock()), Page()
    for letter in "abc":
        people.arrive(page, guest(letter), letter * 3, "here", "")
        if letter != "a":
            people.leave(page, guest(letter).id)
    assert [people.find(guest(letter).id) is not None for letter in "abc"] == [True, False, True]
