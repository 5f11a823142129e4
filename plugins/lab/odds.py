"""/odds: what may come next, and how a text is written token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot import Attachment, Button, Candidate, Context, Dial, Reply, new_seed
from plugins.lab.chart import Bar, OddsChart, format_percent

SHOWN, OFFERED = 10, 5
TITLE, LABEL = 60, 40
"""Characters of a text's end in a title, and of a token on a button."""
SIGNS = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥", "\r": "↵"})


@dataclass(frozen=True, slots=True)
class Draw:
    """A token that was drawn, and the seed that draws it again."""

    token: Candidate
    seed: int


@dataclass(frozen=True, slots=True)
class OddsRequest:
    """What to go on from, and how. `ids` are the tokens of the text for `model`, none as long as only `text` is known.

    `top_p` and `temperature` are those of the draw, and `seed` that of later ones, too, if it is `fixed`.
    """

    text: str
    temperature: float
    top_p: float
    seed: int | None
    ids: tuple[int, ...] = ()
    model: str | None = None
    fixed: bool = True

    async def dial(self, ctx: Context, seed: int = 0) -> Dial:
        """What may come next, exactly as the model has it, and what `seed` draws; some of it may be hidden."""
        prompt = self.ids or self.text
        found = await ctx.models.dial(
            prompt,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=seed,
            model=self.model,
            user=ctx.user.id,
        )
        return await ctx.screened(found)

    async def draw(self, ctx: Context) -> tuple[Dial, Draw]:
        """What may come next, and one token of it.

        The same seed writes the same text again; that each token has its own is what makes it chance.
        """
        seed = new_seed() if self.seed is None else self.seed
        found = await self.dial(ctx, (seed + len(self.ids)) % 2**31)
        return found, Draw(found.drawn, seed)

    def with_ids(self, *ids: int) -> OddsRequest:
        """The same with other tokens."""
        return replace(self, ids=ids)

    def button(self, label: str, *, draw: bool = False, ended: bool = False) -> Button:
        """Shows what may come after these tokens, or after one that is drawn first; or `ended`, the text alone."""
        options = {
            "text": self.text,
            "ids": " ".join(map(str, self.ids)),
            "draw": draw,
            "ended": ended,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed if self.fixed else None,
            "fixed": self.fixed and self.seed is not None,
            "model": self.model,
        }
        return Button(label, "odds-next", options, style="primary" if draw else "secondary")


def shown(token: bytes) -> str:
    """A token in one line, its spaces and line breaks to be seen; of what nobody sees, its number or bytes."""
    try:
        text = token.decode().translate(SIGNS)
    except UnicodeDecodeError:
        return " ".join(f"{byte:02X}" for byte in token)
    return "".join(one if one.isprintable() else f" U+{ord(one):04X} " for one in text).replace("  ", " ").strip()


def name(ctx: Context, one: Candidate) -> str:
    """What a candidate is called."""
    if one.hidden:
        return ctx.translate("(hidden)")
    return ctx.translate("(end)") if one.ends else _begin(shown(one.bytes), LABEL)


def so_far(dial: Dial) -> str:
    """The text that was read."""
    return b"".join(dial.prompt).decode(errors="replace")


def chart(ctx: Context, dial: Dial, wish: OddsRequest) -> OddsChart:
    """The picture of what may come next."""
    return OddsChart(
        title=_end(" ".join(so_far(dial).split()), TITLE),
        before=ctx.translate("the model’s own odds"),
        after=_draw(ctx, wish),
        bars=tuple(_bars(ctx, dial)),
    )


