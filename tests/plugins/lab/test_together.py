import asyncio
from collections.abc import AsyncIterator

import pytest

from bot import UserError
from plugins.lab.together import ParallelPart, together, whole


class Worker(ParallelPart):
    """Has news as often as it is told to, and ends or fails then."""

    shows = False

    def __init__(self, times: int, failure: Exception | None = None) -> None:
        super().__init__()
        self.left = times
        self.failure = failure
        self.cancelled = False

    @property
    def has_something(self) -> bool:
        return self.shows

    async def work(self) -> AsyncIterator[None]:
        try:
            while self.left:
                self.left -= 1
                yield
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.failure is not None:
            raise self.failure


async def test_there_is_news_until_all_have_ended_even_if_one_fails() -> None:
    parts = [Worker(1), Worker(5), Worker(2, UserError("no"))]
    seen = [tuple(part.left for part in parts) async for _ in together(parts)]
    assert seen[-1] == (0, 0, 0)
    assert len(seen) > 3
    assert [str(part.error) for part in parts] == ["None", "None", "no"]


async def test_if_none_comes_to_anything_the_first_error_is_raised() -> None:
    with pytest.raises(UserError, match="one"):
        async for _ in together([Worker(0, UserError("one")), Worker(1, UserError("two"))]):
            pass


async def test_what_can_be_shown_is_not_lost_to_an_error() -> None:
    parts = [Worker(0, UserError("one")), Worker(1, UserError("two"))]
    parts[1].shows = True
    async for _ in together(parts):
        pass
    assert [str(part.error) for part in parts] == ["one", "two"]


async def test_whoever_stops_listening_stops_all() -> None:
    parts = [Worker(10**9), Worker(10**9)]
    news = together(parts)
    await anext(news)
    await news.aclose()
    assert [part.cancelled for part in parts] == [True, True]


async def test_a_mistake_in_one_is_no_sentence_for_users() -> None:
    other = Worker(10)
    with pytest.raises(RuntimeError, match="a mistake"):
        async for _ in together([other, Worker(0, RuntimeError("a mistake"))]):
            pass
    assert other.ended


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("a", "a"),
        ("```py\nx", "```py\nx\n```"),
        ("```\nx\n```", "```\nx\n```"),
        ("- one\n  ```\n  x", "- one\n  ```\n  x\n```"),
        ("~~~\nx", "~~~\nx\n~~~"),
        ("````\n```\nx", "````\n```\nx\n````"),
    ],
)
def test_a_code_block_does_not_swallow_what_follows(text: str, closed: str) -> None:
    assert whole(text) == closed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a", "a …"),
        ("```py\nx", "```py\nx …\n```"),
        ("```py", "```py\n…\n```"),
        ("```\nx\n```", "```\nx\n```\n…"),
    ],
)
def test_where_a_text_was_cut_its_code_block_is_closed_all_the_same(text: str, shown: str) -> None:
    assert whole(text, is_cut=True) == shown
