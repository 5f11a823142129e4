import asyncio
from collections.abc import AsyncIterator

import pytest

from bot import UserError
from plugins.lab.parallel import ParallelPart, close_markdown, run_parallel


class Worker(ParallelPart):
    """Has something new to show a given number of times, and then ends or fails."""

    shows = False

    def __init__(self, times: int, failure: Exception | None = None) -> None:
        super().__init__()
        self.left = times
        self.failure = failure
        self.cancelled = False

    @property
    def has_output(self) -> bool:
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


async def test_changes_are_reported_until_all_have_ended_even_if_one_fails() -> None:
    parts = [Worker(1), Worker(5), Worker(2, UserError("no"))]
    seen = [tuple(part.left for part in parts) async for _ in run_parallel(parts)]
    assert seen[-1] == (0, 0, 0)
    assert len(seen) > 3
    assert [str(part.error) for part in parts] == ["None", "None", "no"]


async def test_the_first_error_is_raised_if_no_part_has_output() -> None:
    with pytest.raises(UserError, match="one"):
        async for _ in run_parallel([Worker(0, UserError("one")), Worker(1, UserError("two"))]):
            pass


async def test_no_error_is_raised_if_a_part_has_output() -> None:
    parts = [Worker(0, UserError("one")), Worker(1, UserError("two"))]
    parts[1].shows = True
    async for _ in run_parallel(parts):
        pass
    assert [str(part.error) for part in parts] == ["one", "two"]


async def test_closing_the_generator_cancels_all_parts() -> None:
    parts = [Worker(10**9), Worker(10**9)]
    changes = run_parallel(parts)
    await anext(changes)
    await changes.aclose()
    assert [part.cancelled for part in parts] == [True, True]


async def test_an_error_in_the_code_is_raised() -> None:
    other = Worker(10)
    with pytest.raises(RuntimeError, match="a mistake"):
        async for _ in run_parallel([other, Worker(0, RuntimeError("a mistake"))]):
            pass
    assert other.has_ended


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
def test_an_open_code_block_is_closed(text: str, closed: str) -> None:
    assert close_markdown(text) == closed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a", "a …"),
        ("```py\nx", "```py\nx …\n```"),
        ("```py", "```py\n…\n```"),
        ("```\nx\n```", "```\nx\n```\n…"),
    ],
)
def test_a_cut_text_ends_with_an_ellipsis_and_a_closed_code_block(text: str, shown: str) -> None:
    assert close_markdown(text, is_cut=True) == shown
