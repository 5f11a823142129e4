"""Chats with servers by others, which know nothing of our fields."""

import logging
from typing import Any

import pytest
from fakes.model_server.other_server import OtherServer

from bot import Answered, Delta, Turn
from bot.config.upstreams import UpstreamSection
from bot.core.errors import ModelError, ModelUnavailable
from bot.core.model_events import ModelChoice
from bot.inference.chat import REFUSED
from bot.inference.client import ModelClient
from bot.inference.upstreams.upstream import Upstream

QUESTION = [Turn("user", "hi")]
BROKEN = "The answer of “model server” broke off, or came in a form that I do not know."


async def answer(client: ModelClient, turns: list[Turn] = QUESTION, **more: object) -> tuple[str, Answered]:
    options = {"temperature": 1, "seed": 1, "user": "ann", **more}
    events = [event async for event in client.chat(turns, **options)]
    assert isinstance(events[-1], Answered)
    return "".join(event.text for event in events if isinstance(event, Delta)), events[-1]


def client_of(server: OtherServer, **settings: Any) -> ModelClient:
    """A client with one upstream, configured so."""
    return ModelClient.over([Upstream(UpstreamSection(name="other", url=server.url, **settings))])


async def test_a_plain_list_of_models_is_understood() -> None:
    listed = [
        {"id": "/models/tiny.gguf", "architecture": {"input_modalities": ["text", "image"]}, "meta": {"n_ctx": 512}},
        {"id": "nomic-embed-text"},
        {"id": "whisper-1"},
        {"id": "flux.1-dev"},
        {"id": "Qwen/Qwen2.5-VL-3B"},
    ]
    async with OtherServer(listed=listed) as server, ModelClient(server.url) as client:
        found = await client.listed("chat", "embeddings", "images")
        assert {task: list(models) for task, models in found.items()} == {
            "chat": ["tiny.gguf", "Qwen/Qwen2.5-VL-3B"],
            "embeddings": ["nomic-embed-text"],
            "images": ["flux.1-dev"],
        }
        assert [about["reads_images"] for about in found["chat"].values()] == [True, True]
        assert await client.choose("chat", "tiny.gguf") == ModelChoice(
            "tiny.gguf", tuple(found["chat"]), picture_readers=tuple(found["chat"]), context=512
        )
        assert await answer(client, [Turn("user", "What is this?", (b"picture",))], model="tiny.gguf")
    assert server.requests[-1]["model"] == "/models/tiny.gguf"
    url = {"url": "data:image/jpeg;base64,cGljdHVyZQ=="}
    assert server.requests[-1]["messages"][-1]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": url},
    ]


async def test_only_what_everybody_knows_is_sent_and_not_who_asks() -> None:
    async with OtherServer(listed=[{"id": "tiny", "owned_by": "vllm"}]) as server, ModelClient(server.url) as client:
        text, last = await answer(client, max_tokens=9, likely=0, goes_on=True)
    assert (text, last.is_counted) == ("Paris", True)
    assert (last.model, last.repeats, last.prompt_tokens, last.completion_tokens) == ("tiny", False, 3, 2)
    (body,) = server.requests
    assert body.keys().isdisjoint({"truncation", "user", "include_progress"})
    assert body["stream_options"] == {"include_usage": True}
    assert (body["continue_final_message"], body["add_generation_prompt"], body["top_logprobs"]) == (True, False, 1)


@pytest.mark.parametrize(
    ("owner", "settings", "left_out"),
    [
        ("vllm", {}, ()),
        ("library", {}, ("min_p",)),
        ("a hosted API", {}, ("min_p",)),
        ("a hosted API", {"kind": "vllm"}, ()),
        ("vllm", {"leave_out": ["seed", "temperature"]}, ("seed", "temperature")),
    ],
)
async def test_a_server_gets_what_its_kind_takes_and_not_what_the_operator_leaves_out(
    owner: str, settings: dict[str, Any], left_out: tuple[str, ...]
) -> None:
    async with (
        OtherServer(listed=[{"id": "tiny", "owned_by": owner}]) as server,
        client_of(server, **settings) as client,
    ):
        _, last = await answer(client, min_p=0.1)
    (body,) = server.requests
    assert last.left_out == left_out
    assert {"min_p", "seed", "temperature"} - body.keys() == set(left_out)


