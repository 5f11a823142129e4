"""Chats with servers by others, which know nothing of our fields."""

from typing import Any

import pytest
from fakes.model_server.other_server import OtherServer

from bot import Answered, Delta, Turn
from bot.core.errors import ModelError, ModelUnavailable
from bot.core.model_events import ModelChoice
from bot.inference.client import ModelClient
from bot.inference.upstreams.abilities import NO_IMAGES, NO_SYSTEM

QUESTION = [Turn("user", "hi")]
BROKEN = "The answer of “model server” broke off, or came in a form that I do not know."


async def answer(client: ModelClient, turns: list[Turn] = QUESTION, **more: object) -> tuple[str, Answered]:
    options = {"temperature": 1, "seed": 1, "user": "ann", **more}
    events = [event async for event in client.chat(turns, **options)]
    assert isinstance(events[-1], Answered)
    return "".join(event.text for event in events if isinstance(event, Delta)), events[-1]


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
    async with OtherServer() as server, ModelClient(server.url) as client:
        text, last = await answer(client, max_tokens=9, likely=0, goes_on=True)
    assert (text, last.is_counted) == ("Paris", True)
    assert (last.model, last.repeats, last.prompt_tokens, last.completion_tokens) == ("tiny", False, 3, 2)
    (body,) = server.requests
    assert body.keys().isdisjoint({"truncation", "user", "include_progress"})
    assert body["stream_options"] == {"include_usage": True}
    assert (body["continue_final_message"], body["add_generation_prompt"], body["top_logprobs"]) == (True, False, 1)


async def test_a_field_that_is_refused_is_left_out_from_then_on() -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.unknown = {"min_p", "stream_options", "temperature", "logprobs"}
        text, last = await answer(client, likely=5, min_p=0.1)
        assert (text, last.left_out, last.completion_tokens) == ("Paris", ("min_p", "temperature"), 2)
        assert not last.is_counted
        assert len(server.requests) == 5
        await answer(client, likely=5, min_p=0.1)
    assert len(server.requests) == 6
    assert server.requests[-1].keys() == {"model", "messages", "seed", "stream", "top_p"}


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
    assert (server.requests[-1]["temperature"], last.left_out) == (0.2, ())
    assert len(server.requests) == 2


async def test_the_longest_answer_that_a_server_allows_is_asked_for() -> None:
    words = "max_tokens is too large: 4096. This model supports at most 2048 completion tokens."
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.refuses = lambda body: {"error": {"message": words}} if body["max_tokens"] > 2048 else None
        for _ in range(2):
            assert (await answer(client, max_tokens=4096))[0] == "Paris"
    assert [body["max_tokens"] for body in server.requests] == [4096, 2048, 2048]


async def test_a_field_that_only_the_question_names_is_still_sent() -> None:
    turns = [Turn("user", "What do temperature, seed and max_tokens mean?")]
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.refuses = lambda body: {"error": {"message": f"No: {turns[0].content}", "input": body}}
        with pytest.raises(ModelError, match="refused this"):
            await answer(client, turns, max_tokens=9)
    assert len(server.requests) == 1


@pytest.mark.parametrize("question", ["p", "min", "min_p"])
async def test_a_short_question_hides_no_word_of_a_refusal(question: str) -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.unknown = {"min_p"}
        assert (await answer(client, [Turn("user", question)], min_p=0.1))[1].left_out == ("min_p",)


@pytest.mark.parametrize(
    ("words", "takes_none"),
    [
        ("System role not supported", True),
        ("Unsupported value: 'messages[0].role' does not support 'system' with this model.", True),
        ("Developer instruction is not enabled for models/gemma-3-1b-it", True),
        ("Conversation roles must alternate user/assistant/user/assistant/...", True),
        ("After the optional system message, conversation roles must alternate user/assistant", False),
        ("The system is busy.", False),
    ],
)
def test_only_who_takes_no_turn_of_the_system_is_taken_for_that(words: str, takes_none: bool) -> None:
    assert bool(NO_SYSTEM.search(words)) is takes_none


async def test_a_model_without_turns_of_the_system_reads_its_words_with_the_question() -> None:
    def refuse(body: dict[str, Any]) -> object:
        has_system = any(message["role"] == "system" for message in body["messages"])
        return {"error": {"message": "System role not supported"}} if has_system else None

    async with OtherServer() as server, ModelClient(server.url) as client:
        server.refuses = refuse
        for _ in range(2):
            assert (await answer(client, [Turn("system", "Rhyme."), *QUESTION]))[0] == "Paris"
        await answer(client, [Turn("system", ""), *QUESTION])
    contents = [[message["content"] for message in body["messages"]] for body in server.requests]
    asked = QUESTION[0].content
    assert contents == [["Rhyme.", asked], [f"Rhyme.\n\n{asked}"], [f"Rhyme.\n\n{asked}"], [asked]]


async def test_what_a_model_thinks_before_it_answers_is_left_out() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Rome"}]
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.shape = {"choices": [{"message": {"role": "assistant", "content": parts}, "finish_reason": "stop"}]}
        assert (await answer(client))[0] == "Rome"


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


async def test_a_model_that_cannot_go_on_with_a_beginning_says_so() -> None:
    turns = [*QUESTION, Turn("assistant", "Par")]
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.unknown = {"continue_final_message"}
        for _ in range(2):
            with pytest.raises(ModelError, match="“tiny” cannot go on from the middle of an answer"):
                await answer(client, turns, goes_on=True)
    assert len(server.requests) == 1


async def test_a_model_that_refuses_pictures_is_known_to_read_none() -> None:
    turns = [Turn("user", "What is this?", (b"picture",))]
    async with OtherServer(listed=[{"id": "tiny-vl"}]) as server, ModelClient(server.url) as client:
        assert (await client.choose("chat")).reads_images
        server.reads_pictures = False
        with pytest.raises(ModelError, match="^“tiny-vl” cannot read pictures, as its server says.$"):
            await answer(client, turns)
        assert not (await client.choose("chat")).reads_images
        assert (await answer(client))[0] == "Paris"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("words", "is_blind"),
    [
        ("tiny is not a multimodal model", True),
        ("At most 0 image(s) may be provided in one prompt.", True),
        ("Model does not support images. Please use a model that does.", True),
        ("Invalid content type. image_url is only supported by certain models.", True),
        ("this model is missing data required for image input", True),
        ("The image is too large.", False),
        ("image format is not supported", False),
        ("unsupported image type", False),
    ],
)
def test_only_who_reads_no_pictures_at_all_is_taken_for_blind(words: str, is_blind: bool) -> None:
    assert bool(NO_IMAGES.search(words)) is is_blind


async def test_a_refusal_that_names_no_field_is_told() -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.unknown = {"messages"}
        with pytest.raises(ModelError, match="refused this .status 400.: Unrecognized request argument"):
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


async def test_a_finished_answer_needs_no_mark_at_its_end() -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.ending = "unmarked"
        assert (await answer(client))[0] == "Paris"


async def test_a_server_that_does_not_stream_answers_all_the_same() -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.shape = {"choices": [{"message": {"role": "assistant", "content": "Rome"}, "finish_reason": "stop"}]}
        assert (await answer(client))[0] == "Rome"


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
