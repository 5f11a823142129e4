"""/imagine: a diffusion model draws what words say, out of noise, and everybody watches it happen.

No picture is kept for what comes after it. Its recipe stands on the buttons, and draws the very same one again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot import Attachment, Context, Drawn, Plugin, Range, Reply, Setting, UserError, command, new_seed
from plugins.imagine import presentation
from plugins.imagine import sweep as sweeps
from plugins.imagine.progress import Watch, draw, still_there
from plugins.imagine.recipe import Recipe

ONE, SEVERAL, STRIP, FILM, PAGE = 512, 256, 128, 256, 384
"""Longer side of a picture in pixels, alone and in its layouts: what small models draw is too small to look at."""
PREVIEWS = 10
LAST_SEED = 2147483647
"""The largest that `seed` takes, for the last one of several pictures, too."""
DEEPEST = 6
"""How many variations of variations there may be: to get at the last one, all of them are drawn again."""

# What options take that stand in more than one command.
Words = Range[str, 1, 1000]
Guidance = Range[float, 0, 30]
Steps = Range[int, 1, 150]
Seed = Range[int, 0, LAST_SEED]
Count = Range[int, 1, 4]
Strength = Range[float, 0.05, 1]


class ImaginePlugin(Plugin):
    """Pictures from a text-to-image diffusion model."""

    name = "imagine"
    title = "Pictures (/imagine)"
    settings = (
        Setting(
            name="imagine.model",
            type=str,
            default="",
            task="images",
            description="The model that draws for /imagine; empty for the model server's first one.",
            maximum=200,
        ),
    )

    @command(form=("prompt", "guidance", "steps", "negative", "seed", "sweep"), draws=True)
    async def imagine(
        self,
        ctx: Context,
        prompt: Words,
        guidance: Guidance | None = None,
        steps: Steps | None = None,
        seed: Seed | None = None,
        count: Count = 4,
        negative: Words | None = None,
        sweep: Range[str, 1, 100] | None = None,
    ) -> AsyncIterator[Reply]:
        """Have pictures drawn from words, and watch them come out of the noise.

        prompt: What to draw
        guidance: How closely to follow the words: 1 dreams along, 5 listens, 15 exaggerates
        steps: In how many steps the noise is taken away: few are quick and rough
        seed: The same seed and words give the same picture again
        count: How many pictures, 1 to 4
        negative: What the picture should keep away from
        sweep: One picture for each of several values of a knob: guidance=1,3,7 or steps=5,15,30
        """
        turned = _turned(ctx, sweep) if sweep else None
        model = await ctx.models.chosen("images", ctx.settings["imagine.model"])
        wish = _wish(prompt, guidance, steps, seed, 1 if turned else count, negative) | {"model": model}
        replies = self._sweep(ctx, wish, count, *turned) if turned else self._pictures(ctx, wish, count)
        async for reply in replies:
            yield reply

    @command("imagine-one", hidden=True, draws=True, form=("prompt", "guidance", "steps", "negative", "seed"))
    async def one(
        self,
        ctx: Context,
        prompt: Words,
        model: str,
        guidance: Guidance | None = None,
        steps: Steps | None = None,
        seed: Seed | None = None,
        negative: Words | None = None,
    ) -> AsyncIterator[Reply]:
        """Draw one of several pictures alone.

        prompt: What to draw
        guidance: How closely to follow the words: 1 dreams along, 5 listens, 15 exaggerates
        steps: In how many steps the noise is taken away: few are quick and rough
        seed: The same seed and words give the same picture again
        negative: What the picture should keep away from
        """
        await still_there(ctx, model)
        async for reply in self._pictures(ctx, _wish(prompt, guidance, steps, seed, 1, negative) | {"model": model}, 1):
            yield reply

    @command("imagine-vary", hidden=True, draws=True, form=("prompt", "strength", "guidance", "steps", "seed"))
    async def vary(
        self,
        ctx: Context,
        prompt: Words,
        source: str,
        strength: Strength = presentation.STRENGTH,
        guidance: Guidance | None = None,
        steps: Steps | None = None,
        seed: Seed | None = None,
        count: Count = 4,
        negative: Words | None = None,
    ) -> AsyncIterator[Reply]:
        """Draw variations of a picture.

        prompt: What to draw
        strength: How much of the picture to give up: 0.3 keeps most of it, 1 next to nothing
        guidance: How closely to follow the words: 1 dreams along, 5 listens, 15 exaggerates
        steps: In how many steps the noise is taken away: few are quick and rough
        seed: The same seed and words give the same picture again
        """
        wish = _wish(prompt, guidance, steps, seed, count, negative) | {"strength": strength}
        async for reply in self._varied(ctx, source, wish, count):
            yield reply

    @command("imagine-vary-one", hidden=True, draws=True, form=("prompt", "strength", "guidance", "steps", "seed"))
    async def vary_one(
        self,
        ctx: Context,
        prompt: Words,
        source: str,
        strength: Strength = presentation.STRENGTH,
        guidance: Guidance | None = None,
        steps: Steps | None = None,
        seed: Seed | None = None,
        negative: Words | None = None,
    ) -> AsyncIterator[Reply]:
        """Draw one of several variations alone.

        prompt: What to draw
        strength: How much of the picture to give up: 0.3 keeps most of it, 1 next to nothing
        guidance: How closely to follow the words: 1 dreams along, 5 listens, 15 exaggerates
        steps: In how many steps the noise is taken away: few are quick and rough
        seed: The same seed and words give the same picture again
        """
        wish = _wish(prompt, guidance, steps, seed, 1, negative) | {"strength": strength}
        async for reply in self._varied(ctx, source, wish, 1):
            yield reply

    @command("imagine-how", hidden=True, draws=True)
    async def how(self, ctx: Context, prompt: str, recipe: str) -> AsyncIterator[Reply]:
        """Show how a picture came out of the noise."""
        made, watch = Recipe.read(recipe), Watch(ctx)
        await still_there(ctx, made.model)
        text, strip = "", tuple[Attachment, ...]()
        about = {"prompt": presentation.short(prompt), "seed": made.seed}
        wish = made.wish() | {"layout": "strip", "enlarge": STRIP}
        async for seen in draw(ctx, watch, wish, made.source):
            if isinstance(seen, Reply):
                yield seen
                continue
            alt = ctx.translate(
                "“{prompt}”, seed {seed}, in a row from noise to picture; the number under each tells how many of the "
                "{steps} steps it has behind it",
                **about,
                steps=watch.steps,
            )
            text, strip = presentation.story(ctx, made, seen, watch.steps), _files(seen, f"steps-{made.seed}.png", alt)
        async for seen in draw(ctx, watch, made.wish() | {"layout": "animation", "enlarge": FILM}, made.source):
            if isinstance(seen, Reply):
                yield replace(seen, text=text, attachments=strip)
                continue
            sentence = "“{prompt}”, seed {seed}, as a film in {steps} steps: from noise to picture"
            alt = ctx.translate(sentence, **about, steps=watch.steps)
            film = _files(seen, f"film-{made.seed}.gif", alt)
            first = presentation.page(ctx.translate("Step by step ▶"), made, 0, watch.steps)
            card = presentation.card(seen) | presentation.fewer(ctx, seen, watch.steps)
            yield Reply(text=text, attachments=(*strip, *film), card=card, buttons=(first,), final=True)

    @command("imagine-step", hidden=True, draws=True)
    async def step(self, ctx: Context, prompt: str, recipe: str, step: int, last: int) -> AsyncIterator[Reply]:
        """Show a picture after one of its steps."""
        made = Recipe.read(recipe)
        await still_there(ctx, made.model)
        wish = made.wish() | {"layout": "strip", "frames": (step,), "enlarge": PAGE}
        async for seen in draw(ctx, Watch(ctx), wish, made.source):
            if isinstance(seen, Reply):
                yield seen
                continue
            text = presentation.moment(ctx, made, step, last)
            alt = f"“{presentation.short(prompt)}”. {text}"
            files = _files(seen, f"step-{step}-{made.seed}.png", alt)
            yield Reply(text=text, attachments=files, buttons=presentation.pages(made, step, last), final=True)

    async def _varied(self, ctx: Context, source: str, wish: Mapping[str, Any], count: int) -> AsyncIterator[Reply]:
        start = Recipe.read(source)
        if start.depth >= DEEPEST:
            sentence = "This varies a variation of a variation, {count} times over. Begin anew with /imagine."
            raise UserError(sentence, count=start.depth)
        await still_there(ctx, start.model)
        async for reply in self._pictures(ctx, {**wish, "model": start.model}, count, start):
            yield reply

    async def _pictures(
        self, ctx: Context, wish: Mapping[str, Any], count: int, start: Recipe | None = None
    ) -> AsyncIterator[Reply]:
        size, watch = SEVERAL if count > 1 else ONE, Watch(ctx)
        layout = {"count": count, "layout": "grid", "enlarge": size, "previews": PREVIEWS}
        async for seen in draw(ctx, watch, {**wish, **layout}, start):
            if isinstance(seen, Reply):
                yield seen
                continue
            first = Recipe.of(seen, wish["prompt"], wish["negative_prompt"], start)
            about = {"prompt": presentation.short(first.prompt), "seed": first.seed, "count": count}
            sentence = "A computer-made picture of “{prompt}”, seed {seed}"
            if count > 1:
                sentence = "{count} computer-made pictures of “{prompt}”, from seed {seed} on"
            yield Reply(
                status=presentation.unread(ctx, seen),
                attachments=_files(seen, f"imagine-{first.seed}.png", ctx.translate(sentence, **about)),
                card=presentation.card(seen)
                | presentation.fewer(ctx, seen, watch.steps)
                | presentation.not_read(ctx, seen),
                buttons=presentation.finished(ctx, seen, first, count),
                final=True,
            )

    async def _sweep(
        self, ctx: Context, wish: Mapping[str, Any], count: int, knob: str, values: Sequence[float]
    ) -> AsyncIterator[Reply]:
        row = {"sweep": {knob: values}, "enlarge": SEVERAL, "previews": PREVIEWS}
        async for seen in draw(ctx, Watch(ctx), {**wish, **row}):
            if isinstance(seen, Reply):
                yield seen
                continue
            made = Recipe.of(seen, wish["prompt"], wish["negative_prompt"])
            each = [made.turned(knob, value) for value in values]
            shown = [f"{value:g}" for value in values]
            about = {"prompt": presentation.short(made.prompt), "seed": made.seed, "count": len(values)}
            alt = ctx.translate(
                "{count} computer-made pictures of “{prompt}”, all from seed {seed}, with {knob} {values}",
                **about,
                knob=knob,
                values=", ".join(shown),
            )
            yield Reply(
                text=presentation.turned(ctx, knob, wish[knob], count, len(values)),
                status=presentation.unread(ctx, seen),
                attachments=_files(seen, f"sweep-{made.seed}.png", alt),
                card=presentation.card(seen) | {knob: ", ".join(shown)} | presentation.not_read(ctx, seen),
                buttons=tuple(map(presentation.large, (f"{knob} {value}" for value in shown), each)),
                final=True,
            )


def _turned(ctx: Context, sweep: str) -> tuple[str, list[float]]:
    """The knob and the values of a sweep, within what moderators allow of both here."""
    limits = {}
    for knob in sweeps.KNOBS:
        highest = ctx.settings[f"imagine.{knob}.maximum"]
        limits[knob] = (min(ctx.settings[f"imagine.{knob}.minimum"], highest), highest)
    count = ctx.settings.find("imagine.count.maximum")
    allowed = ctx.settings[count.name]
    # A row may have more pictures than the other answers, until moderators say that there are to be fewer.
    return sweeps.read(sweep, limits, sweeps.MOST if allowed == count.default else allowed)


def _wish(
    prompt: str, guidance: float | None, steps: int | None, seed: int | None, count: int, negative: str | None
) -> dict[str, Any]:
    largest = LAST_SEED - count + 1
    if seed is not None and seed > largest:
        raise UserError(
            "Each picture has the next seed, so for {count} of them seed is {most} at most.", count=count, most=largest
        )
    return {
        "prompt": prompt,
        "guidance": guidance,
        "steps": steps,
        "seed": min(new_seed(), largest) if seed is None else seed,
        "negative_prompt": negative,
    }


def _files(drawn: Drawn, name: str, alt: str) -> tuple[Attachment, ...]:
    return tuple(Attachment(name, file, drawn.media_type, alt=alt) for file in drawn.files)
