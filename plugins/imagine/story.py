"""The story of a picture, for "How it was made": its words, its noise, its steps, its guidance, and drawings."""

from __future__ import annotations

from bot import Context, Drawn
from plugins.imagine.drawings import tell_drawings, tell_nearest
from plugins.imagine.presentation import describe_meaning, describe_unread, quote_tokens
from plugins.imagine.recipe import Recipe


def tell_story(ctx: Context, recipe: Recipe, drawn: Drawn, steps: int) -> str:
    """Return how the picture was drawn in `steps` steps, for somebody who has never heard of diffusion."""
    chapters = (
        _tell_words(ctx, drawn),
        _tell_beginning(ctx, recipe),
        _tell_steps(ctx, steps),
        _tell_guidance(ctx, recipe, drawn),
        tell_drawings(ctx, drawn),
        _tell_parts(ctx, drawn),
        tell_nearest(ctx, drawn),
    )
    return "\n".join(f"{number}. {text}" for number, text in enumerate(filter(None, chapters), 1))


def describe_step(ctx: Context, recipe: Recipe, step: int, last: int) -> str:
    """Return a sentence about the picture after `step` of its `last` steps."""
    if step >= last == 1:
        return ctx.translate("After the only step: the picture, without noise.")
    if step >= last:
        return ctx.translate("After the last of {last} steps: the picture, without noise.", last=last)
    if step > 0:
        return ctx.translate("After step {step} of {last}.", step=step, last=last)
    if recipe.strength is not None:
        return ctx.translate("Before step 1 of {last}: the picture that it begins with, under noise.", last=last)
    return ctx.translate("Before step 1 of {last}: only noise, made from the seed {seed}.", last=last, seed=recipe.seed)


def _tell_words(ctx: Context, drawn: Drawn) -> str:
    text = ctx.translate(
        "**The words.** A language model, the text encoder, cut the prompt into tokens and made numbers of each: "
        "{tokens}.",
        tokens=quote_tokens(drawn.prompt.tokens),
    )
    marked = drawn.prompt.tokens[0][:1] in ("[", "<") if drawn.prompt.tokens else False
    marks = ctx.translate("The first and the last are only marks.") if marked else ""
    return " ".join(filter(None, (describe_meaning(ctx, drawn), text, marks, describe_unread(ctx, drawn))))


def _tell_beginning(ctx: Context, recipe: Recipe) -> str:
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


def _tell_steps(ctx: Context, steps: int) -> str:
    return ctx.translate(
        "**The step.** There was only one: a network looked at the noise and guessed which picture is under it, "
        "and all of the noise was taken away at once. More steps look again at what came out, and mend it.",
        "**The steps.** {count} times, a network looked at the picture and guessed what in it is noise, and some of "
        "that was taken away. Colours and large shapes come first, details last: see the film, and the row of "
        "pictures, each with the number of its step.",
        count=steps,
    )


def _tell_guidance(ctx: Context, recipe: Recipe, drawn: Drawn) -> str:
    guidance = f"{recipe.guidance:g}"
    avoided = "" if drawn.negative_prompt is None else quote_tokens(drawn.negative_prompt.tokens)
    match drawn.guided_by:
        case "comparison":
            return _tell_comparison(ctx, guidance, avoided)
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
            text = ctx.translate(
                "**The guidance.** Each step had a single guess, made with the prompt in mind. The network was told "
                "the guidance {guidance}, too: it has learnt how a picture looks that keeps so close to its prompt.",
                guidance=guidance,
            )
        case _:
            text = ctx.translate(
                "**The guidance.** Each step had a single guess, made with the prompt in mind, and took it as it was: "
                "at guidance {guidance}, this model exaggerates nothing.",
                guidance=guidance,
            )
    ignored = ctx.translate("Beside this one guess, what was to be avoided counted for nothing.")
    return f"{text} {ignored}" if avoided else text


def _tell_parts(ctx: Context, drawn: Drawn) -> str:
    if not drawn.parts:
        return ""
    return ctx.translate(
        "**The parts.** A network as small as this one has learnt to draw single things, and mixes up several. So each "
        "thing began with noise of its own and was drawn by itself. In the end, a program cut the things out of their "
        "white ground and put everything together; no network did that."
    )


def _tell_comparison(ctx: Context, guidance: str, avoided: str) -> str:
    if avoided:
        return ctx.translate(
            "**The guidance.** Each guided step had two guesses: one with the prompt in mind, one with what to avoid: "
            "{tokens}. Guidance {guidance} means that it went {guidance} times the way from the second to the first.",
            tokens=avoided,
            guidance=guidance,
        )
    return ctx.translate(
        "**The guidance.** Each guided step had two guesses: one with the prompt in mind, one without. Guidance "
        "{guidance} means that it went {guidance} times the way from the second to the first: more keeps closer to the "
        "prompt.",
        guidance=guidance,
    )
