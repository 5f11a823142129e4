"""Questions to the real bot in this process, with a fake model server behind the recorder."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from fakes.core.whole_bot import running
from fakes.model_server.model_api import FakeModels

from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform
from model_server.errors import OperatorError
from research.bench.answers import chat_bot
from research.bench.answers.chat_bot import BotAnswer, Visitor, ask_bot
from research.bench.answers.recorder import Recorder, recording


@contextlib.asynccontextmanager
async def served(folder: Path, models: FakeModels, **more: Any) -> AsyncIterator[tuple[str, Recorder]]:
    """Run a bot; yield the address of its web chat, and the recorder before its model server."""
    async with models, aiohttp.ClientSession(models.url) as session, recording(session) as recorder:
        behind: Any = SimpleNamespace(url=recorder.url)
        async with (
            running(f"sqlite:///{folder}/tempera.db", behind, **more) as bot,
            WebPlatform(bot, WebSection(port=0)).serve() as url,
        ):
            yield url, recorder


async def asked(folder: Path, models: FakeModels, questions: list[str], **more: Any) -> list[BotAnswer]:
    counted: list[None] = []
    async with served(folder, models, **more) as (url, recorder):
        answers = await ask_bot(url, recorder, questions, lambda: counted.append(None))
    assert len(counted) == len(questions)
    return answers


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """These bots have no lessons, for which `ask_bot` would wait."""
    monkeypatch.setattr(chat_bot, "WARM_UP_SECONDS", 0.0)


async def test_answers_come_in_order_each_with_its_own_chat(tmp_path: Path) -> None:
    questions = [f"What is {number} + {number}?" for number in range(20)]
    answers = await asked(tmp_path, FakeModels("It is", " even."), questions, retention_days=0)
    assert [answer.text for answer in answers] == ["It is even."] * 20
    assert [answer.chat and answer.chat.body["messages"][-1]["content"] for answer in answers] == questions


def test_a_conversation_that_goes_on_is_no_measurement() -> None:
    turns = [{"role": role, "content": "And two?"} for role in ("system", "user", "assistant", "user")]
    with pytest.raises(OperatorError, match="sent something else to the model"):
        chat_bot._check(SimpleNamespace(body={"messages": turns}), "And two?")  # type: ignore[arg-type]


async def test_a_failure_of_the_model_server_ends_the_benchmark(tmp_path: Path) -> None:
    models = FakeModels()
    models.failure = 500, "It broke."
    with pytest.raises(OperatorError, match="The bot could not answer: It broke"):
        await asked(tmp_path, models, ["Why?"], retention_days=0)


class ScriptedSocket:
    """A WebSocket that receives prepared messages."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self._messages = list(messages)

    async def send_json(self, message: dict[str, Any]) -> None:
        """Take a line."""

    async def receive(self) -> aiohttp.WSMessage:
        message = self._messages.pop(0)
        return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, json.dumps(message), "")


def exchange(number: int, text: str, *, final: bool = True, mine: bool = True) -> dict[str, Any]:
    return {"type": "exchange", "id": number, "mine": mine, "reply": {"text": text, "final": final}}


async def test_a_final_answer_that_is_sent_again_is_no_answer_to_the_next_question() -> None:
    first = [exchange(1, "On", final=False), exchange(2, "Others.", mine=False), exchange(1, "One.")]
    socket: Any = ScriptedSocket(*first, exchange(1, "One."), exchange(3, "Two."))
    visitor = Visitor(socket)
    assert [(await visitor.ask(line))["text"] for line in ("1", "2")] == ["One.", "Two."]
