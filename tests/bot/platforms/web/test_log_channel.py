"""The log channel in the web chat: a room in which only moderators see its lines."""

import pytest
from fakes.core.settings import WEB, put
from fakes.platforms.web_page import Page, Visitor

from bot.app import Bot
from bot.core.errors import OptionError
from bot.core.messages import Place, User
from bot.moderation import log_channel
from bot.storage.audit import AuditEntry

HELLO = "From now on I tell here what moderators change and do, what is refused, and who appeals against it."


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_channel, "ROUND_SECONDS", 0.02)


async def choose(bot: Bot, room: str) -> None:
    await put(bot.settings, "audit.channel", room, WEB, User("m", "Mod", is_moderator=True))


def told(page: Page) -> list[str]:
    shown = [exchange for exchange in page.exchanges.values() if exchange["for_moderators"]]
    assert all(exchange["private"] and not exchange["question"] for exchange in shown)
    lines = [line for exchange in shown for line in exchange["reply"]["text"].split("\n\n")]
    # The teacher's own sign-in is told, too, if it was recorded in the round in which the channel was chosen.
    return [line for line in lines if "`sign in`" not in line]


async def test_moderators_see_the_lines_in_the_room_and_others_do_not(bot: Bot, teacher: Visitor, ben: Visitor) -> None:
    async with teacher.page() as page, ben.page() as other:
        await choose(bot, "general")
        while len(told(page)) < 2:
            await page.read()
        await bot.audit.record(
            AuditEntry(
                actor=User("b", "Ben"), place=Place("web", "general", "web"), kind="refusal", what="ask", reason="hate"
            )
        )
        while len(told(page)) < 3:
            await page.read()
        assert told(page) == [
            HELLO,
            "⚙️ **Mod** set `audit.channel`: – → `general`",
            "⛔ **Ben** was refused `ask` (channel `general`) (hate)",
        ]
        await other.ask("/help")
        assert not [message for message in other.received if "Ben was refused" in str(message) or HELLO in str(message)]
    async with teacher.page() as again, ben.page() as other:
        assert len(told(again)) == 3
        assert told(other) == []


async def test_an_open_page_gets_no_more_lines_after_losing_its_rights(bot: Bot, teacher: Visitor) -> None:
    async with teacher.page() as page, teacher.page() as other:
        await choose(bot, "general")
        while not told(page):
            await page.read()
        await other.send("sign_out")
        await other.until("welcome")
        # A line that is there before this welcome would be left out of it, without a further message.
        await page.until("welcome")
        place = Place("web", "general", "web")
        await bot.audit.record(
            AuditEntry(actor=User("b", "Ben"), place=place, kind="refusal", what="ask", reason="hate")
        )
        while (message := await page.read())["type"] != "gone":
            assert "Ben" not in str(message)


async def test_a_missing_room_is_refused_as_log_channel(bot: Bot, teacher: Visitor) -> None:
    with pytest.raises(OptionError, match=r"audit.channel: I cannot write to attic: there is no such room\."):
        await choose(bot, "attic")


async def test_a_room_may_be_typed_with_a_hash(bot: Bot, teacher: Visitor) -> None:
    async with teacher.page() as page:
        await choose(bot, "#general")
        while not told(page):
            await page.read()
    assert bot.settings.value("audit.channel", WEB.place) == "general"
