"""Texts about a finished picture: its card, its description, and the parts of the prompt that were not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bot import Context, Drawn, cut_line
from plugins.imagine.drawings import build_drawings_fact
from plugins.imagine.recipe import ImageRequest
from plugins.imagine.sweep import Sweep

MAX_QUOTE_CHARACTERS = 200
"""Limit of a prompt that is quoted in the description of a picture."""
MAX_UNREAD_WORDS = 20
"""Limit of the unread tokens and words that are listed; a long prompt can have hundreds."""
MAX_WORD_CHARACTERS = 40
"""Limit of each of these words."""


def quote_prompt(prompt: str) -> str:
    """Return the prompt in one line, shortened to fit the description of a picture."""
    return cut_line(" ".join(prompt.split()), MAX_QUOTE_CHARACTERS)


def build_card(drawn: Drawn) -> dict[str, str]:
    """Return the facts of how a picture was drawn."""
    facts = {
        "model": drawn.model,
        "seed": str(drawn.seed),
        "steps": str(drawn.steps),
        "guidance": f"{drawn.guidance:g}",
    }
    if drawn.strength is not None:
        facts["strength"] = f"{drawn.strength:g}"
    return facts | {"size": f"{drawn.width}×{drawn.height}", "seconds": f"{drawn.seconds:.1f}"}


def build_size_fact(ctx: Context, drawn: Drawn, longer: int) -> dict[str, str]:
    """Return a fact for the card: the sizes before and after a network made pictures larger; {} if none did.

    `longer` is the longer side of each picture in pixels.
    """
    if not drawn.enlarged_by:
        return {}
    scale = longer / max(drawn.width, drawn.height)
    sentence = "{size}, shown at {shown}, enlarged by {network}"
    shown = f"{round(drawn.width * scale)}×{round(drawn.height * scale)}"
    told = ctx.translate(sentence, size=f"{drawn.width}×{drawn.height}", shown=shown, network=drawn.enlarged_by)
    return {"size": told}


def describe_reading(ctx: Context, request: ImageRequest, drawn: Drawn) -> str:
    """Return sentences about what was not put into English, not read or not used; "" if all was."""
    told = (
        describe_change(ctx, request, drawn),
        _describe_translation(ctx, request),
        _describe_denied(ctx, request),
        describe_meaning(ctx, drawn),
        _describe_parts(ctx, drawn),
        describe_unread(ctx, drawn),
        _describe_unused(ctx, drawn),
    )
    return " ".join(filter(None, told))


def build_reading_facts(ctx: Context, request: ImageRequest, drawn: Drawn) -> dict[str, str]:
    """Return what `describe_reading` says as facts for the card, which stay when the status has passed."""
    facts = {}
    if drawn.meant or request.is_translated or request.denied:
        facts[ctx.translate("drawn as")] = drawn.meant or quote_prompt(request.prompt)
    if drawn.parts:
        facts[ctx.translate("drawn one by one")] = _list_parts(drawn)
    facts |= build_drawings_fact(ctx, drawn)
    if unread := (*drawn.prompt.dropped, *drawn.prompt.unknown):
        more = ["…"] if len(unread) > MAX_UNREAD_WORDS else []
        facts[ctx.translate("not read")] = " ".join([*_shorten(unread), *more])
    return facts


def describe_original(ctx: Context, request: ImageRequest, drawn: Drawn) -> str:
    """Return sentences about pictures in the size in which the model drew them."""
    sentence = (
        "As the model drew it, with {width}×{height} pixels. What was shown before went through a second network, "
        "which makes edges sharp and adds no things."
    )
    told = ctx.translate(sentence, width=drawn.width, height=drawn.height)
    return " ".join(filter(None, (describe_change(ctx, request, drawn), told)))


def build_steps_fact(ctx: Context, drawn: Drawn, taken: int) -> dict[str, str]:
    """Return a fact for the card: the number of steps that a variation took, which skips some; {} if it took all."""
    if drawn.strength is None or not 0 < taken < drawn.steps:
        return {}
    return {"steps": ctx.translate("{taken} of {steps}", taken=taken, steps=drawn.steps)}


def describe_unread(ctx: Context, drawn: Drawn) -> str:
    """Return sentences about the parts of the prompt that the text encoder could not read; "" if it read all."""
    return " ".join(filter(None, (_describe_dropped(ctx, drawn), _describe_unknown(ctx, drawn))))


def describe_change(ctx: Context, request: ImageRequest, drawn: Drawn) -> str:
    """Return a sentence if another version of the model drew a picture, or the one it begins with, before; else ""."""
    before = request.fingerprint
    if before is None and request.source is not None:
        before = request.source.fingerprint
    if before is None or not drawn.fingerprint or before == drawn.fingerprint:
        return ""
    # Things may be drawn one by one now because the words have changed.
    if not before or before.removesuffix("-parts") == drawn.fingerprint.removesuffix("-parts"):
        return ctx.translate("If the model has changed since then, the same words and seed now give another picture.")
    return ctx.translate("The model has changed since then: the same words and seed now give another picture.")


def _describe_translation(ctx: Context, request: ImageRequest) -> str:
    if not request.unknown_words:
        return ""
    sentence = "My dictionary lacks these words, so they stay as they are: {words}. I draw: “{prompt}”."
    words = quote_tokens(_shorten(request.unknown_words))
    return ctx.translate(sentence, words=words, prompt=quote_prompt(request.prompt))


def _describe_denied(ctx: Context, request: ImageRequest) -> str:
    if not request.denied:
        return ""
    sentence = (
        "A picture model draws what its words name, even after “no” or “without”. So I left this out: {words}. "
        "I draw: “{prompt}”."
    )
    words = quote_tokens(_shorten(request.denied))
    return ctx.translate(sentence, words=words, prompt=quote_prompt(request.prompt))


def describe_meaning(ctx: Context, drawn: Drawn) -> str:
    """Return a sentence about the thing that was read in the place of the prompt; "" if that was read itself."""
    if not drawn.meant:
        return ""
    sentence = "The network knows single things by their names, so it read your words as “{thing}”."
    return ctx.translate(sentence, thing=drawn.meant)


def _describe_parts(ctx: Context, drawn: Drawn) -> str:
    if not drawn.parts:
        return ""
    sentence = "This model draws single things best, so it drew each by itself, and they were put together: {parts}."
    return ctx.translate(sentence, parts=_list_parts(drawn))


def _list_parts(drawn: Drawn) -> str:
    counts = Counter(cut_line(part, MAX_WORD_CHARACTERS) for part in drawn.parts)
    return ", ".join(part if count == 1 else f"{count} × {part}" for part, count in counts.items())


def _describe_dropped(ctx: Context, drawn: Drawn) -> str:
    dropped = drawn.prompt.dropped
    if not dropped:
        return ""
    about = {"limit": drawn.prompt.limit, "tokens": quote_tokens(dropped[:MAX_UNREAD_WORDS]), "count": len(dropped)}
    sentence = "The text encoder reads {limit} tokens at most, so it never saw the end of the prompt: {tokens}."
    if len(dropped) > MAX_UNREAD_WORDS:
        sentence = (
            "The text encoder reads {limit} tokens at most, so it never saw the last {count} of the prompt: {tokens} …"
        )
    return ctx.translate(sentence, **about)


def _describe_unknown(ctx: Context, drawn: Drawn) -> str:
    unknown = drawn.prompt.unknown
    if not unknown:
        return ""
    sentence = "The text encoder has no tokens for these words and reads all such words alike: {words}."
    if len(unknown) > MAX_UNREAD_WORDS:
        sentence = "The text encoder has no tokens for these words and reads all such words alike: {words} …"
    return ctx.translate(sentence, words=quote_tokens(_shorten(unknown)))


def _describe_unused(ctx: Context, drawn: Drawn) -> str:
    """Return a sentence about given options that a model by others does not know; "" if there are none."""
    unused = [name for name in ("count", *drawn.left_out) if _is_given(ctx, name)] if drawn.left_out else []
    if not unused:
        return ""
    sentence = "This model draws one picture, from the words alone; it does not know: {options}."
    return ctx.translate(sentence, options=", ".join(unused))


def describe_sweep(ctx: Context, sweep: Sweep, asked: float | None, count: int) -> str:
    """Return sentences about a sweep: the value that changes, and the options that it did not use.

    `asked` and `count` are the values of the option named like the knob, and of `count`. A default that nobody typed is
    not mentioned.
    """
    only = "The same words and the same seed each time; only the guidance changes."
    if sweep.knob == "steps":
        only = "The same words and the same seed each time; only the number of steps changes."
    elif sweep.knob == "references":
        only = "The same words and the same seed each time; only the number of drawings to look at changes."
    sentences = [ctx.translate(only)]
    if asked is not None and _is_given(ctx, sweep.knob):
        sentence = "{option} was not used: the values of the sweep count instead."
        sentences.append(ctx.translate(sentence, option=f"{sweep.knob}:{asked:g}"))
    if count != len(sweep.values) and _is_given(ctx, "count"):
        sentence = "{option} was not used: a sweep draws one picture for each of its values."
        sentences.append(ctx.translate(sentence, option=f"count:{count}"))
    return "\n\n".join(sentences)


def _is_given(ctx: Context, option: str) -> bool:
    return ctx.request.options.get(option) not in (None, "")


def _shorten(words: Sequence[str]) -> list[str]:
    """Return the words that are listed, none of them too long."""
    return [cut_line(word, MAX_WORD_CHARACTERS) for word in words[:MAX_UNREAD_WORDS]]


def quote_tokens(tokens: Sequence[str]) -> str:
    """Return the tokens as Markdown, each in a code span of its own."""
    return " ".join(f"`{token.replace('`', 'ˋ')}`" for token in tokens)
