"""/dial: one prompt and one seed at several temperatures, written at the same time."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from bot import Answered, Column, Context, Delta, Reply, Turn, UserError, Waiting
from plugins.lab.together import ParallelPart, together, whole

LOWEST, HIGHEST, MOST = 0, 2, 5
EXAMPLE = "0, 0.7, 1.5"


def read(text: str) -> list[float]:
    """The temperatures in "0, 0.7, 1.5", each once. Between semicolons, a comma is a decimal one."""
    words = text.replace(",", ".").split(";") if ";" in text else re.split(r"[,\s]+", text)
    values = list(dict.fromkeys(_value(word.strip()) for word in words if word.strip()))
    if not 1 <= len(values) <= MOST:
        sentence = "temperatures are one to {most} different numbers, like “{example}”; yours are {count}."
        raise UserError(sentence, most=MOST, example=EXAMPLE, count=len(values))
    return values


def _value(word: str) -> float:
    try:
        # The number that is shown, so that two that differ are seen to; and 0 for what is written -0.
        value = float(f"{float(word):g}") or 0.0
    except ValueError:
        value = -1.0
    if LOWEST <= value <= HIGHEST:
        return value
    sentence = "temperatures are numbers from {low} to {high}, like “{example}”; “{word}” is none of them."
    raise UserError(sentence, low=LOWEST, high=HIGHEST, example=EXAMPLE, word=word)


class Writing(ParallelPart):
    """The answer at one temperature, and what was measured of its draws.

    `entropies` are in bits, one for each token; `daring` counts tokens that were not the most probable; `place` is the
    one in the queue.
    """

    def __init__(
        self, ctx: Context, model: str | None, prompt: str, temperature: float, seed: int, max_tokens: int
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.text = ""
        self.entropies: list[float] = []
        self.daring = 0
        self.place = 0
        self.answered: Answered | None = None
        self._events = ctx.models.chat(
            [Turn("user", prompt)],
            temperature=temperature,
            seed=seed,
            max_tokens=max_tokens,
            likely=1,
            model=model,
            user=ctx.user.id,
        )

    @property
    def has_something(self) -> bool:
        return bool(self.text)

    async def work(self) -> AsyncIterator[None]:
        async with aclosing(self._events) as events:
            async for event in events:
                if isinstance(event, Delta):
                    self.text += event.text
                    self.entropies += event.entropies
                    self.daring += sum(token.probability < token.likely[0].probability for token in event.tokens)
                    yield
                elif isinstance(event, Waiting):
                    self.place = event.place
                    yield
                elif isinstance(event, Answered):
                    self.answered = event


async def compare(
    ctx: Context, prompt: str, temperatures: Sequence[float], seed: int, tokens: int
) -> AsyncIterator[Reply]:
    """The message whose answers grow side by side; where there is no room for that, the status tells of those below."""
    model = await ctx.settings.model("ask.model")
    parts = [Writing(ctx, model, prompt, temperature, seed, tokens) for temperature in temperatures]
    yield Reply(status=ctx.translate("Thinking …"))
    async with aclosing(together(parts)) as news:
        async for _ in news:
            yield Reply(columns=_columns(ctx, parts), status=_status(ctx, parts))
    text = "\n\n".join([*(_section(ctx, part) for part in parts), _lesson(ctx, parts)])
    yield Reply(text=text, card=_card(parts, seed), final=True)


def _columns(ctx: Context, parts: Sequence[Writing]) -> tuple[Column, ...]:
    if not any(part.has_something or (part.ended and part.error is None) for part in parts):
        return ()
    return tuple(Column(_section(ctx, part), part.ended) for part in parts)


def _status(ctx: Context, parts: Sequence[Writing]) -> str:
    if not any(part.text for part in parts) and (places := [part.place for part in parts if part.place]):
        return ctx.translate("Number {place} in the queue …", place=min(places))
    first = next((place for place, part in enumerate(parts) if not part.ended), len(parts))
    under_way = [(part.temperature, len(part.entropies)) for part in parts[first + 1 :]]
    return " · ".join(
        ctx.translate("{temperature}: {count} tokens", temperature=f"{temperature:g}", count=count)
        for temperature, count in under_way
        if count
    )


def _section(ctx: Context, part: Writing) -> str:
    heading = ctx.translate("**Temperature {temperature}**", temperature=f"{part.temperature:g}")
    if not part.ended:
        return f"{heading}\n{part.text}" if part.text else heading
    text = whole(part.text, is_cut=part.answered is not None and part.answered.finish_reason == "length")
    if part.error is not None:
        text = "\n\n".join(filter(None, (text, part.error.sentence.in_language(ctx.user.locale))))
    return "\n\n".join(filter(None, (f"{heading}\n{text}", _measured(ctx, part))))


def _measured(ctx: Context, part: Writing) -> str:
    if not part.entropies:
        return ""
    return ctx.translate(
        "*Entropy {bits} bits a token; {daring} of {count} tokens were not the most probable one.*",
        bits=f"{sum(part.entropies) / len(part.entropies):.2f}",
        daring=part.daring,
        count=len(part.entropies),
    )


def _lesson(ctx: Context, parts: Sequence[Writing]) -> str:
    if len(parts) == 1:
        return ctx.translate("Ask with two temperatures or more to see what the temperature does.")
    return ctx.translate(
        "The same model, the same prompt, the same seed: the temperature alone decides how often it dares to take a "
        "word that is not the most probable one. At 0 it never does."
    )


def _card(parts: Sequence[Writing], seed: int) -> dict[str, str]:
    ended = [part.answered for part in parts if part.answered is not None]
    return {
        "model": ", ".join(dict.fromkeys(one.model for one in ended)),
        "temperatures": ", ".join(f"{part.temperature:g}" for part in parts),
        "seed": str(seed),
        "seconds": f"{max((one.seconds for one in ended), default=0):.1f}",
    }
