"""Measures what a long conversation costs: its 200th question, compared with its tenth."""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING

from research.bench.streams import WORDS, ask

if TYPE_CHECKING:
    from research.bench.servers import BenchServer

EARLY, LATE = range(7, 14), range(190, 211)
"""The questions that are asked, around the tenth and the 200th: their means are compared, since few of them are cut."""
PAUSE_SECONDS = 10.0
"""How long after an answer the next question comes: few people read an answer and write a question in less."""
ANSWER_TOKENS = 32
PASSAGE_WORDS = 40
"""The length of the text that is given with every third question, as that of a lesson."""


async def measure_thread(side: BenchServer, model: str, pause: float = PAUSE_SECONDS) -> float:
    """Return how many times as long as the tenth question of a conversation the 200th takes.

    `pause`: the seconds between an answer and the next question.
    """
    means = []
    for counts in (EARLY, LATE):
        seconds = []
        # The first one reads what earlier questions would have left in the cache, and does not count.
        for count in counts:
            answer = await ask(side.session, model, _conversation(count), ANSWER_TOKENS, truncation="auto")
            seconds.append(answer.last - answer.asked)
            await asyncio.sleep(pause)
        means.append(statistics.mean(seconds[1:]))
    return means[1] / means[0]


def _conversation(count: int) -> list[dict[str, str]]:
    """Return the messages with which question number `count` is asked; each has those of the one before."""
    messages = [{"role": "system", "content": "You are a friendly assistant. Answer briefly."}]
    for number in range(1, count + 1):
        word = WORDS[number % len(WORDS)]
        asked = f"Question {number}: what is a {word} for, and who would miss it most?"
        messages.append({"role": "user", "content": asked})
        if number < count:
            said = f"A {word} is useful in many ways, and number {number} of them is that people like to talk about it."
            messages.append({"role": "assistant", "content": said})
        elif number % 3 == 0:
            messages[-1]["content"] = f"The lesson says:\n\n{' '.join(WORDS * 2)[: 6 * PASSAGE_WORDS]}\n\n{asked}"
    return messages
