"""Requests for text and vectors: valid fields, and the error sentence of each mistake."""

import json
from dataclasses import replace
from typing import Any

import pytest
from fakes.model_server.client import refused

from model_server.api.requests import ChatRequest, CompletionRequest, EmbeddingRequest, parse
from model_server.errors import ApiError
from model_server.jobs import Chat, ChatTurn, Completion, Embed, Sampling

HI = [{"role": "user", "content": "hi"}]


def chat(**fields: Any) -> Chat:
    return parse(ChatRequest, json.dumps({"model": "m", "messages": HI, **fields}).encode()).to_task()


def completion(**fields: Any) -> Completion:
    return parse(CompletionRequest, json.dumps({"model": "m", "prompt": "hi", **fields}).encode()).to_task()


def embed(**fields: Any) -> Embed:
    return parse(EmbeddingRequest, json.dumps({"model": "m", **fields}).encode()).to_task()


def test_all_fields_of_a_chat_reach_the_task() -> None:
    sampling = {"temperature": 0.2, "top_p": 0.9, "stop": ["a", "b"], "seed": 5, "top_k": 40, "min_p": 0.05}
    task = chat(**sampling, max_completion_tokens=7, max_tokens=9, logprobs=True, top_logprobs=3, truncation="auto")
    assert task.sampling == Sampling(**sampling | {"stop": ("a", "b")}, max_tokens=7, logprobs=3)
    assert task.truncation == "auto"


NOTHING_CHOSEN = Sampling(seed=5)


@pytest.mark.parametrize(
    ("fields", "sampling"),
    [
        ({}, NOTHING_CHOSEN),
        (dict.fromkeys(["temperature", "top_p", "stop", "logprobs", "tools", "n", "truncation"]), NOTHING_CHOSEN),
        ({"top_k": 0, "min_p": 0}, NOTHING_CHOSEN),
        ({"temperature": 0}, replace(NOTHING_CHOSEN, temperature=0)),
        ({"logprobs": True}, replace(NOTHING_CHOSEN, logprobs=0)),
    ],
    ids=str,
)
def test_null_means_the_default_and_zero_what_it_says(fields: dict[str, Any], sampling: Sampling) -> None:
    task = chat(seed=5, **fields)
    assert (task.sampling, task.truncation, task.continue_final, task.dial) == (sampling, "disabled", False, False)


def test_a_random_seed_is_chosen_if_none_is_given() -> None:
    assert len({chat().sampling.seed for _ in range(5)}) > 1
    assert chat(seed=0).sampling.seed == 0


def test_a_chat_can_ask_for_a_dial_of_a_continued_message() -> None:
    begun = [*HI, {"role": "assistant", "content": "Well, "}]
    task = chat(messages=begun, continue_final_message=True, dial=True)
    assert (task.continue_final, task.dial) == (True, True)


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


def test_a_completion_has_sixteen_tokens_by_default_and_a_dial_of_one_needs_no_room() -> None:
    assert completion().sampling.max_tokens == 16
    sampling = completion(max_tokens=99, logprobs=0, top_k=3).sampling
    assert (sampling.max_tokens, sampling.logprobs, sampling.top_k) == (99, 0, 3)
    task = completion(dial=True)
    assert (task.dial, task.sampling.max_tokens) == (True, None)


