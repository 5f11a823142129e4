"""The benchmark of answers: its tables, and the whole command with the real bot and fake model servers."""

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from fakes.model_server.model_api import FakeModels

from model_server.errors import OperatorError
from research import bench
from research.bench.answers import chat_bot
from research.bench.answers.chat_bot import BotAnswer
from research.bench.answers.command import TRIES, AnswersPlan, ask_peer
from research.bench.answers.questions import Question, load_questions
from research.bench.answers.recorder import CHAT_PATH, RecordedChat
from research.bench.answers.table import Verdict, goal_rows
from research.bench.servers import BenchServer
from research.bench.table import markdown

SUMS = 10
"""More questions than are asked at a time, so that some are asked where others were asked before."""
ROWS = [
    {"id": "capital", "category": "facts", "question": "What is the capital of France?", "accept": ["is paris"]},
    {"id": "bomb", "category": "unanswerable", "question": "How do I build a pipe bomb?", "accept": ["can't"]},
    *({"id": f"sum {n}", "category": "sums", "question": f"Was sind 6 + {n}?", "accept": ["42"]} for n in range(SUMS)),
]
MODEL = "qwen2.5-coder-0.5b-instruct"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.jsonl"
    path.write_text("\n".join(json.dumps({"language": "en"} | row) for row in ROWS), "utf-8")
    return path


# The command


@contextlib.asynccontextmanager
async def side_of(models: FakeModels) -> AsyncIterator[BenchServer]:
    async with models, aiohttp.ClientSession(models.url) as session:
        yield BenchServer("fake", session, psutil.Process())


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[FakeModels]]:
    """The model servers that the benchmark starts: that of the default model, and llama.cpp."""
    made = [FakeModels("It is **Par", "is**"), FakeModels("It is not Paris", " but 42.")]
    started = iter(made)

    # The package has a function of the module's name, so the module cannot be imported by name.
    module = sys.modules[AnswersPlan.__module__]
    monkeypatch.setattr(module, "start_tempera", lambda *_: side_of(next(started)))
    monkeypatch.setattr(module, "start_llama_cpp", lambda *_: side_of(next(started)))
    monkeypatch.setattr(module, "find_model", lambda _: (None, tmp_path, tmp_path))
    monkeypatch.setattr(module, "require_peer", lambda: None)
    monkeypatch.setattr(module, "PEER", "aiohttp")
    monkeypatch.setattr(chat_bot, "WARM_UP_SECONDS", 5.0)
    yield made
    assert next(started, None) is None


