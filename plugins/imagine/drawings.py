"""The drawings by people that a model looked at, and the one most like its picture: in words and as sheets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from bot import Attachment, Context, Drawn, ReferenceDrawing, cut_line
from plugins.imagine.sheet import Cell, compose_sheet, cut_last_frame

MAX_ALT_CHARACTERS = 1000
"""Discord's limit of a description is 1024."""


def list_drawings(ctx: Context, drawings: Sequence[ReferenceDrawing]) -> str:
    """Return how many drawings there are of each thing, as in "3 drawings of “penguin”"."""
    counted = Counter(drawing.thing for drawing in drawings)
    return ", ".join(
        ctx.translate("1 drawing of “{thing}”", "{count} drawings of “{thing}”", count=count, thing=thing)
        for thing, count in counted.items()
    )


def build_drawings_fact(ctx: Context, drawn: Drawn) -> dict[str, str]:
    """Return what the model looked at as a fact for the card; {} for a model that draws from memory alone."""
    if not drawn.looked_at and drawn.nearest is None:
        return {}
    return {ctx.translate("looked at"): list_drawings(ctx, drawn.looked_at) or ctx.translate("no drawings")}


def tell_drawings(ctx: Context, drawn: Drawn) -> str:
    """Return the chapter about the drawings that the network looked at; "" for one that draws from memory alone."""
    if drawn.looked_at:
        return ctx.translate(
            "**The drawings.** While it guessed, the network looked at drawings that people have made, as you may look "
            "at a drawing while you draw: {drawings}. Below each stand its set, who drew it, and the licence that "
            "allows others to use it.",
            drawings=list_drawings(ctx, drawn.looked_at),
        )
    if drawn.nearest is None:
        return ""
    return ctx.translate(
        "**The drawings.** The network looked at no drawing. It drew from memory, which is what stayed in its weights "
        "of all the drawings that it has learnt from."
    )


def tell_nearest(ctx: Context, drawn: Drawn) -> str:
    """Return the chapter about the known drawing that is most like the picture; "" if the model tells none."""
    if drawn.nearest is None:
        return ""
    return ctx.translate(
        "**Is this a copy?** Of all drawings that the network may look at, this is the most like its picture: "
        "{credit}. The distance between the two is {distance}. At 0 they would be the same picture, dot by dot. Two "
        "drawings of one thing by different people are about 0.2 apart. So a small number means that the picture is "
        "close to a copy. A large one proves nothing: a copy that was moved or coloured anew is far away, too. Compare "
        "the two: what is the same?",
        credit=_credit(ctx, drawn.nearest.drawing),
        distance=round(drawn.nearest.distance, 2),
    )


async def build_drawing_files(ctx: Context, drawn: Drawn, edge: int) -> tuple[Attachment, ...]:
    """Return a sheet with what the model looked at, and one with its picture beside the drawing most like it.

    Each drawing has its thing, set, author and licence below it. `drawn` is a strip of frames whose longer side is
    `edge`.
    """
    files: list[Attachment] = []
    if drawn.looked_at:
        sheet = await asyncio.to_thread(compose_sheet, [_cell(drawing) for drawing in drawn.looked_at])
        credits_ = "; ".join(_credit(ctx, drawing) for drawing in drawn.looked_at)
        alt = ctx.translate("The drawings that the model looked at: {drawings}", drawings=credits_)
        files.append(_attach(f"looked-at-{drawn.seed}.png", sheet, alt))
    if drawn.nearest is not None:
        picture = await asyncio.to_thread(cut_last_frame, drawn.files[0], drawn.width, drawn.height, edge)
        distance = round(drawn.nearest.distance, 2)
        lines = ctx.translate("this picture"), ctx.translate("distance {distance}", distance=distance)
        # Its own picture comes last, since a mark that says “AI” may be put into the last corner.
        cells = [_cell(drawn.nearest.drawing), Cell(picture, lines)]
        sheet = await asyncio.to_thread(compose_sheet, cells, drawn.files[0])
        alt = ctx.translate(
            "The known drawing that is most like this picture, {credit}, and beside it this picture, at a distance of "
            "{distance}",
            credit=_credit(ctx, drawn.nearest.drawing),
            distance=distance,
        )
        files.append(_attach(f"nearest-{drawn.seed}.png", sheet, alt))
    return tuple(files)


def _attach(name: str, sheet: bytes, alt: str) -> Attachment:
    return Attachment(name, sheet, "image/png", alt=cut_line(alt, MAX_ALT_CHARACTERS))


def _cell(drawing: ReferenceDrawing) -> Cell:
    return Cell(drawing.picture, (drawing.thing, drawing.set, drawing.author, drawing.licence))


def _credit(ctx: Context, drawing: ReferenceDrawing) -> str:
    return ctx.translate(
        "“{thing}” by {author} ({set}, {licence})",
        thing=drawing.thing,
        author=drawing.author,
        set=drawing.set,
        licence=drawing.licence,
    )
