"""/face: a GAN draws faces of people who do not exist, each in a single forward pass."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot import Attachment, Context, Plugin, Range, Reply, command, new_seed

SINGLE_PIXELS, GRID_PIXELS = 384, 192
"""Edge of a face, alone and in a grid. The 64 pixels of the generator are too small to look at."""


class FacePlugin(Plugin):
    """Faces from a generative adversarial network."""

    title = "Faces (/face)"

    @command(form=("count", "truncation", "seed"))
    async def face(
        self,
        ctx: Context,
        seed: Range[int, 0, 2147483647] | None = None,
        count: Range[int, 1, 16] = 1,
        truncation: Range[float, 0.1, 1] = 0.6,
    ) -> AsyncIterator[Reply]:
        """Draw faces of people who do not exist.

        seed: The same seed gives the same face again
        count: How many faces, 1 to 16
        truncation: 1 gives the full variety, less gives more ordinary faces
        """
        yield Reply(status=ctx.translate("Drawing …"))
        drawn = await ctx.models.faces(
            seed=new_seed() if seed is None else seed,
            count=count,
            truncation=truncation,
            face_size=SINGLE_PIXELS if count == 1 else GRID_PIXELS,
            user=ctx.user.id,
        )
        one = "A computer-made face, seed {seed}: a person who does not exist."
        several = "{count} computer-made faces, seed {seed}: people who do not exist."
        alt = ctx.translate(one if count == 1 else several, count=count, seed=drawn.seed)
        pictures = tuple(
            Attachment(f"face-{drawn.seed}.png", png, media_type="image/png", alt=alt) for png in drawn.png
        )
        card = {
            "model": drawn.model,
            "seed": str(drawn.seed),
            "count": str(count),
            "truncation": f"{truncation:g}",
            "seconds": f"{drawn.seconds:.2f}",
        }
        yield Reply(attachments=pictures, card=card, final=True)
