"""Asks questions of the real bot, which runs in a process of its own, over the WebSocket of its web chat."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from model_server.errors import OperatorError
from research.bench.servers import CLIENTS, find_free_port, start_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from research.bench.answers.recorder import RecordedChat, Recorder

ANSWER_SECONDS = 3600.0
"""The longest time that an answer may take, with those that the model server gives at the same time."""
WARM_UP_SECONDS, WARM_UP_PAUSE_SECONDS = 120.0, 0.5
COMMAND, WARM_UP = "/ask temperature:0", "max_tokens:1 What is a language model?"
ELLIPSIS = "…"
"""The end of an answer that the bot shows as cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BotAnswer:
    """What the bot shows as its answer to a question, and the chat with the model behind it.

    There is no chat if the bot refused the question itself.
    """

    text: str
    chat: RecordedChat | None
    has_lesson: bool


@contextlib.asynccontextmanager
async def start_bot(models_url: str) -> AsyncIterator[str]:
    """Run the bot with a model server, and a home of its own that is deleted; yield the address of its web chat."""
    with tempfile.TemporaryDirectory(prefix="tempera-bench-") as home:
        port = find_free_port()
        command = ["-m", "research.bench.answers.bot_process", home, str(port), models_url]
        async with start_server("The bot", command, {}, port, "/", {}):
            yield f"http://127.0.0.1:{port}"


class Visitor:
    """A visitor of the web chat, who asks one question after another."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.id = ""
        self._socket = socket
        self._seen: set[int] = set()
        self._refs = itertools.count(1)

    async def enter(self) -> None:
        """Read the chat's welcome."""
        self.id = (await self._read("welcome"))["you"]["id"]

    async def ask(self, line: str) -> dict[str, Any]:
        """Send a line and return the last reply to it. Raises OperatorError if none comes."""
        ref = f"r{next(self._refs)}"
        await self._socket.send_json({"type": "say", "text": line, "ref": ref})
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while True:
                    message = await self._read("exchange", "refused")
                    if message["type"] == "refused" and message["ref"] == ref:
                        return {"text": message["text"], "error": True, "card": []}
                    if message["type"] == "exchange" and self._is_new_answer(message):
                        reply: dict[str, Any] = message["reply"]
                        return reply
        except TimeoutError:
            raise OperatorError(f"The bot gave no answer within {ANSWER_SECONDS:g} seconds.") from None

    def _is_new_answer(self, exchange: dict[str, Any]) -> bool:
        if not (exchange["mine"] and exchange["reply"]["final"]) or exchange["id"] in self._seen:
            return False
        self._seen.add(exchange["id"])
        return True

    async def _read(self, *kinds: str) -> dict[str, Any]:
        while True:
            received = await self._socket.receive()
            if received.type is not aiohttp.WSMsgType.TEXT:
                raise OperatorError("The bot closed its chat in the middle of the questions.")
            message: dict[str, Any] = received.json()
            if message["type"] in kinds:
                return message


async def ask_bot(
    url: str, recorder: Recorder, questions: Sequence[str], on_answer: Callable[[], None]
) -> list[BotAnswer]:
    """Ask the bot all questions, several at a time, each in a conversation of its own. Returns the answers in order.

    Raises OperatorError if the bot or its model server fails.
    """
    answers: dict[int, BotAnswer] = {}
    waiting = iter(enumerate(questions))

    async def ask_in_turn() -> None:
        async with _visit(url) as visitor:
            for number, question in waiting:
                answers[number] = await _ask(visitor, recorder, question)
                on_answer()

    async with _visit(url) as visitor:
        await _wait_for_lessons(visitor, recorder)
    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(CLIENTS, len(questions))):
                tasks.create_task(ask_in_turn())
    except* OperatorError as group:
        raise group.exceptions[0] from None
    return [answers[number] for number in range(len(questions))]


async def _ask(visitor: Visitor, recorder: Recorder, question: str) -> BotAnswer:
    earlier = len(recorder.chats)
    reply = await visitor.ask(f"{COMMAND} {question}")
    chats = [chat for chat in recorder.chats[earlier:] if chat.user == visitor.id]
    for chat in chats:
        _check(chat, question)
        if not chat.answer.finish_reason:
            raise OperatorError(f"The bot could not answer: {chat.answer.error or reply['text']}")
    return BotAnswer(
        text=reply["text"],
        chat=chats[-1] if chats else None,
        has_lesson=any(name == "lesson" for name, _ in reply["card"]),
    )


def _check(chat: RecordedChat, question: str) -> None:
    """Raise OperatorError unless the bot sent the system prompt and the whole question, and no earlier turns."""
    turns = chat.body["messages"]
    if [turn["role"] for turn in turns] != ["system", "user"] or not turns[-1]["content"].endswith(question):
        raise OperatorError("The bot sent something else to the model than its system prompt and the question.")


async def _wait_for_lessons(visitor: Visitor, recorder: Recorder) -> None:
    """Ask until the bot looks questions up by embeddings, too; go on without them if that takes too long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WARM_UP_SECONDS):
            while visitor.id not in recorder.embedded_for:
                await visitor.ask(f"{COMMAND} {WARM_UP}")
                await asyncio.sleep(WARM_UP_PAUSE_SECONDS)


@contextlib.asynccontextmanager
async def _visit(url: str) -> AsyncIterator[Visitor]:
    # By default aiohttp keeps no cookies for IP addresses, and the chat's address is one.
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
        session.ws_connect(f"{url}/socket", origin=url, max_msg_size=0) as socket,
    ):
        visitor = Visitor(socket)
        await visitor.enter()
        yield visitor
