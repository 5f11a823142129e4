"""What the bot asks of a server, asked of every kind: ours, real ones by others, and two as they are documented.

Their answers differ, and `Served` says how. Since some take long to start, all is asked in one test for each.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.model_server.gateway import running_gateway
from fakes.upstreams import programs
from fakes.upstreams.documented import LMStudio, Ollama
from PIL import Image

from bot import Answered, Delta, Drawn, Token, Turn
from bot.core.errors import ModelError
from bot.documents.pictures import shrink_picture
from bot.inference.client import ModelClient
from bot.inference.trial import try_out
from bot.inference.upstreams.upstream import Address, Upstream

PATIENCE_SECONDS = 300
"""Time after which one thing has been waited for too long; a first answer may compile."""
SMALL_MODEL = "qwen2.5-coder-0.5b-instruct"
QUESTION = "Say hello to the whole class in one short and friendly sentence, please."
COUNT = "Count from one to a thousand in words."
TOO_LONG = "word " * 5000


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server, its models, and what it does where servers differ.

    `likely` is how many of the most probable tokens it tells, and `left_out` the options that it refuses. It `goes_on`
    with an answer that has begun. With `strict` it refuses the name of a model that it does not have. `too_long` is a
    question that it refuses to read; "" if it reads any. `endless` is a question whose answer does not end while a test
    waits for it. With `reads_pictures` its model does, and what it sees changes what it says; with `refuses_pictures`
    it says that it cannot.
    """

    url: str
    chat: str
    key: str = ""
    name: str = "other"
    embeddings: str = ""
    images: str = ""
    likely: int = 20
    left_out: tuple[str, ...] = ()
    goes_on: bool = True
    strict: bool = True
    too_long: str = TOO_LONG
    endless: str = COUNT
    reads_pictures: bool = False
    refuses_pictures: bool = False

    @property
    def shown(self) -> str:
        """What people call its model."""
        return f"{self.chat}@{self.name}" if self.name else self.chat


@pytest.fixture
def ours(real_server: Callable[..., str]) -> Served:
    url = real_server(SMALL_MODEL, "all-minilm-l6-v2")
    return Served(url=url, chat=SMALL_MODEL, name="", embeddings="all-minilm-l6-v2")


@pytest.fixture
def llama_cpp(weights: Callable[..., object]) -> Iterator[Served]:
    programs.require()
    [gguf] = weights(SMALL_MODEL).folder.glob("*.gguf")
    with programs.llama_cpp(gguf) as url:
        yield Served(url=url, chat=gguf.name, strict=False, refuses_pictures=True)


@contextmanager
def _transformers(folder: Path, **more: bool) -> Iterator[Served]:
    programs.require()
    with programs.transformers_serve(folder) as url:
        yield Served(url=url, chat=folder.name, likely=0, left_out=("min_p",), goes_on=False, too_long="", **more)


@pytest.fixture
def transformers_serve(tmp_path: Path) -> Iterator[Served]:
    with _transformers(tmp_path / "tiny") as served:
        yield served


@pytest.fixture
def transformers_vision(tmp_path: Path) -> Iterator[Served]:
    with _transformers(tmp_path / "tiny-vl", reads_pictures=True) as served:
        yield served


@pytest.fixture
def litellm(tmp_path: Path) -> Iterator[Served]:
    programs.require()
    models = {"small-chat": "parrot", "text-embedding-small": "ruler", "small-flux": "sketcher"}
    with (
        running_gateway(tmp_path, sketches=True) as behind,
        programs.litellm_proxy(tmp_path, behind.url, models) as url,
    ):
        yield Served(
            url=url,
            chat="small-chat",
            key=programs.PROXY_KEY,
            embeddings="text-embedding-small",
            images="small-flux",
            left_out=("min_p",),
            too_long="refuse",
            endless="forever",
        )


@pytest.fixture
def vllm(tmp_path: Path) -> Iterator[Served]:
    programs.require()
    with programs.vllm(tmp_path / "tiny") as url:
        yield Served(url=url, chat="tiny")


@pytest.fixture
async def ollama() -> AsyncIterator[Served]:
    async with Ollama() as server:
        yield Served(
            url=server.url,
            chat=server.chat,
            embeddings=server.embeddings,
            likely=server.likely,
            left_out=("min_p",),
            too_long="",
            endless="forever",
        )