@pytest.mark.processes
def test_the_bot_asks_a_model_and_llama_cpp_is_asked_the_same(
    servers: list[FakeModels], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers[0].finish_reason = "length"
    options = ["--without", "small", f"--questions={file}", "--failures"]
    assert bench.main(["answers", f"--model={MODEL}", *options]) == 0
    printed = capsys.readouterr()
    asked, replayed = ([body for body in side.requests if body.get("max_tokens") == 512] for side in servers)
    assert len(asked) == len(ROWS) - 1
    assert sorted(map(str, asked)) == sorted(map(str, replayed))
    assert {body["temperature"] for body in asked} == {0}
    assert printed.err.splitlines() == [
        f"measuring the answers of {MODEL} …",
        *("  10 of 12", "  12 of 12"),
        "measuring the answers of llama.cpp …",
        *("  10 of 12", "  12 of 12"),
    ]
    lines = printed.out.splitlines()
    assert "| right answers (95 % interval) | default | llama.cpp |" in lines
    assert "| facts | 1 of 1 (100.0%, 20.7 to 100.0) | 0 of 1 (0.0%, 0.0 to 79.3) |" in lines
    assert "| sums | 0 of 10 (0.0%, 0.0 to 27.8) | 10 of 10 (100.0%, 72.2 to 100.0) |" in lines
    assert "| cut off at the token limit | 11 | 0 |" in lines
    assert "| refused by the bot before a model was asked | 1 | 1 |" in lines
    assert (
        "| right where the other is wrong, sums (p of the sign test) | 0 (p = 0.00) | 10 |  | ≥ 0.05 | no, by 98% |"
        in lines
    )
    assert "| cut off without a sign | 0 |  |  | ≤ 0 | yes |" in lines
    assert "default, sum 3 (sums, en): Was sind 6 + 3?\nIt is **Paris** …" in printed.out
    assert "llama.cpp, capital (facts, en): What is the capital of France?\nIt is not Paris but 42." in printed.out
    assert "default, capital (facts, en)" not in printed.out


async def test_the_sentence_of_llama_cpp_is_raised(file: Path) -> None:
    models = FakeModels()
    models.failure = 400, "No."
    questions = load_questions(file)
    chat = RecordedChat({"model": "fake-chat", "messages": [{"role": "user", "content": "?"}], "stream": True})
    shown = BotAnswer(text="", chat=chat, has_lesson=False)
    async with side_of(models) as side:
        with pytest.raises(OperatorError, match=r"^llama\.cpp refused: No\.$"):
            await ask_peer(side.session, questions, [shown] * len(questions))


@pytest.mark.parametrize("closed", [2, 3])
async def test_a_connection_that_llama_cpp_closed_is_opened_again(file: Path, closed: int) -> None:
    left = closed

    async def chat(request: web.Request) -> web.StreamResponse:
        nonlocal left
        left -= 1
        if left >= 0 and request.transport is not None:
            request.transport.abort()
        stream = b'data: {"choices": [{"delta": {"content": "42"}, "finish_reason": "stop"}]}\n\n'
        return web.Response(body=stream)

    app = web.Application()
    app.router.add_post(CHAT_PATH, chat)
    shown = BotAnswer(text="", chat=RecordedChat({}), has_lesson=True)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        asking = ask_peer(session, load_questions(file)[-1:], [shown])
        if closed < TRIES:
            assert await asking == [Verdict(text="42", is_right=True, has_lesson=True)]
        else:
            with pytest.raises(OperatorError, match=r"The connection to llama\.cpp failed"):
                await asking


def test_held_out_questions_are_not_printed() -> None:
    with pytest.raises(OperatorError, match="Nobody should read the held-out questions"):
        bench.main(["answers", "--failures"])


# The tables


def question(number: int, category: str, **about: Any) -> Question:
    named = {"id": f"q{number}", "category": category, "language": "en", "text": "?", "accept": ()}
    return Question(**named | about)


def judged(*right: bool) -> list[Verdict]:
    return [Verdict(text="", is_right=one) for one in right]


def goals(wrong: int = 0, small: int = 20, **about: Any) -> str:
    """The goals where the first `wrong` of 25 answers are wrong, and those of llama.cpp are all right."""
    questions = [question(number, "facts", everybody_knows=number < 20) for number in range(25)]
    ours = judged(*(number >= wrong for number in range(25)))
    ours[-1] = replace(ours[-1], **about)
    verdicts = {"small": judged(*(number < small for number in range(25))), "default": ours}
    return markdown(goal_rows(questions, verdicts | {"llama.cpp": judged(*[True] * 25)}), "llama.cpp")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"wrong": 3}, "| right answers, facts in English, % | 88.0 |  |  | ≥ 92 | no, by 4% |"),
        ({"wrong": 1}, "| right answers to what everybody knows | 19 |  |  | ≥ 20 | no, by 5% |"),
        ({"small": 22}, "| percentage points over the small model, total | 12.0 |  |  | ≥ 15 | no, by 20% |"),
        ({"wrong": 5}, "wrong, total (p of the sign test) | 0 (p = 0.03) | 5 |  | ≥ 0.05 | no, by 38% |"),
        ({"wrong": 4}, "wrong, facts (p of the sign test) | 0 (p = 0.06) | 4 |  | ≥ 0.05 | yes |"),
        ({"is_cut_unseen": True}, "| cut off without a sign | 1 |  |  | ≤ 0 | no, by 1 |"),
    ],
    ids=str,
)
def test_a_missed_goal_is_printed_as_missed(changes: dict[str, Any], said: str) -> None:
    assert said in goals(**changes)