@pytest.mark.parametrize(
    ("leave_out", "sent"),
    [
        ((), {"logprobs", "max_tokens", "stream_options", "top_logprobs"}),
        (("logprobs", "max_tokens"), {"max_completion_tokens", "stream_options"}),
        (("max_tokens", "max_completion_tokens", "stream_options"), {"logprobs", "top_logprobs"}),
    ],
)
async def test_what_stands_for_a_field_that_is_left_out_goes_or_comes_with_it(
    leave_out: tuple[str, ...], sent: set[str]
) -> None:
    async with OtherServer() as server, client_of(server, leave_out=leave_out) as client:
        _, last = await answer(client, max_tokens=9, likely=5)
    (body,) = server.requests
    assert body.keys() == {"model", "messages", "seed", "stream", "temperature", "top_p"} | sent
    assert {9} >= {body.get(name, 9) for name in ("max_tokens", "max_completion_tokens")}
    assert last.is_counted is ("stream_options" in sent)


async def test_a_model_without_turns_of_the_system_reads_its_words_with_the_question() -> None:
    async with OtherServer() as server, client_of(server, system_turn=False) as client:
        for system in ("Rhyme.", ""):
            await answer(client, [Turn("system", system), *QUESTION])
    contents = [[message["content"] for message in body["messages"]] for body in server.requests]
    asked = QUESTION[0].content
    assert contents == [[f"Rhyme.\n\n{asked}"], [asked]]


async def test_an_answer_that_is_not_streamed_is_read_without_what_the_model_thought() -> None:
    thoughts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "other", "text": "Hm."}]
    parts = [*thoughts, {"type": "text", "text": "Rome"}]
    async with OtherServer() as server, ModelClient(server.url) as client:
        for content in ("Rome", parts):
            message = {"role": "assistant", "content": content}
            server.shape = {"choices": [{"message": message, "finish_reason": "stop"}]}
            assert (await answer(client))[0] == "Rome"


async def test_a_finished_answer_needs_no_mark_at_its_end() -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.ending = "unmarked"
        assert (await answer(client))[0] == "Paris"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"message": "This model's maximum context length is 9 tokens.", "code": 400}, "refused this"),
        ({"message": "Slow down", "code": 429}, "has too much to do at the moment"),
        ({"message": "boom"}, "broke off"),
    ],
)
async def test_an_error_with_the_status_of_an_answer_is_one(error: dict[str, object], told: str) -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.shape = {"error": error}
        with pytest.raises(ModelError, match=told):
            await answer(client)


async def test_a_server_that_nobody_knows_to_go_on_with_a_beginning_is_not_asked_to() -> None:
    turns = [*QUESTION, Turn("assistant", "Par")]
    async with OtherServer() as server, ModelClient(server.url) as client:
        with pytest.raises(ModelError, match="“tiny” cannot go on from the middle of an answer"):
            await answer(client, turns, goes_on=True)
    assert not server.requests


async def test_a_model_of_llama_cpp_that_fails_with_a_picture_may_read_none() -> None:
    turns = [Turn("user", "What is this?", (b"picture",))]
    listed = [{"id": "tiny-vl", "owned_by": "llamacpp"}]
    async with OtherServer(listed=listed) as server, ModelClient(server.url) as client:
        server.reads_pictures = False
        with pytest.raises(ModelError, match="^“tiny-vl” failed with this picture. If it reads none"):
            await answer(client, turns)
        assert (await answer(client))[0] == "Paris"
    assert len(server.requests) == 2


async def test_another_server_answers_about_a_picture_with_which_one_failed() -> None:
    turns = [Turn("user", "What is this?", (b"picture",))]
    async with OtherServer(listed=[{"id": "tiny-vl"}]) as failing, OtherServer(listed=[{"id": "tiny-vl"}]) as other:
        failing.reads_pictures = False
        sections = [UpstreamSection(name=name, url=one.url) for name, one in (("failing", failing), ("other", other))]
        async with ModelClient.over(list(map(Upstream, sections))) as client:
            text, last = await answer(client, turns)
    assert (text, last.model) == ("Paris", "tiny-vl@other")


