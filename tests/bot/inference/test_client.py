import json
import socket
from contextlib import aclosing

import pytest
from aiohttp import web
from fakes.model_server.broken_api import LISTED, Answer, broken_off, crooked, plainly
from fakes.model_server.model_api import FakeModels, look_at, png

from bot import Answered, Delta, Step, Turn, Waiting
from bot.core.errors import Busy, ModelError, ModelUnavailable
from bot.core.model_events import ModelChoice, Pictures, Readiness
from bot.inference import responses
from bot.inference.client import ModelClient, Timing
from bot.inference.responses import BROKEN, DOWN
from bot.provenance.metadata import Label, read_label

QUESTION = [Turn("user", "hi")]


def event(**chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def word(text: str) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}}])


async def answer(client: ModelClient, **more: object) -> list[Waiting | Step | Delta | Answered]:
    return [event async for event in client.chat(QUESTION, temperature=1, seed=1, **more)]


async def refusal(given: Answer) -> ModelError:
    async with crooked(given) as url, ModelClient(url) as client:
        with pytest.raises(ModelError) as caught:
            await answer(client)
    return caught.value


# Responses


async def test_a_chat_streams_text_and_ends_with_its_facts(models: FakeModels) -> None:
    async with ModelClient(models.url) as client:
        *words, last = await answer(client, max_tokens=9, user="ann")
    assert words == [Delta(piece) for piece in models.answer]
    assert last == Answered("fake-chat", 1, "stop", 5, 6, 0.5, 0)
    (body,) = models.requests
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert (body["temperature"], body["seed"], body["max_tokens"], body["user"]) == (1, 1, 9, "ann")
    assert "min_p" not in body
    assert (body["truncation"], body["stream_options"]["include_progress"]) == ("auto", True)


async def test_queue_places_and_steps_come_before_the_text() -> None:
    stream = (
        b": a comment\n\n"
        + event(choices=[], tempera={"queue": {"place": 2, "eta_s": 3.5}, "dropped_turns": 4})
        + event(choices=[], tempera={"step": 1, "steps": 2})
        + word("a")
        + event(choices=[{"index": 0, "delta": {}, "finish_reason": "length"}])
        + b"data: [DONE]\n\n"
    )
    async with crooked(plainly(stream)) as url, ModelClient(url) as client:
        waiting, step, delta, last = await answer(client)
    assert (waiting, step, delta) == (Waiting(2, 3.5), Step(1, 2), Delta("a"))
    assert isinstance(last, Answered)
    assert (last.finish_reason, last.dropped_turns, last.seed) == ("length", 4, 1)


async def test_faces_are_returned_with_a_label(models: FakeModels) -> None:
    async with ModelClient(models.url) as client:
        drawn = await client.faces(seed=7, count=2, truncation=0.5, face_size=192)
    assert drawn == Pictures("fake-faces", 7, 0.1, drawn.png)
    assert [look_at(file) for file in drawn.png] == [look_at(png(7, 192, 192))]
    assert read_label(drawn.png[0]) == Label({"model": "fake-faces", "seed": "7", "truncation": "0.5"})
    assert (models.requests[0]["n"], models.requests[0]["truncation"]) == (2, 0.5)


SCORED = {"category_scores": {"violence": 0.1}}


async def test_embedding_and_moderation_are_requested_for_a_user() -> None:
    sent = []

    async def asked(request: web.Request) -> web.Response:
        sent.append((await request.json())["user"])
        data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
        return web.json_response({"data": data, "results": [SCORED]})

    async with crooked(asked, "/v1/embeddings") as url, ModelClient(url) as client:
        assert await client.embed(["a", "b"], model="m", user="ann") == [[1.0], [2.0]]
    async with crooked(asked, "/v1/moderations") as url, ModelClient(url) as client:
        assert await client.moderate(["a"], user="ben") == [{"violence": 0.1}]
        # A text without scores would count as harmless.
        with pytest.raises(ModelUnavailable):
            await client.moderate(["a", "b"], user="ben")
    assert sent == ["ann", "ben", "ben"]


