"""Asks questions with checkable answers through the bot: a small model, the default one, and llama.cpp with its file.

llama.cpp gets the messages and parameters that the bot sent to the default model, word for word.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from model_server.errors import OperatorError
from research import DATA
from research.bench.answers.chat_bot import ELLIPSIS, ask_bot, start_bot
from research.bench.answers.questions import load_questions
from research.bench.answers.recorder import CHAT_PATH, StreamedAnswer, recording
from research.bench.answers.table import DEFAULT, PEER_NAME, SMALL, Verdict, describe_failures, tabulate
from research.bench.language.command import find_model
from research.bench.machine import ProgressLine, describe_machine, report_stage
from research.bench.peers import WHEEL as PEER
from research.bench.peers import require_peer, start_llama_cpp
from research.bench.servers import CLIENTS, start_tempera
from research.bench.streams import read_error

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Sequence

    from research.bench.answers.chat_bot import BotAnswer
    from research.bench.answers.questions import Question
    from research.bench.answers.recorder import RecordedChat
    from research.bench.machine import BenchOptions

SMALL_MODEL, DEFAULT_MODEL = "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct"
TRIES = 3
HELD_OUT = DATA / "answers" / "held_out.jsonl"
HELPERS = ("embedding", "moderation")
"""The engines whose models the bot asks as well: about its lessons, and about the safety of what is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersPlan:
    """Which questions are asked, and of whom beside the default model."""

    small: str = SMALL_MODEL
    questions: Path = HELD_OUT
    without: frozenset[str] = frozenset()
    """Which of the small model and llama.cpp are left out."""
    failures: bool = False
    """Whether to print what was answered wrongly."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark to those that all have."""
    parser.add_argument("--small", default=SMALL_MODEL, metavar="MODEL", help="the small model (default: %(default)s)")
    parser.add_argument(
        "--questions", type=Path, default=HELD_OUT, metavar="FILE", help="default: research/data/answers/held_out.jsonl"
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=[SMALL, PEER_NAME],
        help="ask only the others; may be repeated",
    )
    parser.add_argument("--failures", action="store_true", help="print the questions that were answered wrongly")


async def answers(options: BenchOptions, plan: AnswersPlan) -> AsyncIterator[str]:
    """Ask all questions and return the text to print, part by part. Raises OperatorError if that cannot be done."""
    if plan.failures and plan.questions.resolve() == HELD_OUT:
        raise OperatorError(
            "Nobody should read the held-out questions while they change the bot, so --failures does not print them; "
            "name other questions, such as --questions research/data/answers/tuning.jsonl."
        )
    questions = await asyncio.to_thread(load_questions, plan.questions)
    if PEER_NAME not in plan.without:
        require_peer()
    names = {SMALL: plan.small, DEFAULT: options.model}
    sides = {side: replace(options, model=name) for side, name in names.items() if side not in plan.without}
    files = {side: await asyncio.to_thread(find_model, asked) for side, asked in sides.items()}
    helpers = [entry.name for entry in options.catalogue().values() if entry.engine in HELPERS]
    verdicts: dict[str, list[Verdict]] = {}
    packages = ["torch", "transformers", *([PEER] if PEER_NAME not in plan.without else [])]
    yield f"{describe_machine(options, *packages)}\n{len(questions)} questions of {plan.questions.name}\n"
    shown: dict[str, list[BotAnswer]] = {}
    for side, asked in sides.items():
        report_stage(f"the answers of {asked.model}")
        shown[side] = await ask_model(asked, helpers, questions)
        verdicts[side] = [_judge(question, answer) for question, answer in zip(questions, shown[side], strict=True)]
    if PEER_NAME not in plan.without:
        report_stage(f"the answers of {PEER_NAME}")
        _, _, gguf = files[DEFAULT]
        async with start_llama_cpp(gguf, options.threads) as server:
            verdicts[PEER_NAME] = await ask_peer(server.session, questions, shown[DEFAULT])
    yield tabulate(questions, verdicts)
    if plan.failures:
        yield describe_failures(questions, verdicts)


async def ask_model(options: BenchOptions, helpers: Sequence[str], questions: Sequence[Question]) -> list[BotAnswer]:
    """Ask the bot all questions while its model server has the model of `options`."""
    progress = ProgressLine(len(questions))
    async with (
        start_tempera(options, helpers) as server,
        recording(server.session) as recorder,
        start_bot(recorder.url) as url,
    ):
        return await ask_bot(url, recorder, [question.text for question in questions], progress.advance)


async def ask_peer(
    session: aiohttp.ClientSession, questions: Sequence[Question], shown: Sequence[BotAnswer]
) -> list[Verdict]:
    """Send the chats behind the bot's answers to another server, several at a time, and judge what it answers.

    A question without a chat was refused by the bot, so it counts as not answered. Raises OperatorError if the server
    refuses or fails.
    """
    progress, free = ProgressLine(len(questions)), asyncio.Semaphore(CLIENTS)

    async def ask_one(question: Question, ours: BotAnswer) -> Verdict:
        chat = ours.chat
        async with free:
            answer = StreamedAnswer() if chat is None else await _stream(session, chat)
        progress.advance()
        return Verdict(
            text=answer.text,
            is_right=chat is not None and question.is_answered_by(answer.text),
            is_cut=answer.finish_reason == "length",
            is_refused=chat is None,
            has_lesson=ours.has_lesson,
        )

    try:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ask_one(*pair)) for pair in zip(questions, shown, strict=True)]
    except* OperatorError as group:
        raise group.exceptions[0] from None
    return [task.result() for task in asked]


async def _stream(session: aiohttp.ClientSession, chat: RecordedChat) -> StreamedAnswer:
    """Return the answer to a chat. Raises OperatorError if the server refuses, or does not finish it."""
    answer = StreamedAnswer()
    for tries_left in reversed(range(TRIES)):
        try:
            async with session.post(CHAT_PATH, json=chat.body) as response:
                if response.status != 200:
                    raise OperatorError(f"{PEER_NAME} refused: {await read_error(response)}")
                async for part in response.content.iter_any():
                    answer.feed(part)
                break
        except aiohttp.ClientError as error:
            # A server may close a connection that was idle at the moment in which it is used again.
            if answer.text or not tries_left:
                raise OperatorError(f"The connection to {PEER_NAME} failed: {error}.") from None
    if not answer.finish_reason:
        raise OperatorError(f"{PEER_NAME} did not finish an answer. {answer.error}".strip())
    return answer


def _judge(question: Question, answer: BotAnswer) -> Verdict:
    is_cut = answer.chat is not None and answer.chat.answer.finish_reason == "length"
    return Verdict(
        text=answer.text,
        is_right=answer.chat is not None and question.is_answered_by(answer.text),
        is_cut=is_cut,
        is_cut_unseen=is_cut and not answer.text.endswith(ELLIPSIS),
        is_refused=answer.chat is None,
        has_lesson=answer.has_lesson,
    )