@pytest.fixture
async def lm_studio() -> AsyncIterator[Served]:
    async with LMStudio() as server:
        yield Served(
            url=server.url,
            chat="qwen/qwen3-4b",
            embeddings=server.embeddings,
            likely=0,
            left_out=("min_p",),
            endless="forever",
        )


KINDS = (
    pytest.param("ours", marks=pytest.mark.weights),
    pytest.param("llama_cpp", marks=pytest.mark.weights),
    pytest.param("transformers_serve", marks=pytest.mark.processes),
    pytest.param("transformers_vision", marks=pytest.mark.processes),
    pytest.param("litellm", marks=pytest.mark.processes),
    *([pytest.param("vllm", marks=pytest.mark.processes)] if (programs.VLLM / ".ready").exists() else []),
    "ollama",
    "lm_studio",
)


@pytest.fixture(params=KINDS)
def served(request: pytest.FixtureRequest) -> Served:
    started: Served = request.getfixturevalue(request.param)
    return started


async def test_a_server_gives_the_bot_what_it_asks_for(served: Served) -> None:
    async with connected(served) as client:
        for check in (
            lists_its_models,
            streams_an_answer,
            is_tried_out,
            tells_likely_tokens,
            tells_the_odds,
            goes_on_where_an_answer_began,
            reads_or_refuses_what_is_too_long,
            stops_when_nobody_listens,
            answers_several_at_once,
            refuses_a_model_that_it_lacks,
            turns_texts_into_vectors,
            sees_pictures,
            draws_a_picture,
        ):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await check(client, served)


async def lists_its_models(client: ModelClient, served: Served) -> None:
    listed = await client.listed("chat", "embeddings")
    assert served.shown in listed["chat"]
    assert bool(listed["embeddings"]) is bool(served.embeddings)
    assert not any("/tmp" in name or "/root" in name for names in listed.values() for name in names)


async def streams_an_answer(client: ModelClient, served: Served) -> None:
    _, last = await answer(client, max_tokens=2, min_p=0.05)
    assert (last.model, last.finish_reason, last.completion_tokens) == (served.shown, "length", 2)
    assert last.prompt_tokens > 2
    assert (last.dropped_turns, last.left_out, last.sent_to) == (0, served.left_out, "")


async def is_tried_out(client: ModelClient, served: Served) -> None:
    """Check what `tempera doctor` finds out, also that the same seed writes the same text."""
    trial = await try_out(client, PATIENCE_SECONDS)
    found = (trial.tried, trial.repeats, trial.likely, trial.goes_on, trial.counts)
    assert found == (served.shown, True, served.likely, served.goes_on, True)
    assert (trial.seeing, trial.blind) == (served.shown if served.reads_pictures else "", "")


async def tells_likely_tokens(client: ModelClient, served: Served) -> None:
    tokens, text = list[Token](), ""
    async for event in client.chat([Turn("user", QUESTION)], temperature=1, seed=1, max_tokens=3, likely=20):
        if isinstance(event, Delta):
            tokens += event.tokens
            text += event.text
    assert max((len(token.likely) for token in tokens), default=0) == served.likely
    if tokens:
        # One engine here tells its tokens without the spaces between them.
        assert "".join(token.text for token in tokens).replace(" ", "") == text.replace(" ", "")
        assert all(0 < likely.probability <= 1 for token in tokens for likely in token.likely)


async def tells_the_odds(client: ModelClient, served: Served) -> None:
    if not served.likely:
        with pytest.raises(ModelError, match="does not tell how probable its tokens are"):
            await client.dial("The sky is")
        return
    dial, again = [await client.dial("The sky is", seed=5) for _ in range(2)]
    assert dial.is_partial is bool(served.name)
    # Parts of characters look alike in some formats.
    assert len(dial.candidates) > served.likely / 2
    total = sum(one.after for one in dial.candidates)
    assert total == pytest.approx(1) if dial.is_partial else 0.5 < total < 1.001
    # Probabilities differ in their last digits with what else a server computes.
    assert dial.drawn.bytes == again.drawn.bytes


async def goes_on_where_an_answer_began(client: ModelClient, served: Served) -> None:
    began = Turn("assistant", "Hello, dear")
    if not served.goes_on:
        with pytest.raises(ModelError, match="cannot go on from the middle of an answer"):
            await answer(client, began, goes_on=True)
        return
    text, last = await answer(client, began, goes_on=True, max_tokens=1)
    assert last.completion_tokens == 1
    assert not text.startswith("Hello, dear")