def too_hot(body: dict[str, object]) -> object:
    """Refuse a temperature of more than 1.5 in the format of pydantic, which repeats the request."""
    if float(body.get("temperature", 0)) <= 1.5:
        return None
    words = "Input should be less than or equal to 1.5"
    return {"detail": [{"loc": ["body", "temperature"], "msg": words, "input": body, "ctx": {"le": 1.5}}]}


async def test_a_value_that_is_refused_is_told_and_costs_nobody_else_the_field() -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.refuses = too_hot
        with pytest.raises(ModelError, match=r"\(status 422\): temperature: Input should be less"):
            await answer(client, temperature=2)
        _, last = await answer(client, temperature=0.2)
    assert (server.requests[-1]["temperature"], server.requests[-1]["seed"]) == (0.2, 1)
    assert last.left_out == ("min_p",)


@pytest.mark.parametrize("owner", ["vllm", "somebody"])
async def test_a_refused_request_is_sent_again_without_what_nobody_chose(owner: str) -> None:
    async with OtherServer(listed=[{"id": "tiny", "owned_by": owner}]) as server, ModelClient(server.url) as client:
        server.unknown = {"stream_options", "logprobs", "seed"}
        text, last = await answer(client, max_tokens=9, likely=5)
    assert (text, last.is_counted, "seed" in last.left_out) == ("Paris", False, True)
    first, second = server.requests
    assert first.keys() - second.keys() == {"stream_options", "logprobs", "top_logprobs", "seed"}
    assert second.items() <= first.items()


@pytest.mark.parametrize(("leave_out", "asked"), [((), 2), (("seed", "stream_options"), 1)])
async def test_what_is_refused_is_told_and_the_log_says_what_to_do(
    leave_out: tuple[str, ...], asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.inference.chat")
    async with OtherServer() as server, client_of(server, leave_out=leave_out) as client:
        server.unknown = {"temperature"}
        with pytest.raises(ModelError, match="refused this .status 400.: Unrecognized request argument"):
            await answer(client)
    # Without a field that nobody chose, the same request would be refused again.
    assert len(server.requests) == asked
    assert [one.getMessage() for one in caplog.records if one.name == "bot.inference.chat"] == [
        REFUSED % ("tiny@other", 400)
    ]


@pytest.mark.parametrize("status", [0, 401, 403, 404])
async def test_other_refusals_and_those_after_the_first_word_are_told_and_not_sent_again(status: int) -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.failures = [(status, {})] if status else []
        server.ending = "refused"
        with pytest.raises(ModelError):
            await answer(client)
    assert len(server.requests) == 1


async def test_older_turns_are_left_out_where_all_are_too_long() -> None:
    turns = [Turn("system", "s"), *(Turn(role, "x") for _ in range(4) for role in ("user", "assistant")), *QUESTION]
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.context = 4
        _, last = await answer(client, turns)
    assert [len(body["messages"]) for body in server.requests] == [10, 6, 4]
    assert last.dropped_turns == 3
    assert [turn["role"] for turn in server.requests[-1]["messages"]] == ["system", "user", "assistant", "user"]


async def test_a_refusal_may_come_in_a_stream_that_has_begun_well() -> None:
    """LM Studio does so."""
    turns = [*(Turn(role, "x") for _ in range(4) for role in ("user", "assistant")), *QUESTION]
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.context, server.refuses_in_stream = 5, True
        assert (await answer(client, turns))[1].dropped_turns == 2
        server.context = 0
        with pytest.raises(ModelError, match=r"^“model server” refused this \(status 400\): The number of tokens"):
            await answer(client)


@pytest.mark.parametrize("ending", ["cut", "killed"])
async def test_a_stream_that_stops_without_an_end_is_told_as_broken(ending: str) -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.ending = ending
        server.may_be_killed.clear()
        events = client.chat(QUESTION, temperature=1, seed=1)
        assert await anext(events) == Delta("Par")
        server.may_be_killed.set()
        with pytest.raises(ModelUnavailable, match=BROKEN):
            await anext(events)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "shape",
    [{}, {"response": "Rome"}, {"choices": 5}, {"choices": [{"message": {"content": ["Rome"]}}]}, {"choices": [7]}],
    ids=str,
)
async def test_an_answer_in_a_shape_that_nobody_documented_is_told_as_broken(shape: dict[str, object]) -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.shape = shape
        with pytest.raises(ModelUnavailable, match=BROKEN):
            await answer(client)
