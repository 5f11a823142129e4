"""Buttons that turn a page: the new page takes the place of the answer that they are under."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from fakes.core.requests import ANN, BEN, MODERATOR, ROOM, ask, last, press, replies, speaking
from fakes.model_server.gateway import eventually
from sqlalchemy import func, select

from bot import Attachment, Button, Context, Plugin, Reply, UserError, command
from bot.answers.decision import Change, FollowUp
from bot.app import Bot
from bot.core.messages import Action, Request, User
from bot.settings.setting import Scope
from bot.storage.database import AttachmentRow, MessageRow

LAST = 3
Made = Callable[..., Bot]


class Book(Plugin):
    """A plugin with pages to turn; while `gate` is shut, a page is begun and not finished."""

    name = "book"

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun: list[tuple[str, int]] = []
        self.ended: list[int] = []

    @command()
    async def book(self, ctx: Context, title: str = "") -> AsyncIterator[Reply]:
        """Open it."""
        yield page(1, ctx)

    @command("book-page", hidden=True)
    async def page(self, ctx: Context, number: int) -> AsyncIterator[Reply]:
        """Show a page."""
        self.begun.append((ctx.user.id, number))
        try:
            yield Reply(text="Turning …")
            await self.gate.wait()
            if number > LAST:
                raise UserError("Stopped.")
            yield page(number, ctx)
        finally:
            self.ended.append(number)

    @command("book-aside", hidden=True, private=True)
    async def aside(self, ctx: Context) -> AsyncIterator[Reply]:
        """Tell a secret."""
        yield Reply(text="a secret", final=True)


def page(number: int, ctx: Context) -> Reply:
    back = [Button("◀", "book-page", {"number": number - 1}, turns=True)] if number > 1 else []
    leads = (Button("▶", "book-page", {"number": number + 1}, turns=True), Button("?", "book-aside", turns=True))
    picture = Attachment(f"{number}.png", str(number).encode(), "image/png", alt=f"page {number}")
    text = ctx.translate("Stopped.") if number == 2 else f"page {number}"
    copy = Button("Copy", "book-page", {"number": number})
    return Reply(
        text=text, attachments=(picture,), buttons=(*back, *leads, copy), card={"page": str(number)}, final=True
    )


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def bot(make_bot: Made, book: Book) -> AsyncIterator[Bot]:
    async with make_bot(book) as made:
        yield made


def turning(reply: Reply, label: str, user: User = ANN) -> Request:
    """Return a press of this button on a platform whose messages can be edited."""
    button = next(button for button in reply.buttons if button.label == label)
    _, name, row = button.id.split(":")
    return replace(press(name, int(row), user), can_turn_pages=True)


async def rows(bot: Bot) -> int:
    async with bot.database.reading() as session:
        return await session.scalar(select(func.count(MessageRow.id))) or 0


async def shown(bot: Bot, first: Reply) -> Reply:
    """Return the stored answer as it is shown now."""
    row = await bot.messages.get(first.row)
    assert row is not None
    return await bot.stored.snapshot(row, "en")


async def begun(book: Book, count: int) -> None:
    await eventually(lambda: len(book.begun) >= count)


async def test_the_new_page_takes_the_place_of_the_answer(bot: Bot) -> None:
    first = await last(bot, ask("/book"))
    await last(bot, press("up", first.row, BEN))
    decision = bot.prepare(turning(first, "▶", BEN))
    assert isinstance(decision, Change)
    begin, second = [reply async for reply in decision.start()]
    assert (begin.row, begin.final, begin.text, begin.buttons) == (first.row, False, "", ())
    assert (second.row, second.final, second.card) == (first.row, True, {"page": "2"})
    assert [(file.filename, file.alt) for file in second.attachments] == [("2.png", "page 2")]
    assert [button.label for button in second.buttons] == ["◀", "▶", "?", "Copy", "Delete", "👍 1", "👎"]
    assert await shown(bot, first) == second
    row = await bot.messages.get(first.row)
    assert row is not None
    assert (row.command, row.options, row.author, row.state) == ("book-page", {"number": 2}, "ann", "done")
    # A question and an answer, with one file: nothing is left of the earlier page, or of the person who turned it.
    async with bot.database.reading() as session:
        files = await session.scalar(select(func.count(AttachmentRow.id)))
    assert (await rows(bot), files) == (2, 1)
    third = await last(bot, turning(second, "▶"))
    assert (third.text, third.row) == ("page 3", first.row)
    assert (await last(bot, turning(third, "◀"))).card == {"page": "2"}


async def test_a_page_is_a_new_answer_where_messages_cannot_be_edited(bot: Bot) -> None:
    first = await last(bot, ask("/book"))
    request = replace(turning(first, "▶"), can_turn_pages=False)
    assert not isinstance(bot.prepare(request), Change)
    second = await last(bot, request)
    assert (second.card, second.row != first.row) == ({"page": "2"}, True)
    assert (await shown(bot, first)).card == {"page": "1"}


async def test_other_buttons_of_a_page_that_was_turned_lead_to_new_answers(bot: Bot) -> None:
    first = await last(bot, ask("/book"))
    second = await last(bot, turning(first, "▶"))
    copy = await last(bot, turning(second, "Copy"))
    assert (copy.card, copy.row != first.row) == ({"page": "2"}, True)
    # Those of the page before are not those of this one, whatever their places.
    assert not {button.id for button in first.buttons[:3]} & {button.id for button in second.buttons}
    assert (await last(bot, turning(first, "Copy"))).text == "This button has expired."


async def test_of_two_presses_the_last_one_counts(bot: Bot, book: Book) -> None:
    second = await last(bot, turning(await last(bot, ask("/book")), "▶"))
    book.gate.clear()
    one = asyncio.create_task(replies(bot, turning(second, "▶")))
    await begun(book, 2)
    other = asyncio.create_task(replies(bot, turning(second, "◀", BEN)))
    # What nobody wants any more is ended at once.
    await eventually(lambda: book.ended == [2, 3])
    assert [reply.final for reply in await one] == [False]
    book.gate.set()
    assert (await other)[-1].text == "page 1"
    assert (await shown(bot, second)).text == "page 1"
    assert await rows(bot) == 2


async def test_of_two_presses_in_two_processes_the_first_page_stays(make_bot: Made) -> None:
    slow, quick = Book(), Book()
    async with make_bot(slow) as one, make_bot(quick) as other:
        second = await last(one, turning(await last(one, ask("/book")), "▶"))
        slow.gate.clear()
        late = asyncio.create_task(replies(one, turning(second, "◀")))
        await begun(slow, 2)
        third = await last(other, turning(second, "▶", BEN))
        slow.gate.set()
        # Both messages, if a platform had two, would look the same.
        assert (await late)[-1] == third
        assert (third.text, await shown(one, second)) == ("page 3", third)


async def test_an_error_is_shown_only_to_the_user_who_presses(bot: Bot, book: Book) -> None:
    first = await last(bot, ask("/book", resume={"locale": "es"}))
    third = await last(bot, turning(await last(bot, turning(first, "▶")), "▶"))
    told = await last(bot, turning(third, "▶", speaking("de", BEN)))
    assert (told.text.endswith("\n\nGestoppt."), told.error, told.private, told.row) == (True, True, True, 0)
    assert (await shown(bot, third)).text == "page 3"
    assert (await last(bot, turning(third, "◀"))).card == {"page": "2"}


async def test_a_private_page_does_not_replace_the_answer(bot: Bot) -> None:
    first = await last(bot, ask("/book"))
    told = await last(bot, turning(first, "?", BEN))
    assert (told.text, told.private, told.row) == ("a secret", True, 0)
    assert await shown(bot, first) == first


async def test_once_answers_are_private_a_page_is_a_new_answer(make_bot: Made) -> None:
    async with make_bot(Book()) as bot:
        first = await last(bot, ask("/book"))
    async with make_bot(Book(), settings={"answers.private": True}) as bot:
        decision = bot.prepare(turning(first, "▶", BEN))
        assert isinstance(decision, FollowUp)
        assert decision.private
        second = [reply async for reply in decision.start()][-1]
        assert (second.card, second.private, second.row != first.row) == ({"page": "2"}, True, True)
        assert (await shown(bot, first)).card == {"page": "1"}
        # What is for its asker alone already turns as it is.
        third = await last(bot, replace(turning(second, "▶", BEN), action=Action(second.buttons[1].id, private=True)))
        assert (third.text, third.row, third.private) == ("page 3", second.row, True)


@pytest.mark.parametrize("how", ["delete", "removed"])
async def test_an_answer_that_is_deleted_meanwhile_does_not_come_back(bot: Bot, book: Book, how: str) -> None:
    first = await last(bot, ask("/book"))
    await bot.messages.set_external_ids(first.row, ["m1"])
    book.gate.clear()
    pressed = asyncio.create_task(replies(bot, turning(first, "▶", BEN)))
    await begun(book, 1)
    if how == "delete":
        assert (await last(bot, press("delete", first.row))).deleted
    else:
        await bot.stored.delete_shown("test", ["m1"])
    await eventually(lambda: book.ended == [2])
    assert [reply.final for reply in await pressed] == [False]
    assert await bot.messages.get(first.row) is None
    assert (await last(bot, turning(first, "▶"))).text == "This has expired: it is no longer stored."


async def test_closing_the_replies_leaves_the_page_as_it_was(bot: Bot, book: Book) -> None:
    first = await last(bot, ask("/book"))
    book.gate.clear()
    stream = bot.prepare(turning(first, "▶")).start()
    await anext(stream)
    waiting = asyncio.create_task(anext(stream))
    await begun(book, 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await stream.aclose()
    assert book.ended == [2]
    assert await shown(bot, first) == first


async def test_the_message_keeps_the_language_of_its_asker(bot: Bot) -> None:
    first = await last(bot, ask("/book", speaking("de"), resume={"locale": "de"}))
    second = await last(bot, turning(first, "▶", speaking("es", BEN)))
    assert (second.text, [button.label for button in second.buttons][4]) == ("Gestoppt.", "Löschen")


async def test_a_page_that_is_made_counts_as_a_use_and_one_that_is_stored_does_not(bot: Bot, book: Book) -> None:
    first = await last(bot, ask("/book"))
    await bot.settings.write([bot.settings.make_change("limits.user.hour", 2, Scope("test", "school"))], MODERATOR)
    second = await last(bot, turning(first, "▶"))
    # The message shows the second page already, so this makes none.
    for _ in range(3):
        assert await replies(bot, turning(first, "▶")) == [second]
    refused = await last(bot, turning(second, "▶"))
    assert refused.private
    assert refused.text.startswith("The limit here is 2 per hour for each person, and yours is used up.")
    assert [number for _, number in book.begun] == [2]
    assert (await last(bot, turning(second, "▶", BEN))).text == "page 3"


async def test_a_page_that_fails_or_is_being_made_already_costs_nothing(bot: Bot, book: Book) -> None:
    third = await last(bot, turning(await last(bot, turning(await last(bot, ask("/book")), "▶")), "▶"))
    await bot.settings.write([bot.settings.make_change("limits.user.hour", 1, Scope("test", "school"))], MODERATOR)
    for _ in range(3):
        assert (await last(bot, turning(third, "▶", BEN))).text.endswith("Stopped.")
    book.gate.clear()
    count = len(book.begun)
    slow = asyncio.create_task(last(bot, turning(third, "◀", BEN)))
    await begun(book, count + 1)
    again = await replies(bot, replace(turning(third, "◀", User("cy", "Cy")), place=ROOM))
    assert [reply.final for reply in again] == [False]
    book.gate.set()
    assert (await slow).text == "Stopped."
    assert len(book.begun) == count + 1
    assert (await last(bot, ask("/book", User("cy", "Cy")))).text == "page 1"
