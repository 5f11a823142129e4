"""Streamed answers and prompts of the language benchmark."""

from typing import Any

import pytest
from fakes.model_server.scribe import Scribe, fail, refuse, side_of

from model_server.errors import OperatorError
from research.bench.streams import ask, ask_together, make_prompt


async def test_an_answer_is_timed_and_counted() -> None:
    async with side_of(Scribe().chat) as side:
        answer = await ask(side.session, "m", "text", 5, logprobs=True)
    assert answer.asked < answer.first < answer.last
    assert (answer.read, answer.cached, answer.written, len(answer.tokens)) == (50, 0, 5, 5)
    assert answer.rate == pytest.approx(4 / (answer.last - answer.first))
    assert answer.wait == answer.first - answer.asked


async def test_requests_together_run_at_the_same_time() -> None:
    async with side_of(Scribe().chat) as side:
        answers = await ask_together(side.session, "m", [(text, {}) for text in "abc"], 50)
    assert max(answer.asked for answer in answers) < min(answer.last for answer in answers)


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [
        (refuse, "The model server refused: There is no such model."),
        (fail, "The model server failed: It broke."),
    ],
)
async def test_errors_of_the_server_are_raised_with_their_sentence(handler: Any, sentence: str) -> None:
    async with side_of(handler) as side:
        with pytest.raises(OperatorError) as error:
            await ask(side.session, "m", "text", 5)
    assert str(error.value) == sentence


def test_prompts_of_different_seeds_differ_from_the_start() -> None:
    assert make_prompt(400, "a") == make_prompt(400, "a")
    assert len({make_prompt(400, seed).split()[0] for seed in "abcdefgh"}) > 1
    assert len(make_prompt(400, "a").split()) > len(make_prompt(50, "a").split())
