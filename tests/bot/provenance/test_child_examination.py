"""Real processes examine files, among them some that no picture may be."""

import asyncio
import io
import struct
import zlib

import pytest
from fakes.core.pictures import FACTS, an_identity, make_picture
from PIL import Image

from bot.core.errors import UserError
from bot.core.messages import Attachment
from bot.provenance import child_examination
from bot.provenance.child_examination import examine_in_child
from bot.provenance.examination import examine
from bot.provenance.manifest import sign
from bot.provenance.metadata import PNG, write_label


async def refusal(data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        await examine_in_child(Attachment("a.png", data), an_identity().trust)
    return str(caught.value)


def picture_of(width: int, height: int) -> bytes:
    """A PNG of this size in a few bytes, which has no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


async def test_a_process_finds_what_is_found_without_one() -> None:
    identity = an_identity()
    data = sign(write_label(make_picture(), {}), PNG, FACTS, identity)
    found = await examine_in_child(Attachment("a.png", data), identity.trust)
    assert found == examine(data, identity.trust)
    assert found.manifest is not None
    assert found.manifest.created is not None


async def test_files_that_cannot_be_examined_are_refused_with_a_sentence() -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 99).save(whole, "PNG")
    bomb, truncated, drawing = await asyncio.gather(
        refusal(picture_of(60_000, 60_000)),
        refusal(whole.getvalue()[:2000]),
        refusal(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    )
    assert bomb == "The picture has more than 16 million pixels; send a smaller copy of it."
    assert truncated == "The picture is damaged; send another copy of it."
    assert drawing == "This is no picture that I can read; send a PNG, JPEG, WebP or GIF file."


async def test_a_picture_that_takes_too_much_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_examination, "MAX_SECONDS", 0.01)
    sentence = "a.png takes more time or memory than a picture may. Save it as a smaller one and try again."
    assert await refusal(make_picture()) == sentence
