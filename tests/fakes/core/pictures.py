"""Pictures as a model server makes them, and identities to sign them with."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from bot.provenance.certificates import Identity, Trust, make_identity, read_identity
from bot.provenance.examination import Examination, examine
from bot.provenance.metadata import GIF, PNG
from model_server.images import animate, encode

if TYPE_CHECKING:
    from bot.core.messages import Attachment

SECRET = "a purple cat"
MADE_BY = {"model": "tiny", "prompt": SECRET, "negative_prompt": SECRET, "seed": "7", "steps": "20", "sampler": "DDIM"}
FACTS = {"model": "tiny", "seed": "7", "steps": "20", "sampler": "DDIM"}
FORMATS = (PNG, GIF)


def make_image(edge: int = 64, angle: int = 0) -> Image.Image:
    """Return an image of things with edges, as models draw them; of one without, little but noise would be hashed."""
    scene = Image.new("RGB", (512, 512), "white")
    draw = ImageDraw.Draw(scene)
    draw.ellipse((60, 90, 330, 300), "#c02020", "black", 9)
    draw.polygon(((350, 120), (480, 420), (240, 450)), "#2050c0")
    draw.arc((90, 260, 260, 470), 20, 290, "#108030", 22)
    return scene.rotate(angle, fillcolor="white").resize((edge, edge))


@cache
def make_picture(media_type: str = PNG, edge: int = 64, angle: int = 0) -> bytes:
    """Return a picture, or a film of three frames, with the fields that a model server writes, prompt included."""
    if media_type == GIF:
        return animate([make_image(edge, angle + turn) for turn in (0, 30, 60)], MADE_BY)
    return encode(make_image(edge, angle), MADE_BY)


async def examine_here(file: Attachment, trust: Trust) -> Examination:
    """Examine a picture in this process, which is quicker than in one of its own."""
    return await asyncio.to_thread(examine, file.data, trust)


@cache
def an_identity(_number: int = 0) -> Identity:
    """Return an identity; each number has one of its own."""
    return read_identity(make_identity())
