"""/imagine: a diffusion model draws what words say, out of noise, and everybody watches it happen.

No picture is stored. Its buttons hold its recipe, which draws exactly the same picture again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from bot import Attachment, Context, Drawn, Plugin, Range, Reply, Setting, UserError, command
from plugins.imagine.buttons import (
    DEFAULT_STRENGTH,
    build_picture_buttons,
    build_single_button,
    build_step_button,
    build_step_buttons,
)
from plugins.imagine.drawings import build_drawing_files
from plugins.imagine.presentation import (
    build_card,
    build_reading_facts,
    build_size_fact,
    build_steps_fact,
    describe_change,
    describe_original,
    describe_reading,
    describe_sweep,
    quote_prompt,
)
from plugins.imagine.progress import DrawingProgress, draw, read_picture, recall, require_model
from plugins.imagine.recipe import MAX_SEED, ImageRequest, Recipe, build_request
from plugins.imagine.story import describe_step, tell_story
from plugins.imagine.sweep import Sweep, parse_sweep
from plugins.shared.upstreams import add_upstream_facts

PICTURE_PIXELS, SWEEP_PIXELS, STRIP_PIXELS, FILM_PIXELS, STEP_PIXELS = 512, 256, 128, 256, 384
"""Longer side of a finished picture, and of one in each layout: small models draw pictures too small to look at."""
PREVIEWS = 10
MAX_DEPTH = 6
"""How deep variations of variations may go, since all of them are drawn again on the way to the last one."""

# The types of options that stand in more than one command.
PromptText = Range[str, 1, 1000]
Guidance = Range[float, 0, 30]
Steps = Range[int, 1, 150]
Seed = Range[int, 0, MAX_SEED]
Count = Range[int, 1, 4]
Strength = Range[float, 0.05, 1]
References = Range[int, 0, 4]


class ImaginePlugin(Plugin):
    """Pictures from a text-to-image diffusion model."""

    name = "imagine"
    title = "Pictures (/imagine)"
    # The image model knows only English words.
    examples = (("/imagine", "a red apple"),)
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

    @command(form=("prompt", "image", "guidance", "steps", "negative", "seed", "sweep", "references"), draws=True)
    async def imagine(
        self,
        ctx: Context,
        prompt: PromptText,
        image: Attachment | None = None,
        guidance: Guidance | None = None,
        steps: Steps | None = None,
        seed: Seed | None = None,
        count: Count = 4,
        negative: PromptText | None = None,
        sweep: Range[str, 1, 100] | None = None,
        strength: Strength | None = None,
        references: References | None = None,
    ) -> AsyncIterator[Reply]:
        """Have pictures drawn from words, and watch them come out of the noise.

        prompt: What to draw
        image: A picture to begin with, instead of noise alone
        guidance: How closely to follow the words: 0 dreams along, 4 listens, 20 exaggerates
        steps: In how many steps the noise is taken away: few are quick and rough
        seed: The same seed and words give the same picture again
        count: How many pictures, 1 to 4
        negative: What the picture should keep away from
        sweep: One picture for each of several values of a knob: guidance=0,4,20, steps=5,15,30 or references=0,1,3
        strength: How much of the picture to give up: 0.3 keeps most of it, 1 next to nothing
        references: How many drawings by people to look at for each thing: 0 draws from memory alone
        """
        given = ctx.request.message_files[:1] if image is None else (image,)
        if given:
            yield Reply(status=ctx.translate("Reading the file …"))
        picture = await read_picture(ctx, given)
        if picture and sweep:
            raise UserError("A sweep begins with noise alone; leave out the picture or the sweep.")
        parsed_sweep = parse_sweep(ctx, sweep) if sweep else None
        model = await ctx.settings.model("imagine.model") or await ctx.models.first("images")
        request = await build_request(
            ctx,
            prompt,
            negative,
            seed,
            1 if parsed_sweep else count,
            locale=ctx.user.locale,
            model=model,
            guidance=guidance,
            steps=steps,
            references=references,
            picture=picture,
            strength=(strength or DEFAULT_STRENGTH) if picture else None,
        )
        if parsed_sweep:
            replies = self._draw_sweep(ctx, request, parsed_sweep, count)
        else:
            replies = self._draw_pictures(ctx, request)
        async for reply in replies:
            yield reply

    @command("imagine-one", hidden=True, draws=True, form=("prompt", "guidance", "steps", "negative", "seed"))
    async def draw_one(
        self,
        ctx: Context,
        prompt: PromptText,
        model: str,
        guidance: Guidance | None = None,
        steps: Steps | None = None,
        seed: Seed | None = None,
        negative: PromptText | None = None,
        strength: Strength | None = None,
        picture: int = 0,
        references: References | None = None,
        fingerprint: str = "",
    ) -> AsyncIterator[Reply]:
        """Draw one of several pictures alone.

        prompt: What to draw
        guidance: How closely to follow the words: 0 dreams along, 4 listens, 20 exaggerates
        steps: In how many steps the noise is taken away: few are quick and rough
        seed: The same seed and words give the same picture again
        negative: What the picture should keep away from
        """
        await require_model(ctx, model)
        request = await build_request(
            ctx,
            prompt,
            negative,
            seed,
            model=model,
            guidance=guidance,
            steps=steps,
            references=references,
            strength=strength,
            picture=picture,
            fingerprint=fingerprint,
        )
        async for reply in self._draw_pictures(ctx, request):
            yield reply

    @command("imagine-vary", hidden=True, draws=True, form=("prompt", "strength", "guidance", "steps", "seed"))
    async def vary(
        self,
        ctx: Context,
        prompt: PromptText,
        source: str,
        strength: Strength = DEFAULT_STRENGTH,
        guidance: Guidance | None = None,
        steps: Steps | None = None,
        seed: Seed | None = None,
        count: Count = 4,
        negative: PromptText | None = None,
        references: References | None = None,
    ) -> AsyncIterator[Reply]:
        """Draw variations of a picture.

        prompt: What to draw
        strength: How much of the picture to give up: 0.3 keeps most of it, 1 next to nothing
        guidance: How closely to follow the words: 0 dreams along, 4 listens, 20 exaggerates
        steps: In how many steps the noise is taken away: few are quick and rough
        seed: The same seed and words give the same picture again
        """
        request = await build_request(
            ctx,
            prompt,
            negative,
            seed,
            count,
            guidance=guidance,
            steps=steps,
            references=references,
            strength=strength,
        )
        async for reply in self._draw_variations(ctx, request, source):
            yield reply

    @command("imagine-vary-one", hidden=True, draws=True, form=("prompt", "strength", "guidance", "steps", "seed"))
    async def vary_one(
        self,
        ctx: Context,
        prompt: PromptText,
        source: str,
        strength: Strength = DEFAULT_STRENGTH,
        guidance: Guidance | None = None,
        steps: Steps | None = None,
        seed: Seed | None = None,
        negative: PromptText | None = None,
        fingerprint: str = "",
        references: References | None = None,
    ) -> AsyncIterator[Reply]:
        """Draw one of several variations alone.

        prompt: What to draw
        strength: How much of the picture to give up: 0.3 keeps most of it, 1 next to nothing
        guidance: How closely to follow the words: 0 dreams along, 4 listens, 20 exaggerates
        steps: In how many steps the noise is taken away: few are quick and rough
        seed: The same seed and words give the same picture again
        """
        request = await build_request(
            ctx,
            prompt,
            negative,
            seed,
            guidance=guidance,
            steps=steps,
            references=references,
            strength=strength,
            fingerprint=fingerprint,
        )
        async for reply in self._draw_variations(ctx, request, source):
            yield reply

    @command("imagine-how", hidden=True, draws=True)
    async def explain(self, ctx: Context, prompt: str, recipe: str) -> AsyncIterator[Reply]:
        """Show how a picture came out of the noise."""
        drawn_before, progress = await recall(ctx, recipe), DrawingProgress(ctx)
        request, seed = drawn_before.to_request(), drawn_before.seed
        quote = {"prompt": quote_prompt(prompt), "seed": seed}
        text, strip = "", tuple[Attachment, ...]()
        async for event in draw(ctx, replace(request, layout="strip", enlarge=STRIP_PIXELS), progress):
            if isinstance(event, Reply):
                yield event
                continue
            sentence = (
                "“{prompt}”, seed {seed}, in a row from noise to picture; the number under each tells how many of the "
                "{steps} steps it has behind it"
            )
            alt = ctx.translate(sentence, **quote, steps=progress.steps)
            text = tell_story(ctx, drawn_before, event, progress.steps)
            if changed := describe_change(ctx, request, event):
                text = f"{changed}\n{text}"
            sheets = await build_drawing_files(ctx, event, STRIP_PIXELS)
            strip = (*_build_attachments(event, f"steps-{seed}.png", alt), *sheets)
        async for event in draw(ctx, replace(request, layout="animation", enlarge=FILM_PIXELS), progress):
            if isinstance(event, Reply):
                yield replace(event, text=text, attachments=strip)
                continue
            sentence = "“{prompt}”, seed {seed}, as a film in {steps} steps: from noise to picture"
            film = _build_attachments(event, f"film-{seed}.gif", ctx.translate(sentence, **quote, steps=progress.steps))
            first_step = build_step_button(ctx.translate("Step by step ▶"), drawn_before, 0, progress.steps)
            card = build_card(event) | build_steps_fact(ctx, event, progress.steps)
            yield Reply(text=text, attachments=(*strip, *film), card=card, buttons=(first_step,), final=True)

    @command("imagine-step", hidden=True, draws=True)
    async def show_step(self, ctx: Context, prompt: str, recipe: str, step: int, last: int) -> AsyncIterator[Reply]:
        """Show a picture after one of its steps."""
        drawn_before = await recall(ctx, recipe)
        request = replace(drawn_before.to_request(), layout="strip", frames=(step,), enlarge=STEP_PIXELS)
        async for event in draw(ctx, request, DrawingProgress(ctx)):
            if isinstance(event, Reply):
                yield event
                continue
            changed = describe_change(ctx, request, event)
            text = " ".join(filter(None, (changed, describe_step(ctx, drawn_before, step, last))))
            alt = f"“{quote_prompt(prompt)}”. {text}"
            files = _build_attachments(event, f"step-{step}-{drawn_before.seed}.png", alt)
            yield Reply(text=text, attachments=files, buttons=build_step_buttons(drawn_before, step, last), final=True)

    @command("imagine-original", hidden=True, draws=True)
    async def show_original(self, ctx: Context, prompt: str, recipe: str, count: Count = 1) -> AsyncIterator[Reply]:
        """Draw pictures again, without making them larger."""
        drawn_before = await recall(ctx, recipe)
        request, progress = replace(drawn_before.to_request(), count=count), DrawingProgress(ctx)
        async for event in draw(ctx, request, progress):
            if isinstance(event, Reply):
                yield event
                continue
            text = describe_original(ctx, request, event)
            files = tuple(
                replace(file, filename=f"original-{drawn_before.seed + number}.png")
                for number, file in enumerate(_build_attachments(event, "", f"“{quote_prompt(prompt)}”. {text}"))
            )
            card = build_card(event) | build_steps_fact(ctx, event, progress.steps)
            yield Reply(text=text, attachments=files, card=card, final=True)

    async def _draw_variations(self, ctx: Context, request: ImageRequest, source: str) -> AsyncIterator[Reply]:
        """Draw variations of the picture whose recipe `source` is, with the model that drew it."""
        recipe = Recipe.from_json(source)
        if recipe.depth >= MAX_DEPTH:
            sentence = "This varies a variation of a variation, {count} times over. Begin anew with /imagine."
            raise UserError(sentence, count=recipe.depth)
        await require_model(ctx, recipe.model)
        async for reply in self._draw_pictures(ctx, replace(request, model=recipe.model, source=recipe)):
            yield reply

    async def _draw_pictures(self, ctx: Context, request: ImageRequest) -> AsyncIterator[Reply]:
        """Draw one picture, or several in a grid."""
        progress = DrawingProgress(ctx)
        request = replace(request, layout="grid", enlarge=PICTURE_PIXELS, previews=PREVIEWS)
        async for event in draw(ctx, request, progress):
            if isinstance(event, Reply):
                yield event
                continue
            first = Recipe.from_drawn(event, request)
            count, quoted = request.count if event.repeats else 1, quote_prompt(first.prompt)
            if event.repeats:
                one = "A computer-made picture of “{prompt}”, seed {seed}"
                several = "{count} computer-made pictures of “{prompt}”, from seed {seed} on"
                alt = ctx.translate(one, several, prompt=quoted, seed=first.seed, count=count)
            else:
                alt = ctx.translate("A computer-made picture of “{prompt}”", prompt=quoted)
            taken = build_steps_fact(ctx, event, progress.steps)
            card = build_card(event) | build_size_fact(ctx, event, PICTURE_PIXELS) | taken
            yield Reply(
                status=describe_reading(ctx, request, event),
                attachments=_build_attachments(event, f"imagine-{first.seed}.png", alt),
                card=add_upstream_facts(ctx, card | build_reading_facts(ctx, request, event), event),
                buttons=build_picture_buttons(ctx, event, first, count),
                final=True,
            )

    async def _draw_sweep(self, ctx: Context, request: ImageRequest, sweep: Sweep, count: int) -> AsyncIterator[Reply]:
        """Draw one picture for each value of `sweep`. `count` is the option of that name, which a sweep ignores."""
        knob = sweep.knob
        asked = getattr(request, knob)
        request = replace(request, sweep=sweep, enlarge=SWEEP_PIXELS, previews=PREVIEWS)
        async for event in draw(ctx, request, DrawingProgress(ctx)):
            if isinstance(event, Reply):
                yield event
                continue
            recipe, values = Recipe.from_drawn(event, request), ", ".join(sweep.labels)
            alt = ctx.translate(
                "A computer-made picture of “{prompt}”, from seed {seed}, with {knob} {values}",
                "{count} computer-made pictures of “{prompt}”, all from seed {seed}, with {knob} {values}",
                prompt=quote_prompt(recipe.prompt),
                seed=recipe.seed,
                count=len(sweep.values),
                knob=knob,
                values=values,
            )
            yield Reply(
                text=describe_sweep(ctx, sweep, asked, count),
                status=describe_reading(ctx, request, event),
                attachments=_build_attachments(event, f"sweep-{recipe.seed}.png", alt),
                card=build_card(event) | {knob: values} | build_reading_facts(ctx, request, event),
                buttons=tuple(
                    build_single_button(f"{knob} {label}", recipe.with_knob(knob, value))
                    for label, value in zip(sweep.labels, sweep.values, strict=True)
                ),
                final=True,
            )


def _build_attachments(drawn: Drawn, name: str, alt: str) -> tuple[Attachment, ...]:
    return tuple(Attachment(name, file, drawn.media_type, alt=alt) for file in drawn.files)
