"""Measures how copies of pictures are found again: `python -m quality.pictures [--server URL] [--keep FOLDER]`.

It always measures how long one picture is looked up among 10,000. With --server, the address of a model server with
emoji-diffusion and digiface-dcgan, it draws 200 pictures as people get them and tries copies of them, and 500 pictures
that are not stored: emoji that the model was trained on, other pictures of the model, faces and drawings. --keep is a
folder where drawn pictures are kept for the next time.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fakes.core.pictures import an_identity
from fakes.storage.rows import message
from PIL import Image, ImageDraw, ImageFont

from bot.core.messages import Attachment, Reply
from bot.core.model_events import Drawn
from bot.inference.client import ModelClient
from bot.provenance.metadata import PNG
from bot.provenance.picture_hash import HASH_BYTES, hash_image
from bot.provenance.stamping import Stamper
from bot.storage.database import Database
from bot.storage.pictures import PictureHashes, PictureHashRow, hash_pictures

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

LOOKUPS, STORED = 50, 10_000
THINGS = (
    *("apple", "cat", "dog", "house", "tree", "smiling face", "sad face", "car", "fish", "star", "heart", "sun"),
    *("moon", "flower", "bird", "boat", "book", "hat", "frog", "pizza", "rocket", "clock", "lion", "pig", "guitar"),
    *("robot", "snowman", "umbrella", "mushroom", "butterfly", "crown", "banana", "train", "ghost", "horse", "cake"),
    *("key", "bus", "turtle", "balloon"),
)
SINGLES_EACH, GRIDS, FACES = 3, 40, 40
"""The pictures that are stored: three of each thing, a grid of four of each, and faces; 200."""
STEPS, AT_ONCE = 12, 16
"""Fewer steps than usual, which change how good a picture is and not how it is found again; and drawings at once."""
OTHER_SINGLES, OTHER_EMOJI, OTHER_FACES, OTHER_DRAWINGS = 125, 125, 125, 125
EMOJI_FONT, EMOJI_SIZE = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf", 109
EMOJI_RANGES = (range(0x1F400, 0x1F440), range(0x1F340, 0x1F380), range(0x1F600, 0x1F640))


def _encoded(picture: Image.Image, kind: str, **options: int) -> Image.Image:
    buffer = io.BytesIO()
    whole = picture.convert("RGBA")
    opaque = Image.new("RGBA", whole.size, "white")
    opaque.alpha_composite(whole)
    (picture if kind == "PNG" else opaque.convert("RGB")).save(buffer, kind, **options)
    return Image.open(buffer)


def _scaled(picture: Image.Image, share: float) -> Image.Image:
    return picture.resize((round(picture.width * share), round(picture.height * share)), Image.Resampling.LANCZOS)


def _cropped(picture: Image.Image) -> Image.Image:
    """Return a picture without a tenth of its width and of its height, taken away evenly at its edges."""
    left, top = picture.width // 20, picture.height // 20
    return picture.crop((left, top, picture.width - left, picture.height - top))


COPIES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "saved again as PNG": lambda picture: _encoded(picture, "PNG"),
    "saved as WebP, quality 80": lambda picture: _encoded(picture, "WEBP", quality=80),
    "saved as JPEG, quality 75": lambda picture: _encoded(picture, "JPEG", quality=75),
    "scaled to 50 %": lambda picture: _scaled(picture, 0.5),
    "scaled to 50 %, then JPEG, quality 75": lambda picture: _encoded(_scaled(picture, 0.5), "JPEG", quality=75),
    "cropped by 10 %": _cropped,
}


class Drawer:
    """Draws pictures as the bot sends them, stamped, and keeps them in a folder if there is one."""

    def __init__(self, models: ModelClient, kept: Path | None) -> None:
        self._models = models
        self._kept = kept
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._stamper = Stamper()
        self._stamper.start(an_identity())

    async def imagine(self, thing: str, seed: int, count: int, edge: int) -> bytes:
        """Return a picture of a thing, or a grid of `count`."""

        async def draw() -> bytes:
            drawing = self._models.imagine(
                f"a {thing}", seed=seed, count=count, steps=STEPS, layout="grid", enlarge=edge, model="emoji-diffusion"
            )
            [drawn] = [event async for event in drawing if isinstance(event, Drawn)]
            return drawn.files[0]

        return await self._keep(f"{thing}-{seed}-{count}", draw)

    async def face(self, seed: int) -> bytes:
        """Return a face."""

        async def draw() -> bytes:
            return (await self._models.faces(seed=seed, truncation=0.6, face_size=384)).png[0]

        return await self._keep(f"face-{seed}", draw)

    async def _keep(self, name: str, draw: Callable[[], Awaitable[bytes]]) -> bytes:
        file = None if self._kept is None else self._kept / f"{name}.png"
        if file is not None and file.exists():
            data = file.read_bytes()
        else:
            async with self._turns:
                data = await draw()
            if file is not None:
                file.write_bytes(data)
        stamped = await self._stamper.stamp(
            Reply(attachments=(Attachment("a.png", data, PNG),), final=True), marks=True
        )
        return stamped.attachments[0].data


def draw_emoji(code: int) -> Image.Image:
    """Return an emoji on white, as large as a single picture of the model."""
    font = ImageFont.truetype(EMOJI_FONT, EMOJI_SIZE)
    whole = Image.new("RGB", (136, 128), "white")
    ImageDraw.Draw(whole).text((0, 0), chr(code), font=font, embedded_color=True)
    return whole.resize((512, 512), Image.Resampling.LANCZOS)


def draw_shapes(seed: int) -> Image.Image:
    """Return a drawing of random shapes on white."""
    chance = random.Random(seed)
    whole = Image.new("RGB", (512, 512), "white")
    draw = ImageDraw.Draw(whole)
    for _ in range(chance.randint(1, 4)):
        left, top = chance.randint(0, 300), chance.randint(0, 300)
        box = (left, top, left + chance.randint(60, 212), top + chance.randint(60, 212))
        colour = tuple(chance.randint(0, 255) for _ in range(3))
        (draw.ellipse if chance.random() < 0.5 else draw.rectangle)(box, fill=colour)
    return whole


async def store(database: Database, hashes: Iterable[bytes]) -> list[int]:
    """Store each hash with an answer of its own, and return the rows of these."""
    rows = [message(role="assistant") for _ in hashes]
    async with database.writing() as session:
        session.add_all(rows)
        await session.flush()
        session.add_all(PictureHashRow(message=row.id, hash=one) for row, one in zip(rows, hashes, strict=True))
    return [row.id for row in rows]


async def measure_lookups(folder: Path) -> float:
    """Print how long one of STORED pictures is looked up, and return the median in milliseconds."""
    async with Database(f"sqlite:///{folder}/lookups.db") as database:
        hashes = [secrets.token_bytes(HASH_BYTES) for _ in range(STORED)]
        rows = await store(database, hashes)
        pictures, times = PictureHashes(database), []
        for number in range(LOOKUPS):
            place = number * (STORED // LOOKUPS)
            begin = time.perf_counter()
            match = await pictures.find(hashes[place])
            times.append(1000 * (time.perf_counter() - begin))
            assert match is not None
            assert match.id == rows[place]
    median = statistics.median(times)
    slowest = sorted(times)[int(0.95 * len(times))]
    print(f"one picture among {STORED:,}: {median:.1f} ms (95 % within {slowest:.1f} ms; goal 50 ms)")
    return median


async def count_found(pictures: PictureHashes, drawn: Sequence[Image.Image], rows: Sequence[int | None]) -> int:
    """Return how many pictures are found to be those of their rows; None stands for any."""
    found = 0
    for picture, row in zip(drawn, rows, strict=True):
        match = await pictures.find(hash_image(picture))
        found += match is not None and row in (None, match.id)
    return found


async def measure_copies(folder: Path, drawer: Drawer) -> dict[str, float]:
    """Print how many copies, and how many other pictures, are found; return the shares by their names."""
    singles, grids, faces = (100 * n for n in range(SINGLES_EACH)), THINGS[:GRIDS], range(FACES)
    sent = await asyncio.gather(
        *[drawer.imagine(thing, seed, 1, 512) for seed in singles for thing in THINGS],
        *[drawer.imagine(thing, 1000, 4, 256) for thing in grids],
        *[drawer.face(seed) for seed in faces],
    )
    of_model = await asyncio.gather(
        *[drawer.imagine(THINGS[n % len(THINGS)], 2000 + n, 1, 512) for n in range(OTHER_SINGLES)]
    )
    other_faces = await asyncio.gather(*[drawer.face(1000 + n) for n in range(OTHER_FACES)])
    others = {
        "emoji that the model was trained on": [
            draw_emoji(code) for code in [one for codes in EMOJI_RANGES for one in codes][:OTHER_EMOJI]
        ],
        "other pictures of the same words by the model": [Image.open(io.BytesIO(data)) for data in of_model],
        "other faces": [Image.open(io.BytesIO(data)) for data in other_faces],
        "drawings of shapes": [draw_shapes(seed) for seed in range(OTHER_DRAWINGS)],
    }
    shares = {}
    async with Database(f"sqlite:///{folder}/copies.db") as database:
        replies = [Reply(attachments=(Attachment("a.png", data, PNG),)) for data in sent]
        rows = await store(database, [(await hash_pictures(reply))[0] for reply in replies])
        pictures, drawn = PictureHashes(database), [Image.open(io.BytesIO(data)) for data in sent]
        for name, copy in COPIES.items():
            found = await count_found(pictures, [copy(picture) for picture in drawn], rows)
            shares[name] = found / len(drawn)
            print(f"{name:50} {found:3} of {len(drawn)} found")
        for name, kind in others.items():
            found = await count_found(pictures, kind, [None] * len(kind))
            shares[name] = found / len(kind)
            print(f"{name:50} {found:3} of {len(kind)} found, falsely")
    return shares


async def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--server", metavar="URL")
    parser.add_argument("--keep", metavar="FOLDER", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        is_quick = await measure_lookups(Path(folder)) < 50
        if options.server:
            async with ModelClient(options.server) as models:
                await measure_copies(Path(folder), Drawer(models, options.keep))
    sys.exit(not is_quick)


if __name__ == "__main__":
    asyncio.run(main())
