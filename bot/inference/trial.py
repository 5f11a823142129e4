"""Tries out an upstream with tiny requests, to tell whoever sets it up what it can do."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.errors import ModelError
from bot.core.model_events import Answered, Delta, Turn
from http_server.wire import TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.inference.client import ModelClient

QUESTION = Turn("user", "Name three colours.")
BEGINNING = Turn("assistant", "Three colours are red,")
TRIAL_TOKENS, MOST_LIKELY, PICTURE_PIXELS = 12, 20, 64
TEMPERATURE = 0.7
"""That of /ask by default: some models refuse all but 1, and whoever sets them up shall learn it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found out. `models` are the names by task, and the rest is about `tried`, a model that chats.

    `repeats` says whether the same seed gave the same text twice, `likely` how many of the most probable tokens it
    tells, `goes_on` whether it takes the beginning of an answer, and `counts` whether it tells its numbers of tokens.
    `seeing` is a model that is said to read pictures, and `blind` its error if it refused one.
    """

    models: Mapping[str, Sequence[str]]
    tried: str = ""
    repeats: bool = False
    likely: int = 0
    goes_on: bool = False
    counts: bool = False
    seeing: str = ""
    blind: str = ""


async def try_out(client: ModelClient, timeout_seconds: float) -> Trial:
    """Return what the upstream of a client can do. Raises ModelError, and TimeoutError if its list takes too long.

    An answer may take six times as long as the list of models.
    """
    async with asyncio.timeout(timeout_seconds):
        listed = await client.listed(*TASKS)
    models = {task: list(names) for task, names in listed.items() if names}
    if not (tried := next(iter(models.get("chat", ())), "")):
        return Trial(models)
    async with asyncio.timeout(6 * timeout_seconds):
        first, second = [await _answer(client, tried, [QUESTION]) for _ in range(2)]
        try:
            goes_on = bool((await _answer(client, tried, [QUESTION, BEGINNING], goes_on=True))[0])
        except ModelError:
            goes_on = False
        seeing = next((name for name, about in listed["chat"].items() if about.get("reads_images") is True), "")
        blind = await _show_picture(client, seeing) if seeing else ""
    return Trial(models, tried, first[0] == second[0], first[1], goes_on, first[2], seeing, blind)


async def _show_picture(client: ModelClient, model: str) -> str:
    """Return why a model could not answer a question about a picture; "" if it did."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (PICTURE_PIXELS, PICTURE_PIXELS), "red").save(file, "JPEG")
    try:
        await _answer(client, model, [Turn("user", "Which colour is this?", (file.getvalue(),))])
    except ModelError as error:
        return str(error)
    return ""


async def _answer(
    client: ModelClient, model: str, turns: Sequence[Turn], *, goes_on: bool = False
) -> tuple[str, int, bool]:
    """Return a short answer, how many likely tokens were told with its first one, and whether tokens were counted."""
    text, likely, is_counted = "", 0, False
    async for event in client.chat(
        turns,
        temperature=TEMPERATURE,
        seed=1,
        max_tokens=TRIAL_TOKENS,
        likely=None if goes_on else MOST_LIKELY,
        goes_on=goes_on,
        model=model,
    ):
        if isinstance(event, Delta):
            text += event.text
            likely = likely or max((len(token.likely) for token in event.tokens), default=0)
        elif isinstance(event, Answered):
            is_counted = event.is_counted
    return text, likely, is_counted
