"""The official client uses every route, once with fake engines and once with real ones."""

import base64
from collections.abc import AsyncIterator
from types import SimpleNamespace

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam

HELLO = ChatCompletionUserMessageParam(role="user", content="Say hello to all of us.")


@pytest.fixture(scope="module", params=["fakes", pytest.param("real", marks=pytest.mark.weights)])
def server(request: pytest.FixtureRequest) -> tuple[str, object]:
    """Return the address of the server and the names of its models."""
    if request.param == "fakes":
        fake = {"chat": "parrot", "faces": "painter", "embeddings": "ruler"}
        return request.getfixturevalue("gateway").url, SimpleNamespace(**fake)
    real = {"chat": "qwen2.5-coder-0.5b-instruct", "faces": "digiface-dcgan", "embeddings": "all-minilm-l6-v2"}
    return request.getfixturevalue("real_server")(*real.values()), SimpleNamespace(**real)


@pytest.fixture
def server_url(server: tuple[str, object]) -> str:
    return server[0]


@pytest.fixture
def names(server: tuple[str, object]) -> object:
    return server[1]


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def test_models_are_listed_and_retrieved(client: AsyncOpenAI, names) -> None:
    listed = [model.id async for model in client.models.list()]
    assert {names.chat, names.faces, names.embeddings} <= set(listed)
    model = await client.models.retrieve(names.chat)
    assert model.id == names.chat
    assert model.model_extra["tempera"]["task"] == "chat"


async def test_a_chat_without_a_stream(client: AsyncOpenAI, names) -> None:
    answer = await client.chat.completions.create(
        model=names.chat, messages=[HELLO], temperature=0, seed=3, max_tokens=5
    )
    [choice] = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in {"stop", "length"}
    assert answer.usage.completion_tokens <= 5
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model_extra["tempera"].keys() == {"job", "seed", "dropped_turns", "seconds"}
    assert answer.model_extra["tempera"]["seed"] == 3


async def test_a_streamed_chat_has_the_same_content_as_one_without_a_stream(client: AsyncOpenAI, names) -> None:
    asked = {"model": names.chat, "messages": [HELLO], "temperature": 0, "max_completion_tokens": 5}
    whole = await client.chat.completions.create(**asked)
    stream = await client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == whole.choices[0].message.content
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == [
        whole.choices[0].finish_reason
    ]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_logprobs_of_a_chat(client: AsyncOpenAI, names) -> None:
    answer = await client.chat.completions.create(
        model=names.chat, messages=[HELLO], temperature=0, max_tokens=3, logprobs=True, top_logprobs=4
    )
    tokens = answer.choices[0].logprobs.content
    assert 1 <= len(tokens) <= 3
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 4 for token in tokens)
    assert all(bytes(token.bytes).decode(errors="replace") == token.token for token in tokens)


async def test_logprobs_of_a_streamed_chat(client: AsyncOpenAI, names) -> None:
    stream = await client.chat.completions.create(
        model=names.chat, messages=[HELLO], temperature=0, max_tokens=3, logprobs=True, stream=True
    )
    chunks = [chunk async for chunk in stream]
    assert all(len(chunk.choices) == 1 for chunk in chunks)
    found = [choice.logprobs for chunk in chunks for choice in chunk.choices if choice.logprobs]
    assert found
    assert all(token.top_logprobs == [] for logprobs in found for token in logprobs.content)


async def test_a_completion_with_legacy_logprobs(client: AsyncOpenAI, names) -> None:
    answer = await client.completions.create(
        model=names.chat, prompt="one two three four", temperature=0, max_tokens=3, logprobs=2
    )
    columns = answer.choices[0].logprobs
    count = len(columns.tokens)
    assert 1 <= count <= 3
    assert len(columns.token_logprobs) == len(columns.top_logprobs) == len(columns.text_offset) == count
    assert columns.text_offset[0] == 0
    assert all(token in top for token, top in zip(columns.tokens, columns.top_logprobs, strict=True))


async def test_a_streamed_completion(client: AsyncOpenAI, names) -> None:
    asked = {"model": names.chat, "prompt": ["one two three"], "temperature": 0, "max_tokens": 3}
    whole = await client.completions.create(**asked)
    chunks = [chunk async for chunk in await client.completions.create(**asked, stream=True)]
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason


async def test_pictures_are_the_same_for_the_same_seed(client: AsyncOpenAI, names) -> None:
    async def draw(seed: int) -> list[bytes]:
        answer = await client.images.generate(model=names.faces, prompt="", n=2, extra_body={"seed": seed})
        assert answer.model_extra["tempera"]["seed"] == seed
        return [base64.b64decode(picture.b64_json) for picture in answer.data]

    first = await draw(7)
    assert len(first) == 2
    assert all(picture.startswith(b"\x89PNG") for picture in first)
    assert await draw(7) == first
    assert (await draw(8))[0] != first[0]


async def test_embeddings_in_both_encodings(client: AsyncOpenAI, names) -> None:
    texts = ["a cat", "a dog", "a cat"]
    packed = await client.embeddings.create(model=names.embeddings, input=texts)
    plain = await client.embeddings.create(model=names.embeddings, input=texts, encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1, 2]
    for item, other in zip(packed.data, plain.data, strict=True):
        assert item.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert plain.data[0].embedding == pytest.approx(plain.data[2].embedding)
    assert plain.data[0].embedding != plain.data[1].embedding
    assert plain.usage.prompt_tokens > 0


async def test_errors_become_the_clients_exceptions(client: AsyncOpenAI, names) -> None:
    with pytest.raises(openai.NotFoundError, match=f"the nearest is {names.chat}") as unknown:
        await client.chat.completions.create(model=names.chat + "x", messages=[HELLO])
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="`temperature` must be at most 2, but 3") as wrong:
        await client.chat.completions.create(model=names.chat, messages=[HELLO], temperature=3)
    assert wrong.value.param == "temperature"
