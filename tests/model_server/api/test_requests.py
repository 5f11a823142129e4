"""Requests for text and vectors: valid fields, and the error sentence of each mistake."""

import json
from typing import Any

import pytest

from model_server.api.requests import ChatRequest, CompletionRequest, EmbeddingRequest, parse
from model_server.errors import ApiError
from model_server.jobs import Chat, ChatTurn, Completion, Embed

HI = [{"role": "user", "content": "hi"}]


def chat(**fields: Any) -> Chat:
    return parse(ChatRequest, json.dumps({"model": "m", "messages": HI, **fields}).encode()).to_task()


def completion(**fields: Any) -> Completion:
    return parse(CompletionRequest, json.dumps({"model": "m", "prompt": "hi", **fields}).encode()).to_task()


def embed(**fields: Any) -> Embed:
    return parse(EmbeddingRequest, json.dumps({"model": "m", **fields}).encode()).to_task()


def test_all_fields_of_a_chat_reach_the_task() -> None:
    task = chat(
        temperature=0.2,
        top_p=0.9,
        max_completion_tokens=7,
        max_tokens=9,
        stop=["a", "b"],
        seed=5,
        logprobs=True,
        top_logprobs=3,
        truncation="auto",
        top_k=40,
        min_p=0.05,
    )
    sampling = task.sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.2, 0.9, 7)
    assert (sampling.top_k, sampling.min_p) == (40, 0.05)
    assert (sampling.stop, sampling.seed, sampling.logprobs) == (("a", "b"), 5, 3)
    assert task.truncation == "auto"


def test_null_means_the_default() -> None:
    task = chat(temperature=None, top_p=None, stop=None, logprobs=None, tools=None, n=None, truncation=None)
    assert (task.sampling.temperature, task.sampling.top_p, task.sampling.stop) == (1.0, 1.0, ())
    assert (task.sampling.logprobs, task.truncation) == (None, "disabled")


def test_temperature_zero_stays_zero() -> None:
    assert chat(temperature=0).sampling.temperature == 0


def test_a_random_seed_is_chosen_if_none_is_given() -> None:
    assert len({chat().sampling.seed for _ in range(5)}) > 1
    assert chat(seed=0).sampling.seed == 0


def test_zero_means_no_top_k_and_no_min_p() -> None:
    for task in (chat(), chat(top_k=0, min_p=0), completion(top_k=None, min_p=None)):
        assert (task.sampling.top_k, task.sampling.min_p) == (None, 0.0)
    assert completion(top_k=3, min_p=0.1).sampling.top_k == 3


def test_a_chat_can_ask_for_a_dial_of_a_continued_message() -> None:
    begun = [*HI, {"role": "assistant", "content": "Well, "}]
    task = chat(messages=begun, continue_final_message=True, dial=True)
    assert (task.continue_final, task.dial) == (True, True)
    assert (chat(messages=begun).continue_final, chat().dial, completion().dial) == (False, False, False)
    assert completion(dial=True).dial


def test_logprobs_without_top_ones() -> None:
    assert chat(logprobs=True).sampling.logprobs == 0


def test_text_parts_and_the_developers_role() -> None:
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "x"},
        {"role": "assistant", "content": None},
        *HI,
    ]
    assert chat(messages=messages).messages == (
        ChatTurn("system", "be brief"),
        ChatTurn("user", "ab"),
        ChatTurn("assistant", ""),
        ChatTurn("user", "hi"),
    )


def test_unknown_fields_of_newer_clients_are_ignored() -> None:
    assert chat(invented_next_year={"a": 1}, store=True, service_tier="auto").messages == (ChatTurn("user", "hi"),)


@pytest.mark.parametrize(
    ("given", "prompt"), [("a b", "a b"), (["a b"], "a b"), ([1, 2], (1, 2)), ([[1, 2]], (1, 2))], ids=str
)
def test_forms_of_a_prompt(given: Any, prompt: str | tuple[int, ...]) -> None:
    assert completion(prompt=given).prompt == prompt


def test_a_completion_has_sixteen_tokens_by_default() -> None:
    assert completion().sampling.max_tokens == 16
    assert completion(max_tokens=99, logprobs=0).sampling.logprobs == 0


def test_a_dial_of_a_completion_needs_no_room_for_an_answer() -> None:
    assert completion(dial=True).sampling.max_tokens is None