async def test_the_key_is_sent() -> None:
    sent = []

    async def models(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Authorization"))
        return web.json_response(LISTED)

    async with crooked(models, "/v1/models") as url:
        for key in ("s3cret", ""):
            async with ModelClient(f"{url}/", key) as client:
                assert await client.first("chat") == "fake"
    assert sent == ["Bearer s3cret", None]


@pytest.mark.parametrize("status", [200, 503])
async def test_readiness_lists_ready_and_missing_models(status: int) -> None:
    body = {"models": ["a"], "missing": {"b": "40 %"}}
    given = plainly(json.dumps(body).encode(), status)
    async with crooked(given, "/health/ready") as url, ModelClient(url) as client:
        assert await client.readiness() == Readiness(status == 200, ("a",), {"b": "40 %"})


async def test_the_first_wanted_model_that_is_offered_is_chosen(models: FakeModels) -> None:
    models.listed |= {"other-chat": "chat"}
    offered = ("fake-chat", "other-chat")
    async with ModelClient(models.url) as client:
        assert await client.choose("chat") == ModelChoice("fake-chat", offered)
        assert await client.choose("chat", "", "other-chat") == ModelChoice("other-chat", offered)
        assert await client.choose("chat", "gone", "other-chat") == ModelChoice("other-chat", offered, "gone")
        assert await client.choose("chat", "gone") == ModelChoice("fake-chat", offered, "gone")


@pytest.mark.parametrize(("told", "known"), [(["de", "en"], {"de", "en"}), ([], None), ("en", None), (None, None)])
async def test_a_model_that_does_not_tell_its_languages_may_know_all(
    models: FakeModels, told: object, known: set[str] | None
) -> None:
    models.told_of = {"fake-embeddings": {"languages": told}}
    async with ModelClient(models.url) as client:
        assert await client.languages("embeddings", "fake-embeddings") == known
        assert await client.languages("embeddings", "another") is None


# Closing


async def test_closing_the_generator_closes_the_connection(models: FakeModels) -> None:
    models.gate.clear()
    async with ModelClient(models.url) as client:
        async with aclosing(client.chat(QUESTION, temperature=1, seed=1)) as events:
            assert await anext(events) == Delta("Paris")
            assert models.running == 1
        await models.until(dropped=1, running=0)


# Errors

KEY_REFUSED = "The model server refuses this bot's key; whoever runs it must set the same one on both sides."


async def test_a_server_that_does_not_listen_is_down(unused_tcp_port: int) -> None:
    async with ModelClient(f"http://127.0.0.1:{unused_tcp_port}") as client:
        for call in (answer(client), client.faces(seed=1), client.embed(["a"]), client.readiness()):
            with pytest.raises(ModelUnavailable, match=DOWN):
                await call


async def test_nobody_takes_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first, socket.socket() as next_:
        for taken in (first, next_):
            taken.setblocking(False)
            taken.connect_ex(full.getsockname())
        async with ModelClient(f"http://127.0.0.1:{full.getsockname()[1]}", timing=Timing(connect=0.05)) as client:
            with pytest.raises(ModelUnavailable, match=DOWN):
                await answer(client)


@pytest.mark.parametrize(
    ("status", "code", "kind", "sentence"),
    [
        (400, None, ModelError, "It is too long."),
        (401, None, ModelUnavailable, KEY_REFUSED),
        (403, "invalid_api_key", ModelUnavailable, KEY_REFUSED),
        (403, "foreign_host", ModelUnavailable, "It is too long."),
        (404, None, ModelError, "It is too long."),
        (429, None, Busy, "It is too long."),
        (503, None, ModelUnavailable, "It is too long."),
    ],
)
async def test_a_refusal_has_the_sentence_of_the_server(
    status: int, code: str | None, kind: type, sentence: str
) -> None:
    body = json.dumps({"error": {"message": "It is too long.", "type": "x", "code": code}}).encode()
    error = await refusal(plainly(body, status, Content_Type="application/json"))
    assert type(error) is kind
    assert str(error).startswith(sentence)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"no"', b'{"error": "no"}', b'{"detail": 1}', b"\xff"])
async def test_a_refusal_without_a_sentence_names_the_status(body: bytes) -> None:
    error = await refusal(plainly(body, 502))
    assert type(error) is ModelUnavailable
    assert str(error) == "The model server answered with status 502."
    assert error.sentence.in_language("de") == "Der Modellserver hat mit dem Status 502 geantwortet."


async def test_busy_has_the_seconds_of_the_retry_after_header() -> None:
    error = await refusal(plainly(b"{}", 429, Retry_After="7"))
    assert isinstance(error, Busy)
    assert error.retry_after == 7


@pytest.mark.parametrize(
    "stream",
    [
        b"data: {broken\n\n",
        b"data: 5\n\n",
        b"data: []\n\n",
        b"data: \xff\n\n",
        b'data: {"error": "no"}\n\n',
        b'data: {"error": {}}\n\n',
        b'data: {"error": {"message": "no", "status": "x"}}\n\n',
        word("a"),
        b"",
        b"<html>no stream</html>",
        b"data: " + b"x" * (9 << 20) + b"\n\n",
    ],
    ids=["json", "number", "list", "bytes", "text", "no sentence", "status", "no end", "empty", "html", "long line"],
)
async def test_a_malformed_stream_is_a_broken_connection(stream: bytes) -> None:
    error = await refusal(plainly(stream))
    assert type(error) is ModelUnavailable
    assert str(error) == BROKEN


async def test_a_long_line_is_read() -> None:
    text = "x" * (3 << 20)
    async with crooked(plainly(word(text) + b"data: [DONE]\n\n")) as url, ModelClient(url) as client:
        assert (await answer(client))[0] == Delta(text)


@pytest.mark.parametrize(
    ("told", "kind", "status"),
    [
        ({"status": 400, "type": "invalid_request_error"}, ModelError, 400),
        ({"type": "invalid_request_error"}, ModelError, 400),
        ({"status": 429, "type": "rate_limit_error"}, Busy, 429),
        ({"status": 503, "type": "server_error"}, ModelUnavailable, 503),
        ({"type": "server_error"}, ModelUnavailable, 500),
    ],
)
async def test_an_error_in_the_stream_is_the_same_as_with_a_status(
    told: dict[str, object], kind: type, status: int
) -> None:
    queued = event(choices=[], tempera={"queue": {"place": 1, "eta_s": 1}})
    for begun in (queued, queued + word("a")):
        error = await refusal(plainly(begun + event(error={"message": "It is too long."} | told)))
        assert (type(error), str(error), error.status) == (kind, "It is too long.", status)


async def test_a_stream_that_breaks_off_is_a_broken_connection() -> None:
    async with crooked(broken_off(word("a"))) as url, ModelClient(url) as client:
        events = client.chat(QUESTION, temperature=1, seed=1)
        assert await anext(events) == Delta("a")
        with pytest.raises(ModelUnavailable, match=BROKEN):
            await anext(events)


@pytest.mark.parametrize("body", [b"", b"{broken", b"[]", b"<html>"])
async def test_a_malformed_picture_response_is_a_broken_connection(body: bytes) -> None:
    given = plainly(body, Content_Type="application/json")
    async with crooked(given, "/v1/images/generations") as url, ModelClient(url) as client:
        with pytest.raises(ModelUnavailable, match=BROKEN):
            await client.faces(seed=1)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/chat/completions"])
async def test_an_answer_that_is_too_large_is_not_read(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "MAX_ANSWER_BYTES", 9000)
    choice = b'{"message": {"content": "x"}, "finish_reason": "stop"}'
    body = b'{"data": [], "choices": [' + choice + b"]" + b" " * 9000 + b"}"
    given = plainly(body, Content_Type="application/json")
    async with crooked(given, path) as url, ModelClient(url) as client:
        with pytest.raises(ModelUnavailable, match=BROKEN):
            await (client.embed([]) if "embed" in path else answer(client))


async def test_a_task_without_a_model_is_unavailable() -> None:
    given = plainly(b'{"data": [{"id": "nomic-embed-text"}]}', Content_Type="application/json")
    async with crooked(given, "/v1/models") as url, ModelClient(url) as client:
        with pytest.raises(ModelUnavailable, match="There is no model for chat"):
            await answer(client)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
async def test_readiness_of_another_server_is_an_error(body: bytes) -> None:
    async with crooked(plainly(body), "/health/ready") as url, ModelClient(url) as client:
        with pytest.raises(ModelUnavailable, match=DOWN):
            await client.readiness()
