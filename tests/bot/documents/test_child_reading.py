"""Real processes read files of questions, among them some that nobody may send."""

import asyncio
import io
import struct
import zlib

import pytest
from fakes.core.lesson_files import pdf_of_pages
from fakes.core.question_files import GPS_IFD, SECRET, photograph
from PIL import Image

from bot.core.errors import UserError
from bot.core.messages import Attachment
from bot.documents import child_reading
from bot.documents.child_reading import MAX_TEXT_CHARACTERS, read_in_child
from bot.documents.pictures import shrink_picture


async def refusal(data: bytes, name: str) -> str:
    with pytest.raises(UserError) as caught:
        await read_in_child(Attachment(name, data))
    return str(caught.value)


def bomb(width: int, height: int) -> bytes:
    """A PNG of black and white pixels, of which eight are in a byte before it is packed."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes((width // 8 + 1) * height))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def test_texts_and_pictures_are_read_as_a_model_gets_them() -> None:
    page = b"<html><nav>Home</nav><h1>Pets</h1><p>Cats purr.</p><ul><li>a bowl</li></ul></html>"
    pdf = pdf_of_pages(2, b"BT /F1 12 Tf 50 700 Td (Dogs bark at strangers.) Tj ET")
    rows = b"name,age\nAnn,7\nBen,8\n"
    html, dogs, table, picture = await asyncio.gather(
        *(read_in_child(Attachment(*one)) for one in (("a.html", page), ("a.pdf", pdf), ("C:/x y/a.csv", rows))),
        read_in_child(Attachment("me.jpg", photograph())),
    )
    assert (html.text, html.characters) == ("# Pets\n\nCats purr.\n\n- a bowl", 28)
    assert "Dogs bark at strangers." in dogs.text
    assert (table.filename, table.text) == ("a.csv", rows.decode().strip())
    with Image.open(io.BytesIO(picture.picture)) as seen:
        # Turned as its file says, so red is on the right.
        assert (seen.format, seen.size) == ("JPEG", (512, 1024))
        assert seen.convert("RGB").getpixel((500, 500))[0] > 200
        assert not seen.getexif()
        assert not seen.getexif().get_ifd(GPS_IFD)
        assert "comment" not in seen.info
    assert SECRET.encode() not in picture.picture


def test_an_odd_field_beside_it_does_not_hide_how_a_photograph_was_held() -> None:
    about = Image.Exif()
    about[0x0112] = 6
    about[0x011A] = 72.0
    picture = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(picture, "JPEG", exif=about)
    # The resolution becomes a text, which Pillow cannot write again as a number.
    odd = picture.getvalue().replace(b"\x01\x1a\x00\x05", b"\x01\x1a\x00\x02")
    odd = odd.replace(b"\x1a\x01\x05\x00", b"\x1a\x01\x02\x00")
    assert odd != picture.getvalue()
    with Image.open(io.BytesIO(shrink_picture(odd))) as seen:
        assert seen.size == (20, 30)


async def test_files_that_cannot_be_read_are_refused_with_a_sentence() -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 99).save(whole, "PNG")
    long = b"word " * 50_000
    sentences = await asyncio.gather(
        refusal(bomb(60_000, 1000), "a.png"),
        refusal(whole.getvalue()[:2000], "a.jpg"),
        refusal(b"\0\1\2" * 100, "a.mp4"),
        refusal(b"%PDF-1.4 broken", "a.pdf"),
    )
    assert sentences == [
        "The picture has more than 50 million pixels; send a smaller copy of it.",
        "The picture is damaged; send another copy of it.",
        (
            "I cannot read a.mp4. These I can read: pictures (PNG, JPEG, WebP, GIF), Markdown (.md), plain text "
            "(.txt), HTML (.html), Word (.docx) and PDF (.pdf)."
        ),
        "a.pdf cannot be read: it is damaged, or not what its name says.",
    ]
    cut = await read_in_child(Attachment("a.txt", long))
    assert (len(cut.text), cut.characters) == (MAX_TEXT_CHARACTERS, len(long) - 1)


async def test_a_file_that_takes_too_much_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_reading, "MAX_SECONDS", 0.01)
    assert await refusal(b"text", "a.txt") == "a.txt takes more time or memory to read than a file may."


def test_pictures_of_all_kinds_become_jpegs() -> None:
    grey = Image.new("L", (2000, 10), 200)
    made = [(grey.convert(mode), kind) for mode, kind in (("P", "GIF"), ("LA", "PNG"), ("CMYK", "JPEG"), ("L", "JPEG"))]
    clear = Image.new("RGBA", (2000, 10), (0, 0, 0, 0)), "PNG"
    for picture, kind in (*made, (Image.new("I;16", (2000, 10), 200 * 257), "PNG"), clear):
        saved = io.BytesIO()
        picture.save(saved, kind)
        with Image.open(io.BytesIO(shrink_picture(saved.getvalue()))) as seen:
            assert (seen.format, seen.mode, seen.size) == ("JPEG", "RGB", (1024, 5))
            # What is clear is white.
            assert seen.getpixel((5, 2)) == ((255, 255, 255) if picture is clear[0] else (200, 200, 200))
