"""The odds of the next token where a server tells only its most probable tokens, as those by others do.

They come with a text that is continued as it is, or else with the first token of an answer. What is not told is left
out, so the odds are among the tokens that are.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from bot.core.errors import ModelError
from bot.core.model_events import Candidate, Dial, Turn
from bot.inference.logprobs import BITS_PER_NAT, bytes_of
from bot.inference.messages import build_message
from bot.inference.responses import checked_format
from bot.inference.upstreams.dialects import FEW_LIKELY, MOST_LIKELY, REFUSAL_STATUSES
from http_server.wire import TEMPERATURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.inference.upstreams.dialects import Dialect
    from bot.inference.upstreams.routing import Target

INSTRUCTIONS = "Continue the text of the user. Write nothing but what comes next, and do not repeat the text."
CANNOT = frozenset({400, 404, 405, 422, 500, 501})
"""The statuses by which servers say that they do not do this at all."""
ONE_TOKEN = {"max_tokens": 1, "temperature": 1}


async def fetch_partial_dial(target: Target, text: str, *, temperature: float, top_p: float, seed: int) -> Dial:
    """Return the most probable tokens after a text. Raises ModelError, also for a model that tells no probabilities."""
    dialect = await target.upstream.dialect()
    found: list[tuple[bytes, float]] = []
    if "logprobs" not in dialect.leave_out:
        if dialect.completes:
            found = await _ask_to_complete(target, text)
        found = found or await _ask_in_chat(target, dialect, text)
    if not found:
        raise ModelError("“{model}” does not tell how probable its tokens are.", model=target.name)
    return build_dial(target.name, text, found, temperature=temperature, top_p=top_p, seed=seed)


async def _ask_to_complete(target: Target, text: str) -> list[tuple[bytes, float]]:
    try:
        return await _ask(target, "/completions", {"prompt": text, "logprobs": MOST_LIKELY, **ONE_TOKEN})
    except ModelError as error:
        if error.status not in CANNOT:
            raise
        return []


async def _ask_in_chat(target: Target, dialect: Dialect, text: str) -> list[tuple[bytes, float]]:
    turns = dialect.place_system([Turn("system", INSTRUCTIONS), Turn("user", text)])
    chat = {"messages": [build_message(turn) for turn in turns], "logprobs": True, **ONE_TOKEN}
    path = "/chat/completions"
    try:
        return await _ask(target, path, dialect.adapt({**chat, "top_logprobs": MOST_LIKELY}))
    except ModelError as error:
        if error.status not in REFUSAL_STATUSES:
            raise
    return await _ask(target, path, dialect.adapt({**chat, "top_logprobs": FEW_LIKELY}))


async def _ask(target: Target, path: str, body: Mapping[str, Any]) -> list[tuple[bytes, float]]:
    answer = await target.upstream.request("POST", path, {"model": target.model, **body})
    with checked_format(target.upstream.shown_name):
        return read_likely(answer["choices"][0].get("logprobs") or {})


def read_likely(logprobs: Mapping[str, Any]) -> list[tuple[bytes, float]]:
    """Return the most probable tokens of the first place with their log-probabilities; nothing if there are none.

    There are two formats: that of chats, and the older one of completions, which some servers have for both.
    """
    if content := logprobs.get("content"):
        likely = [(bytes_of(entry), float(entry["logprob"])) for entry in content[0].get("top_logprobs") or ()]
    else:
        first = (logprobs.get("top_logprobs") or [{}])[0]
        likely = [(str(token).encode(), float(logprob)) for token, logprob in first.items()]
    known = {token: min(0.0, logprob) for token, logprob in likely if token and math.isfinite(logprob)}
    return sorted(known.items(), key=lambda one: -one[1])[:MOST_LIKELY]


def build_dial(
    model: str, text: str, likely: Sequence[tuple[bytes, float]], *, temperature: float, top_p: float, seed: int
) -> Dial:
    """Return the dial among these tokens, and the one that a seed draws."""
    logprobs = [logprob for _, logprob in likely]
    after = _cut(_odds(logprobs, temperature), top_p)
    candidates = tuple(
        Candidate(id=place, bytes=token, logit=logprob, before=math.exp(logprob), after=share)
        for place, ((token, logprob), share) in enumerate(zip(likely, after, strict=True))
    )
    # Drawn with a seed so that it can be repeated; nobody gains by a guess.
    drawn = random.Random(seed).choices(candidates, weights=after)[0]  # noqa: S311
    odds = [_odds(logprobs, degree) for degree in TEMPERATURES]
    return Dial(
        model=model,
        prompt=(text.encode(),),
        prompt_ids=(),
        candidates=candidates,
        drawn=drawn,
        temperatures=TEMPERATURES,
        log_sum_exp=tuple(
            math.log(sum(math.exp((logprob - logprobs[0]) / degree) for logprob in logprobs)) + logprobs[0] / degree
            for degree in TEMPERATURES
        ),
        entropy=tuple(-sum(share * math.log(share) for share in one if share) * BITS_PER_NAT for one in odds),
        is_partial=True,
    )


def _odds(logprobs: Sequence[float], temperature: float) -> list[float]:
    """Return the probabilities at a temperature, among these tokens alone."""
    if temperature == 0:
        return [1.0, *(0.0 for _ in logprobs[1:])]
    weights = [math.exp((logprob - logprobs[0]) / temperature) for logprob in logprobs]
    whole = sum(weights)
    return [weight / whole for weight in weights]


def _cut(odds: Sequence[float], top_p: float) -> list[float]:
    """Return the odds of the fewest most probable tokens that together have `top_p`, and 0 for the others."""
    kept: list[float] = []
    for share in odds:
        if kept and sum(kept) >= top_p:
            break
        kept.append(share)
    whole = sum(kept)
    return [*(share / whole for share in kept), *(0.0 for _ in odds[len(kept) :])]