def test_a_text_to_embed_needs_no_list() -> None:
    assert embed(input="ab").texts == ("ab",)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"temperature": 3}, "`temperature` must be at most 2, but 3 was given."),
        ({"temperature": "warm"}, "`temperature` must be a number, but 'warm' was given."),
        ({"top_p": -0.1}, "`top_p` must be at least 0, but -0.1 was given."),
        ({"top_k": -1}, "`top_k` must be at least 0, but -1 was given."),
        ({"min_p": 1.5}, "`min_p` must be at most 1, but 1.5 was given."),
        ({"top_k": 1.5}, "`top_k` must be a whole number, but 1.5 was given."),
        ({"deadline_s": 0}, "`deadline_s` must be greater than 0, but 0 was given."),
        ({"deadline_s": 1e6}, "`deadline_s` must be at most 86400, but 1000000.0 was given."),
        ({"max_tokens": 0}, "`max_tokens` must be at least 1, but 0 was given."),
        ({"seed": 2**64}, f"`seed` must fit into 64 bits, but {2**64} was given."),
        ({"stop": ["a"] * 17}, "`stop` must be a list of at most 16, but 17 were given."),
        ({"stop": ""}, "`stop` must not be empty."),
        ({"truncation": "x"}, "`truncation` must be auto or disabled, but 'x' was given."),
        ({"truncation": "x" * 99}, f"`truncation` must be auto or disabled, but '{'x' * 39}… was given."),
        ({"stream": 1}, "`stream` must be true or false, but 1 was given."),
        ({"user": "u" * 257}, "`user` must have at most 256 characters."),
        ({"logprobs": True, "top_logprobs": 21}, "`top_logprobs` must be at most 20, but 21 was given."),
        ({"top_logprobs": 2}, "`top_logprobs` only has a meaning with `logprobs`: true."),
        ({"stream_options": {}}, "`stream_options` only has a meaning with `stream`: true."),
        ({"messages": []}, "`messages` must be a list of at least 1, but 0 were given."),
        ({"messages": "hi"}, "`messages` must be a list, but 'hi' was given."),
        (
            {"messages": [{"role": "tool", "content": 5}]},
            "`messages.0.role` must be system, developer, user or assistant, but 'tool' was given.",
        ),
        ({"dial": True, "stream": True}, "`dial` is answered as a whole; please leave `stream` out."),
        (
            {"dial": True, "logprobs": True},
            "`dial` writes no tokens that could have `logprobs`; please leave one of the two out.",
        ),
        (
            {"continue_final_message": True},
            "`continue_final_message` goes on with a last message of the role assistant, but the last one is a user's.",
        ),
        *(
            ({name: value}, f"`{name}` is not supported here; please leave it out.")
            for name, value in {
                "n": 2,
                "tools": [{}],
                "response_format": {"type": "json_object"},
                "frequency_penalty": 0.5,
                "presence_penalty": -1,
                "logit_bias": {"1": 2},
                "audio": {},
            }.items()
        ),
        ({"audio": {}, "n": True, "tools": [{}]}, "`n` is not supported here; please leave it out."),
    ],
    ids=str,
)
def test_mistakes_in_a_chat(fields: dict[str, Any], sentence: str) -> None:
    refused(chat, fields, sentence)


def test_a_part_of_a_message_that_is_no_text_is_refused() -> None:
    messages = [{"role": "user", "content": [{"type": "image_url"}]}]
    sentence = "`content` may only have parts of type `text`; this model reads nothing else."
    refused(chat, {"messages": messages}, sentence, "messages.0.content")


def test_neutral_values_of_unsupported_fields_are_accepted() -> None:
    chat(n=1, tools=[], tool_choice="none", response_format={"type": "text"}, frequency_penalty=0, logit_bias={})
    completion(echo=False, best_of=1)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        *(
            ({"prompt": prompt}, "`prompt` must be one text, or the token ids of one.")
            for prompt in ("", [], ["a", "b"], [[1], [2]], [1, "a"], None)
        ),
        (
            {"dial": True, "logprobs": 0},
            "`dial` writes no tokens that could have `logprobs`; please leave one of the two out.",
        ),
        ({"echo": True}, "`echo` is not supported here; please leave it out."),
    ],
    ids=str,
)
def test_mistakes_in_a_completion(fields: dict[str, Any], sentence: str) -> None:
    refused(completion, fields, sentence)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "`input` is missing."),
        ({"input": []}, "`input` must be a list of at least 1, but 0 were given."),
        ({"input": [1, 2]}, "`input.0` must be a text, but 1 was given."),
        ({"input": "a", "encoding_format": "hex"}, "`encoding_format` must be float or base64, but 'hex' was given."),
        ({"input": "a", "dimensions": 64}, "`dimensions` is not supported here; please leave it out."),
        ({"input": "a", "model": ""}, "`model` must not be empty."),
    ],
    ids=str,
)
def test_mistakes_about_embeddings(fields: dict[str, Any], sentence: str) -> None:
    refused(embed, fields, sentence)


NAN = b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}'


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        *((body, "The body is not valid JSON") for body in (b"", b"{", b'"\xff"', b'{"a": "\\ud800"}')),
        *((body, "The body must be a JSON object.") for body in (b"[]", b"3", b"null")),
        (NAN, "`temperature` must be a finite number"),
    ],
    ids=str,
)
def test_a_body_that_is_no_object_of_finite_values_is_refused(body: bytes, sentence: str) -> None:
    with pytest.raises(ApiError, match=sentence):
        parse(ChatRequest, body)
