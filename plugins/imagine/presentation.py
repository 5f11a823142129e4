"""What is said of a finished picture: its card, its buttons, and the story of how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot import Button, Context, Drawn, cut_line
from plugins.imagine.recipe import Recipe

STRENGTH = 0.6
"""How much of a picture its variations give up."""
LEAP = 5
"""How many steps ◀◀ and ▶▶ go."""
LONGEST_QUOTE = 200
"""Of a prompt in the description of a picture, in characters."""
MOST_UNREAD = 20
"""How many of the tokens and words are named that were not read; of a long prompt there are hundreds."""
LONGEST_WORD = 40
"""How much is quoted of such a word, in characters."""


def short(prompt: str) -> str:
    """The prompt in one line that is not too long for a description."""
    return cut_line(" ".join(prompt.split()), LONGEST_QUOTE)


def card(drawn: Drawn) -> dict[str, str]:
    """The facts of how it was made."""
    facts = {
        "model": drawn.model,
        "seed": str(drawn.seed),
        "steps": str(drawn.steps),
        "guidance": f"{drawn.guidance:g}",
    }
    if drawn.strength is not None:
        facts["strength"] = f"{drawn.strength:g}"
    return facts | {"size": f"{drawn.width}×{drawn.height}", "seconds": f"{drawn.seconds:.1f}"}


def fewer(ctx: Context, drawn: Drawn, taken: int) -> dict[str, str]:
    """How many of its steps a picture took that began with another one, as a fact for the card; else nothing."""
    if drawn.strength is None or not 0 < taken < drawn.steps:
        return {}
    return {"steps": ctx.translate("{taken} of {steps}", taken=taken, steps=drawn.steps)}


def unread(ctx: Context, drawn: Drawn) -> str:
    """What of a prompt was not read, since it was too long or is not known; "" if all of it was."""
    return " ".join(filter(None, (_dropped(ctx, drawn), _unknown(ctx, drawn))))


def not_read(ctx: Context, drawn: Drawn) -> dict[str, str]:
    """What was not read as a fact for the card, which stays with a picture; a status passes."""
    words = (*drawn.prompt.dropped, *drawn.prompt.unknown)
    if not words:
        return {}
    named = [cut_line(word, LONGEST_WORD) for word in words[:MOST_UNREAD]]
    return {ctx.translate("not read"): " ".join((*named, *(["…"] if len(words) > MOST_UNREAD else [])))}


def _dropped(ctx: Context, drawn: Drawn) -> str:
    dropped = drawn.prompt.dropped
    if not dropped:
        return ""
    about = {"limit": drawn.prompt.limit, "tokens": _tokens(dropped[:MOST_UNREAD]), "count": len(dropped)}
    sentence = "The text encoder reads {limit} tokens at most, so it never saw the end of the prompt: {tokens}."
    if len(dropped) > MOST_UNREAD:
        sentence = (
            "The text encoder reads {limit} tokens at most, so it never saw the last {count} of the prompt: {tokens} …"
        )
    return ctx.translate(sentence, **about)


def _unknown(ctx: Context, drawn: Drawn) -> str:
    unknown = drawn.prompt.unknown
    if not unknown:
        return ""
    sentence = "The text encoder has no tokens for these words and reads all such words alike: {words}."
    if len(unknown) > MOST_UNREAD:
        sentence = "The text encoder has no tokens for these words and reads all such words alike: {words} …"
    return ctx.translate(sentence, words=_tokens([cut_line(word, LONGEST_WORD) for word in unknown[:MOST_UNREAD]]))


def turned(ctx: Context, knob: str, asked: float | None, count: int, pictures: int) -> str:
    """What a sweep of `knob` shows in its `pictures`, and what of the options `knob` and `count` it did not use.

    `asked` and `count` are their values; one that nobody named is a default, of which nothing needs to be said.
    """
    only = "The same words and the same seed each time; only the guidance changes."
    if knob == "steps":
        only = "The same words and the same seed each time; only the number of steps changes."
    told = [ctx.translate(only)]
    if asked is not None and _is_named(ctx, knob):
        sentence = "{option} was not used: the values of the sweep count instead."
        told.append(ctx.translate(sentence, option=f"{knob}:{asked:g}"))
    if count != pictures and _is_named(ctx, "count"):
        sentence = "{option} was not used: a sweep draws one picture for each of its values."
        told.append(ctx.translate(sentence, option=f"count:{count}"))
    return "\n\n".join(told)


def _is_named(ctx: Context, option: str) -> bool:
    return ctx.request.options.get(option) not in (None, "")


# Buttons


def finished(ctx: Context, drawn: Drawn, first: Recipe, count: int) -> tuple[Button, ...]:
    """Those under `count` pictures, of which the first has the recipe `first`, for what their model can do."""
    label = ctx.translate("How it was made" if count == 1 else "How 1 was made")
    how = [Button(label, "imagine-how", _kept(first))] if drawn.shows else []
    if count == 1:
        return (*how, *([_variations(ctx.translate("Variations"), first)] if drawn.starts else []))
    each = list(enumerate((replace(first, seed=first.seed + number) for number in range(count)), 1))
    numbers = [large(str(number), recipe) for number, recipe in each]
    variations = [_variations(f"V{number}", recipe) for number, recipe in each] if drawn.starts else []
    # In this order, four of each fill the rows of five that Discord makes.
    return (*numbers, *how, *variations)


def large(label: str, recipe: Recipe) -> Button:
    """Draws this picture alone."""
    options: dict[str, Any] = {
        "prompt": recipe.prompt,
        "seed": recipe.seed,
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "negative": recipe.negative,
    }
    if recipe.source is None:
        return Button(label, "imagine-one", options | {"model": recipe.model})
    start = {"strength": recipe.strength, "source": recipe.source.written()}
    return Button(label, "imagine-vary-one", options | start)


def pages(recipe: Recipe, step: int, last: int) -> tuple[Button, ...]:
    """Where one can go from `step`."""
    back = [("◀◀", step - LEAP), ("◀", step - 1)] if step > 0 else []
    forward = [("▶", step + 1), ("▶▶", step + LEAP)] if step < last else []
    leads = (page(label, recipe, min(max(to, 0), last), last) for label, to in (*back, *forward))
    return tuple(replace(button, turns=True) for button in leads)


def page(label: str, recipe: Recipe, step: int, last: int) -> Button:
    """Leads to how the picture looked after `step` of its `last` steps."""
    return Button(label, "imagine-step", _kept(recipe) | {"step": step, "last": last})


def _variations(label: str, recipe: Recipe) -> Button:
    options = {
        "prompt": recipe.prompt,
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "negative": recipe.negative,
        "strength": STRENGTH,
        "source": recipe.written(),
    }
    return Button(label, "imagine-vary", options)


def _kept(recipe: Recipe) -> dict[str, Any]:
    # The prompt by itself, too, because it is what the answer quotes.
    return {"prompt": recipe.prompt, "recipe": recipe.written()}


# The story


def story(ctx: Context, recipe: Recipe, drawn: Drawn, steps: int) -> str:
    """How the picture came about in `steps` steps, for somebody who has never heard of diffusion."""
    chapters = (_words(ctx, drawn), _beginning(ctx, recipe), _steps(ctx, steps), _guidance(ctx, recipe, drawn))
    return "\n".join(f"{number}. {told}" for number, told in enumerate(chapters, 1))


def moment(ctx: Context, recipe: Recipe, step: int, last: int) -> str:
    """What the picture after `step` of its `last` steps shows."""
    if step >= last == 1:
        return ctx.translate("After the only step: the picture, without noise.")
    if step >= last:
        return ctx.translate("After the last of {last} steps: the picture, without noise.", last=last)
    if step > 0:
        return ctx.translate("After step {step} of {last}.", step=step, last=last)
    if recipe.source is not None:
        return ctx.translate("Before step 1 of {last}: the picture that it begins with, under noise.", last=last)
    return ctx.translate("Before step 1 of {last}: only noise, made from the seed {seed}.", last=last, seed=recipe.seed)


def _words(ctx: Context, drawn: Drawn) -> str:
    told = ctx.translate(
        "**The words.** A language model, the text encoder, cut the prompt into tokens and made numbers of each: "
        "{tokens}.",
        tokens=_tokens(drawn.prompt.tokens),
    )
    marked = drawn.prompt.tokens[0][:1] in ("[", "<") if drawn.prompt.tokens else False
    marks = ctx.translate("The first and the last are only marks.") if marked else ""
    return " ".join(filter(None, (told, marks, unread(ctx, drawn))))


def _beginning(ctx: Context, recipe: Recipe) -> str:
    if recipe.strength is not None:
        return ctx.translate(
            "**The beginning.** The picture it varies was covered with noise. The strength {strength} says how "
            "thickly: at 1, next to nothing of it shines through.",
            strength=f"{recipe.strength:g}",
        )
    return ctx.translate(
        "**The beginning.** There was nothing but noise, like the static of an old television. The seed {seed} decided "
        "every speck of it, so the same seed always begins alike.",
        seed=recipe.seed,
    )


def _steps(ctx: Context, steps: int) -> str:
    if steps == 1:
        return ctx.translate(
            "**The step.** There was only one: a network looked at the noise and guessed which picture is under it, "
            "and all of the noise was taken away at once. More steps look again at what came out, and mend it."
        )
    return ctx.translate(
        "**The steps.** {steps} times, a network looked at the picture and guessed what in it is noise, and some of "
        "that was taken away. Colours and large shapes come first, details last: see the film, and the row of "
        "pictures, each with the number of its step.",
        steps=steps,
    )


def _guidance(ctx: Context, recipe: Recipe, drawn: Drawn) -> str:
    guidance = f"{recipe.guidance:g}"
    avoided = "" if drawn.negative_prompt is None else _tokens(drawn.negative_prompt.tokens)
    match drawn.guided_by:
        case "comparison":
            return _comparison(ctx, guidance, avoided)
        case "nothing" if not avoided:
            return ctx.translate(
                "**The guidance.** Guidance 0 means that each guess was made without the prompt: the picture owes it "
                "nothing."
            )
        case "nothing":
            return ctx.translate(
                "**The guidance.** Guidance 0 means that each guess was made without the prompt, with what to avoid in "
                "mind instead: {tokens}.",
                tokens=avoided,
            )
        case "input":
            told = ctx.translate(
                "**The guidance.** Each step had a single guess, made with the prompt in mind. The network was told "
                "the guidance {guidance}, too: it has learnt how a picture looks that keeps so close to its prompt.",
                guidance=guidance,
            )
        case _:
            told = ctx.translate(
                "**The guidance.** Each step had a single guess, made with the prompt in mind, and took it as it was: "
                "at guidance {guidance}, this model exaggerates nothing.",
                guidance=guidance,
            )
    unheard = ctx.translate("Beside this one guess, what was to be avoided counted for nothing.")
    return f"{told} {unheard}" if avoided else told


def _comparison(ctx: Context, guidance: str, avoided: str) -> str:
    if avoided:
        return ctx.translate(
            "**The guidance.** Each step had two guesses: one with the prompt in mind, one with what to avoid: "
            "{tokens}. Guidance {guidance} means that it went {guidance} times the way from the second to the first.",
            tokens=avoided,
            guidance=guidance,
        )
    return ctx.translate(
        "**The guidance.** Each step had two guesses: one with the prompt in mind, one without. Guidance {guidance} "
        "means that it went {guidance} times the way from the second to the first: more keeps closer to the prompt.",
        guidance=guidance,
    )


def _tokens(tokens: Sequence[str]) -> str:
    return " ".join(f"`{token.replace('`', 'ˋ')}`" for token in tokens)