async def reads_or_refuses_what_is_too_long(client: ModelClient, served: Served) -> None:
    if not served.too_long:
        assert (await answer(client, Turn("user", TOO_LONG), max_tokens=1))[1].completion_tokens == 1
        return
    with pytest.raises(ModelError) as caught:
        await answer(client, Turn("user", served.too_long), max_tokens=1)
    assert_is_for_users(caught.value)
    assert caught.value.status == 400


async def stops_when_nobody_listens(client: ModelClient, served: Served) -> None:
    """Check that an answer ends with its connection: else a server with one place would answer nobody any more."""
    async with aclosing(client.chat([Turn("user", served.endless)], temperature=1, seed=1)) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
    assert (await answer(client, max_tokens=1))[1].completion_tokens == 1


async def answers_several_at_once(client: ModelClient, served: Served) -> None:
    answers = await asyncio.gather(*(answer(client, seed=seed, max_tokens=2) for seed in range(3)))
    assert all(last.completion_tokens for _, last in answers)


async def refuses_a_model_that_it_lacks(client: ModelClient, served: Served) -> None:
    if not served.strict:
        assert (await answer(client, model="no-such-model", max_tokens=1))[0]
        return
    with pytest.raises(ModelError) as caught:
        await answer(client, model="no-such-model")
    assert_is_for_users(caught.value)


async def turns_texts_into_vectors(client: ModelClient, served: Served) -> None:
    if served.embeddings:
        short, long, again = await client.embed(["one", "a long text", "one"])
        assert short == again != long
        assert len(short) == len(long) > 1


async def sees_pictures(client: ModelClient, served: Served) -> None:
    readers = (await client.choose("chat", served.shown)).picture_readers
    assert (served.shown in readers) is served.reads_pictures
    if served.refuses_pictures:
        with pytest.raises(ModelError, match="failed with this picture"):
            await answer(client, Turn("user", QUESTION, (picture("red"),)), max_tokens=1)
    if not served.reads_pictures:
        return
    shown = [(), (picture("red"),), (picture("blue"),), (picture("red"),)]
    blind, red, blue, again = [
        await answer(client, Turn("user", QUESTION, pictures), temperature=0, max_tokens=8) for pictures in shown
    ]
    assert red[0] == again[0] != blue[0] != ""
    assert red[1].prompt_tokens == blue[1].prompt_tokens > blind[1].prompt_tokens


async def draws_a_picture(client: ModelClient, served: Served) -> None:
    if not served.images:
        return
    *_, drawn = [event async for event in client.imagine("a cat", seed=7, steps=3)]
    assert isinstance(drawn, Drawn)
    assert (drawn.model, drawn.repeats) == (f"{served.images}@{served.name}", False)
    (file,) = drawn.files
    with Image.open(io.BytesIO(file)) as shown:
        assert shown.size == (drawn.width, drawn.height)


def picture(colour: str) -> bytes:
    """Return a picture as the bot sends it to a model."""
    file = io.BytesIO()
    Image.new("RGB", (400, 300), colour).save(file, "PNG")
    return shrink_picture(file.getvalue())


def connected(served: Served) -> ModelClient:
    """Return the client of a server as the configuration would make it."""
    if not served.name:
        return ModelClient(served.url)
    address = Address(url=served.url, base=f"{served.url}/v1", key=served.key, name=served.name)
    return ModelClient.over([Upstream(address)])


async def answer(client: ModelClient, *more: Turn, **options: object) -> tuple[str, Answered]:
    """Return the text of an answer to the question, or to what comes after it, and its facts."""
    question = [Turn("user", QUESTION)] if not more or more[0].role == "assistant" else []
    options = {"temperature": 1, "seed": 1, **options}
    events = [event async for event in client.chat([*question, *more], **options)]
    assert isinstance(events[-1], Answered)
    return "".join(event.text for event in events if isinstance(event, Delta)), events[-1]


def assert_is_for_users(error: ModelError) -> None:
    """Check that an error is a sentence without a path, a class or a key."""
    assert str(error).endswith((".", ":", ")")) or "“" in str(error)
    assert not any(part in str(error) for part in ("\n", "/tmp", "/root", "litellm.", "Exception", "sk-"))
