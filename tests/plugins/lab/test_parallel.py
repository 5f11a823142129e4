import asyncio
from collections.abc import AsyncIterator

import pytest

from plugins.lab.parallel import ParallelPart, close_markdown, run_parallel


class Worker(ParallelPart):
    """Has something new to show a given number of times, and then ends or fails."""

    has_output = False

    def __init__(self, times: int, failure: Exception | None = None) -> None:
        super().__init__()
        self.times, self.failure = times, failure

    async def work(self) -> AsyncIterator[None]:
        for _ in range(self.times):
            yield
            await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure


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
