"""/face: a GAN draws faces of people who do not exist, or of emoji, each in a single forward pass.

The emoji come from a model whose detective was kept, too, so that it can say what it thinks of each face, and whose
training can be watched. The portraits come from one that has no detective any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bot import (
    Attachment,
    Choice,
    Context,
    FaceTraining,
    Plugin,
    Range,
    Reply,
    SerialExecutor,
    UserError,
    command,
    new_seed,
)
from plugins.face.chart import CurveNames, draw_losses
from plugins.face.presentation import attach, build_button, build_card, describe_training, describe_verdicts

SINGLE_PIXELS, GRID_PIXELS, STRIP_PIXELS = 384, 192, 96
"""Edge of a face, alone, in a grid, and in a strip. The 64 pixels of the generator are too small to look at."""
EMOJI_MODEL = "emoji-faces"
"""The model whose detective was kept."""
BEST_OF = 32
"""Where nobody names a seed, the best of so many is shown, since the first sight of a GAN should please."""
TIMELINE_FACES = 4
"""The most faces whose training can be watched at once."""
BLEND_STEPS = 8
FITTING = {"from": "blend", "to": "blend", "broken": "timeline"}
"""What each of these options belongs to."""

Seed = Range[int, 0, 2147483647]
Show = Choice["faces", "timeline", "blend"]


class FacePlugin(Plugin):
    """Faces from a generative adversarial network."""

    title = "Faces (/face)"
    examples = (("/face count:4", ""),)

    async def start(self) -> None:
        self._drawing_thread = SerialExecutor("losses")

    async def stop(self) -> None:
        self._drawing_thread.leave()

    @command(form=("count", "truncation", "seed"))
    async def face(
        self,
        ctx: Context,
        seed: Seed | None = None,
        count: Range[int, 1, 16] = 1,
        truncation: Range[float, 0.1, 1] = 0.5,
        style: Choice["portrait", "emoji"] | None = None,  # noqa: UP037 - values, not types
        show: Show | None = None,
        from_: Seed | None = None,
        to: Seed | None = None,
        broken: bool = False,
    ) -> AsyncIterator[Reply]:
        """Draw faces of people who do not exist, or of emoji that a detective judges.

        seed: The same seed gives the same face again; without one, the best of several is shown
        count: How many faces, 1 to 16
        truncation: 1 gives the full variety, less gives more ordinary faces
        style: portrait draws people, emoji has a detective that says how real each face looks
        show: timeline shows how forger and detective learned, blend the way from one face to another
        from: The seed of the first face of a blend
        to: The seed of the last face of a blend
        broken: Show the training in which forger and detective fell out of balance
        """
        chosen = show or _guess_show(from_, to, broken=broken)
        if chosen != "faces" and style == "portrait":
            sentence = "Only the model of style:emoji was kept together with its training and its detective."
            raise UserError(sentence)
        given = {"from": from_ is not None, "to": to is not None, "broken": broken}
        if unfit := [name for name, show in FITTING.items() if given[name] and show != chosen]:
            sentence = "{option} belongs to show:{show}; leave it out, or say show:{show}."
            raise UserError(sentence, option=unfit[0], show=FITTING[unfit[0]])
        yield Reply(status=ctx.translate("Drawing …"))
        if chosen == "faces" and style != "emoji":
            yield await self._draw_portraits(ctx, seed, count, truncation, is_chosen=style == "portrait")
            return
        if EMOJI_MODEL not in {name.partition("@")[0] for name in await ctx.models.offered("faces")}:
            raise UserError("The model server does not have the model {model}.", model=EMOJI_MODEL)
        if chosen == "timeline":
            replies = self._show_timeline(ctx, seed, count, truncation, broken=broken)
        elif chosen == "blend":
            replies = self._show_blend(ctx, seed if from_ is None else from_, to, truncation)
        else:
            replies = self._draw_emoji(ctx, seed, count, truncation)
        async for reply in replies:
            yield reply

    async def _draw_portraits(
        self, ctx: Context, seed: int | None, count: int, truncation: float, *, is_chosen: bool
    ) -> Reply:
        drawn = await ctx.models.faces(
            seed=new_seed() if seed is None else seed,
            best_of=BEST_OF if seed is None else None,
            count=count,
            truncation=truncation,
            face_size=SINGLE_PIXELS if count == 1 else GRID_PIXELS,
            user=ctx.user.id,
        )
        if drawn.model.partition("@")[0] == EMOJI_MODEL:
            raise UserError("The model server has no model that draws people; style:emoji draws emoji.")
        one = "A computer-made face, seed {seed}: a person who does not exist."
        several = "{count} computer-made faces, seed {seed}: people who do not exist."
        alt = ctx.translate(one, several, count=count, seed=drawn.seed)
        missing = "This model was published without its detective, so nobody judges these faces. style:emoji has one."
        return Reply(
            text=ctx.translate(missing) if is_chosen else "",
            attachments=attach(drawn, alt),
            card=build_card(drawn, truncation, **_count(count, seed)),
            buttons=(build_button(ctx.translate("Emoji faces"), {"style": "emoji", "count": count}),),
            final=True,
        )

    async def _draw_emoji(self, ctx: Context, seed: int | None, count: int, truncation: float) -> AsyncIterator[Reply]:
        drawn = await ctx.models.faces(
            seed=new_seed() if seed is None else seed,
            best_of=BEST_OF if seed is None else None,
            count=count,
            truncation=truncation,
            face_size=SINGLE_PIXELS if count == 1 else GRID_PIXELS,
            captions=count > 1,
            model=EMOJI_MODEL,
            user=ctx.user.id,
        )
        one = "A computer-made emoji face, seed {seed}."
        several = "{count} computer-made emoji faces, seed {seed}."
        told = ctx.translate(one, several, count=count, seed=drawn.seed)
        verdicts = describe_verdicts(ctx, drawn.verdicts)
        again = {"style": "emoji", "seed": drawn.seed, "truncation": truncation}
        yield Reply(
            text=verdicts,
            attachments=attach(drawn, f"{told} {verdicts}"),
            card=build_card(drawn, truncation, **_count(count, seed)),
            buttons=(
                build_button(
                    ctx.translate("How it learned"), again | {"show": "timeline", "count": min(count, TIMELINE_FACES)}
                ),
                build_button(
                    ctx.translate("Blend into another"), {"show": "blend", "from": drawn.seed, "truncation": truncation}
                ),
            ),
            final=True,
        )

    async def _show_timeline(
        self, ctx: Context, seed: int | None, count: int, truncation: float, *, broken: bool
    ) -> AsyncIterator[Reply]:
        if count > TIMELINE_FACES:
            sentence = "A timeline shows up to {most} faces; you asked for {count}."
            raise UserError(sentence, most=TIMELINE_FACES, count=count)
        wanted: dict[str, Any] = {
            "seed": new_seed() if seed is None else seed,
            "count": count,
            "truncation": truncation,
            "broken": broken,
            "model": EMOJI_MODEL,
            "user": ctx.user.id,
        }
        strip = await ctx.models.faces(**wanted, face_size=STRIP_PIXELS, layout="strip")
        training = strip.training or FaceTraining((), ())
        text, facts = describe_training(ctx, training, broken=broken), {"seed": strip.seed, "count": count}
        sentence = (
            "The face of seed {seed} as it changed in training, with the number of real pictures shown until then"
        )
        row = attach(strip, ctx.translate(sentence, **facts), "timeline")
        yield Reply(text=text, attachments=row)
        film = await ctx.models.faces(**wanted, face_size=GRID_PIXELS, layout="animation")
        reel = attach(
            film, ctx.translate("The same as a film: from noise to face, seed {seed}", **facts), "film", "gif"
        )
        curves = await self._drawing_thread.run(draw_losses, training, _name_curves(ctx))
        alt = ctx.translate("The losses of forger and detective during the training")
        chart = Attachment(f"losses-{strip.seed}.png", curves, media_type="image/png", alt=alt)
        other = {"show": "timeline", "seed": strip.seed, "count": count, "truncation": truncation, "broken": not broken}
        label = "The training that went well" if broken else "The training that went wrong"
        yield Reply(
            text=text,
            attachments=(*row, *reel, chart),
            card=build_card(strip, truncation, count=str(count)),
            buttons=(build_button(ctx.translate(label), other),),
            final=True,
        )

    async def _show_blend(
        self, ctx: Context, first: int | None, last: int | None, truncation: float
    ) -> AsyncIterator[Reply]:
        wanted: dict[str, Any] = {
            "seed": new_seed() if first is None else first,
            "blend": new_seed() if last is None else last,
            "count": BLEND_STEPS,
            "truncation": truncation,
            "model": EMOJI_MODEL,
            "user": ctx.user.id,
        }
        ends = {"first": wanted["seed"], "last": wanted["blend"], "count": BLEND_STEPS}
        strip = await ctx.models.faces(**wanted, face_size=STRIP_PIXELS, layout="strip", captions=True)
        sentence = (
            "From the face of seed {first} to that of seed {last}: each of the {count} has a mixture of their noise."
        )
        text = ctx.translate(sentence, **ends)
        row = attach(strip, f"{text} {describe_verdicts(ctx, strip.verdicts)}", "blend")
        yield Reply(text=text, attachments=row)
        film = await ctx.models.faces(**wanted, face_size=GRID_PIXELS, layout="animation")
        alt = ctx.translate("The same as a film, from seed {first} to seed {last}", **ends)
        reel = attach(film, alt, "film", "gif")
        back = {"show": "blend", "from": wanted["blend"], "truncation": truncation}
        yield Reply(
            text=text,
            attachments=(*row, *reel),
            card=build_card(strip, truncation, to=str(wanted["blend"])),
            buttons=(build_button(ctx.translate("Blend on into another"), back),),
            final=True,
        )


def _guess_show(first: int | None, last: int | None, *, broken: bool) -> str:
    """Return what to show if nobody says."""
    if first is not None or last is not None:
        return "blend"
    return "timeline" if broken else "faces"


def _count(count: int, seed: int | None) -> dict[str, str]:
    """Return what the card says of how many faces were drawn, and from how many they were chosen."""
    return {"count": str(count)} | ({"best of": str(BEST_OF)} if seed is None else {})


def _name_curves(ctx: Context) -> CurveNames:
    return CurveNames(
        ctx.translate("Losses: lower is better"),
        ctx.translate("forger"),
        ctx.translate("detective"),
        ctx.translate("real pictures shown"),
    )
