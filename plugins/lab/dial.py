"""/dial: one prompt and one seed at several temperatures, written at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from bot import Answered, Column, Context, Delta, Numbers, Reply, Turn, Waiting
from plugins.lab.parallel import ParallelPart, close_markdown, run_parallel
from plugins.shared.upstreams import add_upstream_facts

TEMPERATURES = Numbers(0, 2, most=5)
EXAMPLE = "0, 0.7, 1.5"


class TemperatureAnswer(ParallelPart):
    """The answer at one temperature, and measurements of its tokens.

    `entropies` are in bits, one for each token. `unlikely_tokens` is the number of tokens that were not the most
    probable ones. `place` is the place in the queue.
    """

    def __init__(
        self, ctx: Context, model: str | None, prompt: str, temperature: float, seed: int, max_tokens: int, min_p: float
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.text = ""
        self.entropies: list[float] = []
        self.unlikely_tokens = 0
        self.place = 0
        self.answered: Answered | None = None
        self._events = ctx.models.chat(
            [Turn("user", prompt)],
            temperature=temperature,
            seed=seed,
            max_tokens=max_tokens,
            min_p=min_p,
            likely=1,
            model=model,
            user=ctx.user.id,
        )

    @property
    def has_output(self) -> bool:
        return bool(self.text)

    async def work(self) -> AsyncIterator[None]:
        async with aclosing(self._events) as events:
            async for event in events:
                if isinstance(event, Delta):
                    self.text += event.text
                    self.entropies += event.entropies
                    self.unlikely_tokens += sum(
                        bool(token.likely) and token.probability < token.likely[0].probability for token in event.tokens
                    )
                    yield
                elif isinstance(event, Waiting):
                    self.place = event.place
                    yield
                elif isinstance(event, Answered):
                    self.answered = event


async def compare_temperatures(
    ctx: Context, prompt: str, temperatures: Sequence[float], seed: int, tokens: int, min_p: float
) -> AsyncIterator[Reply]:
    """Yield the message in which the answers grow side by side.

    Platforms without columns show the first answer that is not finished; the status tells how far the others are.
    """
    model = await ctx.settings.model("ask.model")
    parts = [TemperatureAnswer(ctx, model, prompt, temperature, seed, tokens, min_p) for temperature in temperatures]
    yield Reply(status=ctx.translate("Thinking …"))
    async with aclosing(run_parallel(parts)) as changes:
        async for _ in changes:
            yield Reply(columns=_build_columns(ctx, parts), status=_build_status(ctx, parts))
    text = "\n\n".join([*(_build_section(ctx, part) for part in parts), _explain(ctx, parts)])
    yield Reply(text=text, card=_build_card(ctx, parts, seed, min_p), final=True)


def _build_columns(ctx: Context, parts: Sequence[TemperatureAnswer]) -> tuple[Column, ...]:
    if not any(part.has_output or (part.has_ended and part.error is None) for part in parts):
        return ()
    return tuple(Column(_build_section(ctx, part), part.has_ended) for part in parts)


def _build_status(ctx: Context, parts: Sequence[TemperatureAnswer]) -> str:
    if not any(part.text for part in parts) and (places := [part.place for part in parts if part.place]):
        return ctx.translate("Number {place} in the queue …", place=min(places))
    first = next((place for place, part in enumerate(parts) if not part.has_ended), len(parts))
    under_way = [(part.temperature, len(part.entropies)) for part in parts[first + 1 :]]
    return " · ".join(
        ctx.translate(
            "{temperature}: 1 token", "{temperature}: {count} tokens", temperature=f"{temperature:g}", count=count
        )
        for temperature, count in under_way
        if count
    )


def _build_section(ctx: Context, part: TemperatureAnswer) -> str:
    heading = ctx.translate("**Temperature {temperature}**", temperature=f"{part.temperature:g}")
    if not part.has_ended:
        return f"{heading}\n{part.text}" if part.text else heading
    text = close_markdown(part.text, is_cut=part.answered is not None and part.answered.finish_reason == "length")
    if part.error is not None:
        text = "\n\n".join(filter(None, (text, part.error.sentence.in_language(ctx.user.locale))))
    return "\n\n".join(filter(None, (f"{heading}\n{text}", _describe_measurements(ctx, part))))


def _describe_measurements(ctx: Context, part: TemperatureAnswer) -> str:
    if not part.entropies:
        return ""
    return ctx.translate(
        "*Entropy {bits} bits a token; {daring} of 1 token was not the most probable one.*",
        "*Entropy {bits} bits a token; {daring} of {count} tokens were not the most probable one.*",
        bits=f"{sum(part.entropies) / len(part.entropies):.2f}",
        daring=part.unlikely_tokens,
        count=len(part.entropies),
    )


def _explain(ctx: Context, parts: Sequence[TemperatureAnswer]) -> str:
    if len(parts) == 1:
        return ctx.translate("Ask with two temperatures or more to see what the temperature does.")
    return ctx.translate(
        "The same model, the same prompt, the same seed: the temperature alone decides how often it dares to take a "
        "word that is not the most probable one. At 0 it never does."
    )


def _build_card(ctx: Context, parts: Sequence[TemperatureAnswer], seed: int, min_p: float) -> dict[str, str]:
    answers = [part.answered for part in parts if part.answered is not None]
    card = {
        "model": ", ".join(dict.fromkeys(answer.model for answer in answers)),
        "temperatures": ", ".join(f"{part.temperature:g}" for part in parts),
        "seed": str(seed),
        **({"min_p": f"{min_p:g}"} if min_p else {}),
        "seconds": f"{max((answer.seconds for answer in answers), default=0):.1f}",
    }
    return add_upstream_facts(ctx, card, *answers)