def test_texts_to_embed() -> None:
    assert embed(input="a").texts == ("a",)
    assert embed(input=["a", "b"], encoding_format="base64").texts == ("a", "b")


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"temperature": 3}, "temperature", "`temperature` must be at most 2, but 3 was given."),
        ({"temperature": "warm"}, "temperature", "`temperature` must be a number, but 'warm' was given."),
        ({"top_p": -0.1}, "top_p", "`top_p` must be at least 0, but -0.1 was given."),
        ({"top_k": -1}, "top_k", "`top_k` must be at least 0, but -1 was given."),
        ({"top_k": 1.5}, "top_k", "`top_k` must be a whole number, but 1.5 was given."),
        ({"min_p": 1.5}, "min_p", "`min_p` must be at most 1, but 1.5 was given."),
        ({"deadline_s": 0}, "deadline_s", "`deadline_s` must be greater than 0, but 0 was given."),
        ({"deadline_s": 1e6}, "deadline_s", "`deadline_s` must be at most 86400, but 1000000.0 was given."),
        ({"dial": "yes"}, "dial", "`dial` must be true or false, but 'yes' was given."),
        ({"dial": True, "stream": True}, "dial", "`dial` is answered as a whole; please leave `stream` out."),
        (
            {"dial": True, "logprobs": True},
            "dial",
            "`dial` writes no tokens that could have `logprobs`; please leave one of the two out.",
        ),
        (
            {"continue_final_message": True},
            "continue_final_message",
            "`continue_final_message` goes on with a last message of the role assistant, but the last one is a user's.",
        ),
        ({"max_tokens": 0}, "max_tokens", "`max_tokens` must be at least 1, but 0 was given."),
        ({"seed": 1.5}, "seed", "`seed` must be a whole number, but 1.5 was given."),
        ({"seed": 2**64}, "seed", f"`seed` must fit into 64 bits, but {2**64} was given."),
        ({"stop": ["a"] * 17}, "stop", "`stop` must be a list of at most 16, but 17 were given."),
        ({"stop": ""}, "stop", "`stop` must not be empty."),
        ({"truncation": "x"}, "truncation", "`truncation` must be auto or disabled, but 'x' was given."),
        ({"stream": 1}, "stream", "`stream` must be true or false, but 1 was given."),
        ({"user": "u" * 257}, "user", "`user` must have at most 256 characters."),
        (
            {"logprobs": True, "top_logprobs": 21},
            "top_logprobs",
            "`top_logprobs` must be at most 20, but 21 was given.",
        ),
        ({"top_logprobs": 2}, "top_logprobs", "`top_logprobs` only has a meaning with `logprobs`: true."),
        ({"stream_options": {}}, "stream_options", "`stream_options` only has a meaning with `stream`: true."),
        ({"messages": []}, "messages", "`messages` must be a list of at least 1, but 0 were given."),
        ({"messages": "hi"}, "messages", "`messages` must be a list, but 'hi' was given."),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages.0.role",
            "`messages.0.role` must be system, developer, user or assistant, but 'tool' was given.",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content",
            "`content` may only have parts of type `text`; this model reads nothing else.",
        ),
    ],
    ids=str,
)
def test_mistakes_in_a_chat(fields: dict[str, Any], param: str, sentence: str) -> None:
    with pytest.raises(ApiError) as error:
        chat(**fields)
    assert (error.value.status, error.value.param, error.value.message) == (400, param, sentence)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"tools": [{}]},
        {"response_format": {"type": "json_object"}},
        {"frequency_penalty": 0.5},
        {"presence_penalty": -1},
        {"logit_bias": {"1": 2}},
        {"audio": {}},
    ],
    ids=str,
)
def test_unsupported_fields_that_would_change_the_answer_are_refused(fields: dict[str, Any]) -> None:
    [name] = fields
    with pytest.raises(ApiError, match=f"`{name}` is not supported here; please leave it out.") as error:
        chat(**fields)
    assert error.value.param == name


def test_neutral_values_of_unsupported_fields_are_accepted() -> None:
    chat(n=1, tools=[], tool_choice="none", response_format={"type": "text"}, frequency_penalty=0, logit_bias={})


@pytest.mark.parametrize("prompt", ["", [], ["a", "b"], [[1], [2]], [1, "a"], None], ids=str)
def test_several_prompts_are_refused(prompt: Any) -> None:
    with pytest.raises(ApiError, match="`prompt` must be one text, or the token ids of one."):
        completion(prompt=prompt)


def test_a_dial_of_a_completion_has_no_logprobs() -> None:
    with pytest.raises(ApiError, match="`dial` writes no tokens"):
        completion(dial=True, logprobs=0)


def test_echo_is_refused() -> None:
    with pytest.raises(ApiError, match="`echo` is not supported here"):
        completion(echo=True)
    completion(echo=False, best_of=1)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "`input` is missing."),
        ({"input": []}, "`input` must be a list of at least 1, but 0 were given."),
        ({"input": [1, 2]}, "`input.0` must be a text, but 1 was given."),
        ({"input": "a", "dimensions": 64}, "`dimensions` is not supported here; please leave it out."),
        ({"input": "a", "encoding_format": "hex"}, "`encoding_format` must be float or base64, but 'hex' was given."),
        ({"input": "a", "model": ""}, "`model` must not be empty."),
    ],
    ids=str,
)
def test_mistakes_about_embeddings(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ApiError) as error:
        embed(**fields)
    assert error.value.message == sentence


@pytest.mark.parametrize("body", [b"", b"{", b'"\xff"', b'{"a": "\\ud800"}'], ids=str)
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError, match="The body is not valid JSON"):
        parse(ChatRequest, body)


@pytest.mark.parametrize("body", [b"[]", b"3", b"null"], ids=str)
def test_a_body_that_is_not_an_object_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError, match="The body must be a JSON object."):
        parse(ChatRequest, body)


def test_values_that_are_not_finite_numbers_are_refused() -> None:
    with pytest.raises(ApiError, match="`temperature` must be a finite number"):
        parse(ChatRequest, b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}')


def test_a_long_value_is_shortened_in_the_error() -> None:
    with pytest.raises(ApiError) as error:
        chat(truncation="x" * 1000)
    assert len(error.value.message) < 150
