"""What a long conversation costs, with a fake server."""

from itertools import pairwise

from fakes.model_server.scribe import Scribe, side_of

from research.bench.language.thread import EARLY, LATE, measure_thread


async def test_each_prompt_goes_on_from_the_one_before() -> None:
    scribe = Scribe()
    async with side_of(scribe.chat) as side:
        assert await measure_thread(side, "m", pause=0) > 0
    asked = [body["messages"] for body in scribe.asked]
    assert [len(messages) // 2 for messages in asked] == [*EARLY, *LATE]
    assert all(body["truncation"] == "auto" for body in scribe.asked)
    for before, after in pairwise(asked):
        assert after[: len(before) - 1] == before[:-1]
