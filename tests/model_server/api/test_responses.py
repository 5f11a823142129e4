"""Details of text responses that the official client does not check."""

import json
import math
from typing import Any

import pytest

from model_server.api.responses import ChatAnswer, CompletionAnswer, TextAnswer
from model_server.errors import ApiError
from model_server.jobs import (
    Completion,
    Event,
    Failed,
    Finished,
    Job,
    Progress,
    Sampling,
    Started,
    Text,
    TokenLogprob,
)
from model_server.scheduling.cost import JobCost
from model_server.scheduling.ticket import Queued, Ticket

TASK = Completion(prompt="x", sampling=Sampling(seed=4, logprobs=2))
HALF = TokenLogprob("\ufffd", b"\xe2\x82", -math.inf)
WORD = TokenLogprob("wörd", "wörd".encode(), -0.5, (HALF,))


def ticket() -> Ticket:
    return Ticket(Job(id="job_1", model="m", task=TASK), JobCost(TASK, 9), lambda _: None)


def streamed(answer: TextAnswer, *events: Event) -> list[dict[str, Any] | None]:
    chunks = []
    for event in events:
        answer.add(event)
        chunks.append(answer.build_chunk(event, progress=False))
    return chunks


def test_legacy_columns_of_a_chunk() -> None:
    nothing, chunk = streamed(CompletionAnswer(ticket(), TASK), Started("job_1"), Text("job_1", "wörd", (WORD,)))
    assert nothing is None
    assert chunk is not None
    assert chunk["choices"][0]["logprobs"] == {
        "tokens": ["wörd"],
        "token_logprobs": [-0.5],
        "top_logprobs": [{"bytes:\\xe2\\x82": -9999.0, "wörd": -0.5}],
        "text_offset": [0],
    }


SPLIT = [TokenLogprob("\ufffd", b"\xf0\x9f", -1.0), TokenLogprob("\ufffd", b"\x98\x80", -1.0)]
ENDING = [TokenLogprob(" ok", b" ok", -1.0), TokenLogprob("<end>", b"<end>", -1.0, special=True)]


def offsets(choice: dict[str, Any], body: dict[str, Any]) -> list[int]:
    assert choice["logprobs"]["text_offset"] == body["tempera"]["logprobs_after"]["text_offset"]
    return list(choice["logprobs"]["text_offset"])


def told(*tokens: TokenLogprob) -> Text:
    text = "".join(token.text for token in tokens if not token.special)
    return Text("job_1", text, tokens, tokens, (0.0,) * len(tokens))


def test_offsets_count_the_characters_of_the_text() -> None:
    answer, events = CompletionAnswer(ticket(), TASK), [told(*SPLIT), told(*ENDING), told(WORD)]
    for event in events:
        answer.add(event)
    whole = answer.build_response()
    assert offsets(whole["choices"][0], whole) == [0, 0, 1, 4, 4]


def test_offsets_of_a_stream_go_on_from_chunk_to_chunk() -> None:
    events = [told(SPLIT[0]), told(SPLIT[1]), told(*ENDING), told(WORD)]
    chunks = [chunk for chunk in streamed(CompletionAnswer(ticket(), TASK), *events) if chunk]
    assert [offsets(chunk["choices"][0], chunk) for chunk in chunks] == [[0], [0], [1, 4], [4]]


def test_minus_infinity_is_written_as_a_finite_number() -> None:
    answer = ChatAnswer(ticket(), TASK)
    for event in (Started("job_1"), Text("job_1", "\ufffd", (HALF,)), Finished("job_1", "length", 3, 1)):
        answer.add(event)
    whole = answer.build_response()
    json.dumps(whole, allow_nan=False)
    [token] = whole["choices"][0]["logprobs"]["content"]
    assert token == {"token": "\ufffd", "bytes": [0xE2, 0x82], "logprob": -9999.0, "top_logprobs": []}
    assert whole["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 1,
        "total_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def test_empty_texts_have_no_chunk_and_progress_no_choices() -> None:
    answer = ChatAnswer(ticket(), TASK)
    assert answer.build_chunk(Text("job_1", ""), progress=True) is None
    step, place = Progress("job_1", 2, 5), Queued(3, 1.5)
    assert answer.build_chunk(step, progress=False) is None
    assert answer.build_chunk(place, progress=False) is None
    told = [answer.build_chunk(event, progress=True) for event in (step, place)]
    assert [chunk["choices"] for chunk in told if chunk] == [[], []]
    assert [chunk["tempera"] for chunk in told if chunk] == [
        {"job": "job_1", "seed": 4, "step": 2, "steps": 5},
        {"job": "job_1", "seed": 4, "queue": {"place": 3, "eta_s": 1.5}},
    ]


@pytest.mark.parametrize(
    ("status", "headers"),
    [(400, {}), (500, {"x-should-retry": "false"}), (503, {"Retry-After": "5"}), (504, {"x-should-retry": "false"})],
)
def test_a_failure_says_whether_to_try_again_and_what_it_is_about(status: int, headers: dict[str, str]) -> None:
    with pytest.raises(ApiError, match="No") as error:
        ChatAnswer(ticket(), TASK).add(Failed("job_1", "No.", status, "too_long", "messages"))
    told = error.value.body()["error"]
    assert (error.value.headers, told["param"], told["code"]) == (headers, "messages", "too_long")