def reply(ctx: Context, dial: Dial, wish: OddsRequest, png: bytes, drawn: Draw | None = None) -> Reply:
    """The answer: the text so far, the odds in words and as a picture, and the ways on."""
    bars = _bars(ctx, dial)
    lines = [f"{number}. `{_code(bar.label)}` {_change(bar)}" for number, bar in enumerate(bars[:-1], 1)]
    others = f"- {bars[-1].label}: {_change(bars[-1])}"
    about = {"text": _end(so_far(dial), 200), "draw": _draw(ctx, wish)}
    alt = ctx.translate("What may come after “{text}”, by the model’s own odds → {draw}:", **about)
    told = "; ".join(f"{bar.label} {_change(bar)}" for bar in bars)
    picture = Attachment("odds.png", png, "image/png", alt=f"{alt} {told}")
    parts = [
        *([_luck(ctx, drawn)] if drawn is not None else ()),
        fenced(so_far(dial)),
        ctx.translate("What may come next, by the model’s own odds → {draw}:", draw=_draw(ctx, wish)),
        "\n".join([*lines, others]),
        ctx.translate("Choose a token, or let one be drawn. That is all a language model does, again and again."),
    ]
    return Reply(
        text="\n\n".join(parts),
        attachments=(picture,),
        buttons=_buttons(ctx, dial, wish),
        card=_card(dial, wish, drawn),
        final=True,
    )


def end(ctx: Context, dial: Dial, wish: OddsRequest, drawn: Draw | None = None) -> Reply:
    """The answer once a token was taken that ends the text."""
    parts = [
        *([_luck(ctx, drawn)] if drawn is not None else ()),
        fenced(so_far(dial)),
        ctx.translate("The end: this, too, is a token, and after it nothing comes."),
    ]
    return Reply(text="\n\n".join(parts), card=_card(dial, wish, drawn), final=True)


def fenced(text: str) -> str:
    """`text` as it is, whatever Markdown would make of it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"


def _bars(ctx: Context, dial: Dial) -> list[Bar]:
    """The most probable tokens, and all others together."""
    shown, behind = dial.candidates[:SHOWN], dial.candidates[SHOWN:]
    before = _rest([one.before for one in shown], [one.before for one in behind])
    after = _rest([one.after for one in shown], [one.after for one in behind])
    bars = [Bar(name(ctx, one), one.before, one.after) for one in shown]
    return [*bars, Bar(ctx.translate("all others"), before, after)]


def _rest(shown: Sequence[float], behind: Sequence[float]) -> float:
    """What all tokens together have that are not shown; those `behind` are the most probable of them.

    What the shown ones lack to 1 is a little more or less than nothing where it should be nothing, and nothing where it
    should be a little.
    """
    known = sum(behind)
    return max(known, 1 - sum(shown)) if known else 0.0


def _change(bar: Bar) -> str:
    return f"{format_percent(bar.before)} → {format_percent(bar.after)}"


def _buttons(ctx: Context, dial: Dial, wish: OddsRequest) -> tuple[Button, ...]:
    here = replace(wish, ids=dial.prompt_ids, model=dial.model)
    offered = [
        here.button(name(ctx, one), ended=True)
        if one.ends
        else here.with_ids(*dial.prompt_ids, one.id).button(name(ctx, one))
        for one in dial.candidates[:OFFERED]
        if not one.hidden
    ]
    return (*offered, here.button(ctx.translate("🎲 Draw one"), draw=True))


def _luck(ctx: Context, drawn: Draw) -> str:
    token = f"`{_code(name(ctx, drawn.token))}`"
    return ctx.translate(
        "🎲 Drawn: {token}, which had {chance}.", token=token, chance=format_percent(drawn.token.after)
    )


def _draw(ctx: Context, wish: OddsRequest) -> str:
    temperature, top_p = f"{wish.temperature:g}", f"{wish.top_p:g}"
    if wish.top_p >= 1:
        return ctx.translate("at temperature {temperature}", temperature=temperature)
    return ctx.translate("at temperature {temperature}, top-p {top_p}", temperature=temperature, top_p=top_p)


def _card(dial: Dial, wish: OddsRequest, drawn: Draw | None) -> dict[str, str]:
    facts = {"model": dial.model, "temperature": f"{wish.temperature:g}", "top_p": f"{wish.top_p:g}"}
    seed = wish.seed if drawn is None else drawn.seed
    return facts | ({} if seed is None else {"seed": str(seed)})


def _code(text: str) -> str:
    return text.replace("`", "ˋ")


def _begin(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _end(text: str, most: int) -> str:
    return text if len(text) <= most else f"…{text[1 - most :]}"
