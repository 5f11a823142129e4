"""/odds: the odds of the next token, and a text that is written token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot import Attachment, Button, Candidate, Context, Dial, Reply, new_seed
from plugins.lab.chart import Bar, OddsChart, format_percent
from plugins.shared.sampling import usual_min_p

SHOWN_TOKENS, OFFERED_TOKENS = 10, 5
"""Tokens in the list and the chart, and tokens that have a button."""
MAX_TEXT_CHARACTERS = 1000
"""The longest text that is gone on with."""
MAX_TITLE_CHARACTERS, MAX_LABEL_CHARACTERS, MAX_ALT_CHARACTERS = 60, 40, 200
"""Limits of the end of the text in the title and in the description of the chart, and of a token on a button."""
VISIBLE_SIGNS = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥", "\r": "↵"})


@dataclass(frozen=True, slots=True)
class DrawnToken:
    """A token that was drawn, and the seed that draws it again."""

    token: Candidate
    seed: int


@dataclass(frozen=True, slots=True)
class OddsRequest:
    """The text so far, and how its next token is drawn.

    `ids` are the tokens of the text in the vocabulary of `model`; they are empty as long as only `text` is known.
    `seed` is used for later draws as well if it is `fixed`.
    """

    text: str
    temperature: float
    top_p: float
    seed: int | None
    ids: tuple[int, ...] = ()
    model: str | None = None
    fixed: bool = True

    async def fetch_odds(self, ctx: Context, seed: int = 0) -> Dial:
        """Return the exact odds of the next token, and the token that `seed` draws. Filters may hide some tokens."""
        prompt = self.ids or self.text
        dial = await ctx.models.dial(
            prompt,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=seed,
            model=self.model,
            user=ctx.user.id,
        )
        return await ctx.screened(dial)

    async def draw_token(self, ctx: Context) -> tuple[Dial, DrawnToken]:
        """Return the odds of the next token, and one token that is drawn by them.

        Each token is drawn with its own seed, made from `seed` and its place, so the same seed writes the same text.
        """
        seed = new_seed() if self.seed is None else self.seed
        dial = await self.fetch_odds(ctx, (seed + (len(self.ids) or len(self.text))) % 2**31)
        return dial, DrawnToken(dial.drawn, seed)

    def after(self, dial: Dial, *tokens: Candidate) -> OddsRequest:
        """Return the request for the text of a dial and further tokens."""
        if not dial.is_partial:
            return replace(self, ids=(*dial.prompt_ids, *(token.id for token in tokens)), model=dial.model)
        text = b"".join((*dial.prompt, *(token.bytes for token in tokens))).decode(errors="replace")
        return replace(self, text=text, ids=(), model=dial.model)

    def to_button(self, label: str, *, draw: bool = False, ended: bool = False) -> Button:
        """Return the button that goes on from these tokens.

        It shows the odds of the next token; with `draw`, one token is drawn first; with `ended`, the text ends here.
        """
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


def make_visible(token: bytes) -> str:
    """Return a token in one line: signs for its spaces, code points or bytes for what cannot be shown."""
    try:
        text = token.decode().translate(VISIBLE_SIGNS)
    except UnicodeDecodeError:
        return " ".join(f"{byte:02X}" for byte in token)
    return "".join(one if one.isprintable() else f" U+{ord(one):04X} " for one in text).replace("  ", " ").strip()


def label_candidate(ctx: Context, one: Candidate) -> str:
    """Return the label of a token that may come next."""
    if one.hidden:
        return ctx.translate("(hidden)")
    return ctx.translate("(end)") if one.ends else _cut_end(make_visible(one.bytes), MAX_LABEL_CHARACTERS)


def decode_prompt(dial: Dial) -> str:
    """Return the text that the model read."""
    return b"".join(dial.prompt).decode(errors="replace")


def build_chart(ctx: Context, dial: Dial, request: OddsRequest) -> OddsChart:
    """Return the data of the chart."""
    return OddsChart(
        title=_cut_start(" ".join(decode_prompt(dial).split()), MAX_TITLE_CHARACTERS),
        before=ctx.translate("the model’s own odds"),
        after=_describe_sampling(ctx, request),
        bars=tuple(_build_bars(ctx, dial)),
    )


def build_reply(ctx: Context, dial: Dial, request: OddsRequest, png: bytes, drawn: DrawnToken | None = None) -> Reply:
    """Return the answer: the text so far, the odds in words and as a picture `png`, and the buttons to go on."""
    bars = _build_bars(ctx, dial)
    lines = [f"{number}. `{_escape_code(bar.label)}` {_format_change(bar)}" for number, bar in enumerate(bars[:-1], 1)]
    others = f"- {bars[-1].label}: {_format_change(bars[-1])}"
    about = {"text": _cut_start(decode_prompt(dial), MAX_ALT_CHARACTERS), "draw": _describe_sampling(ctx, request)}
    alt = ctx.translate("What may come after “{text}”, by the model’s own odds → {draw}:", **about)
    changes = "; ".join(f"{bar.label} {_format_change(bar)}" for bar in bars)
    picture = Attachment("odds.png", png, "image/png", alt=f"{alt} {changes}")
    parts = [
        *([_describe_drawn(ctx, drawn)] if drawn is not None else ()),
        fence(decode_prompt(dial)),
        ctx.translate("What may come next, by the model’s own odds → {draw}:", draw=_describe_sampling(ctx, request)),
        "\n".join([*lines, others]),
        *_describe_cut(ctx, dial, request),
        *_describe_partial(ctx, dial),
        ctx.translate("Choose a token, or let one be drawn. That is all a language model does, again and again."),
    ]
    return Reply(
        text="\n\n".join(parts),
        attachments=(picture,),
        buttons=_build_buttons(ctx, dial, request),
        card=_build_card(ctx, dial, request, drawn),
        final=True,
    )


def build_last_reply(ctx: Context, dial: Dial, request: OddsRequest, drawn: DrawnToken | None = None) -> Reply:
    """Return the answer after the token that ends the text."""
    parts = [
        *([_describe_drawn(ctx, drawn)] if drawn is not None else ()),
        fence(decode_prompt(dial)),
        ctx.translate("The end: this, too, is a token, and after it nothing comes."),
    ]
    return Reply(text="\n\n".join(parts), card=_build_card(ctx, dial, request, drawn), final=True)


def fence(text: str) -> str:
    """Return `text` as a code block that it cannot break out of."""
    marks = "```"
    while marks in text:
        marks += "`"
    return f"{marks}\n{text}\n{marks}"


def _build_bars(ctx: Context, dial: Dial) -> list[Bar]:
    """Return bars for the most probable tokens, and one for all others together."""
    shown, others = dial.candidates[:SHOWN_TOKENS], dial.candidates[SHOWN_TOKENS:]
    before = _sum_others([one.before for one in shown], [one.before for one in others])
    if dial.is_partial:
        before = max(0.0, 1 - sum(one.before for one in shown))
    after = _sum_others([one.after for one in shown], [one.after for one in others])
    bars = [Bar(label_candidate(ctx, one), one.before, one.after) for one in shown]
    return [*bars, Bar(ctx.translate("all others"), before, after)]


def _sum_others(shown: Sequence[float], most_probable_others: Sequence[float]) -> float:
    """Return the probability of all tokens that are not `shown`, including `most_probable_others`.

    1 - sum(shown) alone has rounding errors: it can differ from 0 where top-p cut all others off, and be 0 where they
    have very little.
    """
    known = sum(most_probable_others)
    return max(known, 1 - sum(shown)) if known else 0.0


def _format_change(bar: Bar) -> str:
    return f"{format_percent(bar.before)} → {format_percent(bar.after)}"


def _build_buttons(ctx: Context, dial: Dial, request: OddsRequest) -> tuple[Button, ...]:
    here = request.after(dial)
    offered = [
        here.to_button(label_candidate(ctx, one), ended=True)
        if one.ends
        else request.after(dial, one).to_button(label_candidate(ctx, one))
        for one in dial.candidates[:OFFERED_TOKENS]
        if not one.hidden and not (dial.is_partial and len(request.after(dial, one).text) > MAX_TEXT_CHARACTERS)
    ]
    if dial.is_partial and len(here.text) > MAX_TEXT_CHARACTERS:
        return tuple(offered)
    return (*offered, here.to_button(ctx.translate("🎲 Draw one"), draw=True))


def _describe_drawn(ctx: Context, drawn: DrawnToken) -> str:
    token = f"`{_escape_code(label_candidate(ctx, drawn.token))}`"
    return ctx.translate(
        "🎲 Drawn: {token}, which had {chance}.", token=token, chance=format_percent(drawn.token.after)
    )


def _describe_sampling(ctx: Context, request: OddsRequest) -> str:
    temperature, top_p = f"{request.temperature:g}", f"{request.top_p:g}"
    if request.top_p >= 1:
        return ctx.translate("at temperature {temperature}", temperature=temperature)
    return ctx.translate("at temperature {temperature}, top-p {top_p}", temperature=temperature, top_p=top_p)


def _describe_cut(ctx: Context, dial: Dial, request: OddsRequest) -> list[str]:
    """Return a sentence that says which of the listed tokens /ask would leave out; nothing if it leaves none out."""
    min_p = usual_min_p(ctx)
    shown = dial.candidates[:SHOWN_TOKENS]
    # Cut after the temperature, the odds are as if cut before it at min_p to the power of the temperature.
    least = min_p**request.temperature * max(one.before for one in shown)
    kept = sum(one.before >= least for one in shown)
    if not min_p or request.temperature == 0 or kept == len(shown):
        return []
    sentence = (
        "These are the odds without `min_p`. /ask leaves out all from number {number} on, because at this temperature "
        "each has less than {share} of what the most probable token has (min_p {min_p})."
    )
    return [ctx.translate(sentence, number=kept + 1, share=format_percent(min_p), min_p=f"{min_p:g}")]


def _describe_partial(ctx: Context, dial: Dial) -> list[str]:
    """Return a sentence about what the server did not tell; nothing if it told all."""
    if not dial.is_partial:
        return []
    one = "{model} tells only its most probable token. So this one is drawn at every temperature."
    several = (
        "{model} tells only its {count} most probable tokens. So one of these is drawn, and what they have at another "
        "temperature is their share among themselves."
    )
    return [ctx.translate(one, several, model=dial.model, count=len(dial.candidates))]


def _build_card(ctx: Context, dial: Dial, request: OddsRequest, drawn: DrawnToken | None) -> dict[str, str]:
    facts = {"model": dial.model, "temperature": f"{request.temperature:g}", "top_p": f"{request.top_p:g}"}
    seed = request.seed if drawn is None else drawn.seed
    facts |= {} if seed is None else {"seed": str(seed)}
    return facts | ({ctx.translate("sent to"): dial.sent_to} if dial.sent_to else {})


def _escape_code(text: str) -> str:
    return text.replace("`", "ˋ")


def _cut_end(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _cut_start(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"…{text[1 - limit :]}"
