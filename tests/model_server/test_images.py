"""Layouts, enlargement, metadata and decoding of images."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from model_server.images import (
    BACKGROUND,
    GAP,
    LAST_FRAME_MS,
    NUMBER_RATIO,
    add_captions,
    animate,
    decode,
    encode,
    enlarge,
    identify,
    make_grid,
    make_strip,
    measure_size,
    read_stamp,
)

RED, BLUE = (255, 0, 0), (0, 0, 255)


def square(colour: tuple[int, int, int] = RED, width: int = 10, height: int = 10) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


@pytest.mark.parametrize(
    ("count", "columns", "rows"),
    [(1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2), (7, 3, 3), (12, 4, 3), (16, 4, 4)],
)
def test_a_grid_is_as_nearly_square_as_can_be(count: int, columns: int, rows: int) -> None:
    whole = make_grid([square()] * count)
    assert whole.size == (columns * 10 + (columns - 1) * GAP, rows * 10 + (rows - 1) * GAP)


def test_pictures_lie_in_rows_with_gaps_of_the_background() -> None:
    whole = make_strip([square(RED), square(BLUE)])
    assert [whole.getpixel((x, 9)) for x in range(9, 11 + GAP)] == [RED, *[BACKGROUND] * GAP, BLUE]


def test_a_grid_lets_the_ground_show_between_its_pictures() -> None:
    whole, second = make_grid([square(RED), square(BLUE), square(BLUE)]), 10 + GAP
    colours = [whole.getpixel(place) for place in ((9, 9), (second, 0), (0, second))]
    assert colours == [(*RED, 255), (*BLUE, 255), (*BLUE, 255)]
    assert [whole.getpixel(place)[3] for place in ((10, 0), (second - 1, 9), (0, 10), (second, second))] == [0] * 4


def test_a_grid_needs_pictures_of_one_size() -> None:
    with pytest.raises(ValueError, match="these have 0"):
        make_grid([])
    with pytest.raises(ValueError, match="these have 2"):
        make_grid([square(), square(width=11)])


def test_enlarging_keeps_the_shape_and_blends_smoothly() -> None:
    assert enlarge(square(width=10, height=5), 40).size == (40, 20)
    edge = Image.new("RGB", (2, 1), RED)
    edge.putpixel((1, 0), BLUE)
    row = [enlarge(edge, 16).getpixel((x, 0)) for x in range(16)]
    assert len(set(row)) > 4
    same = square()
    assert enlarge(same, 10) is same


def test_a_png_has_its_metadata_and_is_reproducible() -> None:
    made_by = {"model": "größe-模型", "seed": "7"}
    png = encode(square(), made_by)
    assert png == encode(square(), made_by)
    read = Image.open(io.BytesIO(png))
    assert read.format == "PNG"
    assert read.text == {"Software": "Tempera", **made_by}
    assert read.getpixel((0, 0)) == RED


@pytest.mark.parametrize("width", [48, 64, 512])
def test_a_caption_lies_under_the_picture_and_inside_its_width(width: int) -> None:
    [named] = add_captions([square(RED, width, 20)], ["steps 30"])
    assert named.width == width
    assert named.crop((0, 0, width, 20)).getcolors() == [(width * 20, RED)]
    below = named.crop((0, 20, width, named.height))
    text = below.convert("L").point(lambda value: 255 if value > 60 else 0).getbbox()
    assert text is not None
    assert text[0] > 0
    assert text[2] < width


def test_captions_share_the_largest_size_at_which_the_longest_fits() -> None:
    short, long = add_captions([square(RED, 256)] * 2, ["guidance 1", "guidance 7.33333"])
    alone, _ = add_captions([square(RED, 256)] * 2, ["guidance 1", "guidance 2"])
    assert short.size == long.size
    assert short.height < alone.height


def test_numbers_under_a_strip_can_be_read_where_it_is_shown_small() -> None:
    frames = [square((255, 255, 255), 128)] * 10
    whole = make_strip(
        add_captions(frames, ["0", "17", "33", "50", "67", "83", "100", "117", "133", "150"], NUMBER_RATIO)
    )
    small = whole.resize((600, whole.height * 600 // whole.width), Image.Resampling.LANCZOS).convert("L")
    below = small.crop((0, 10 * 600 // whole.width + 2, *small.size)).point(lambda value: 255 if value > 100 else 0)
    left, top, right, bottom = below.getbbox() or (0, 0, 0, 0)
    assert bottom - top >= 9, "letters of fewer pixels cannot be read"
    assert 0 < left < right < small.width
    assert 0 < top < bottom < below.height


def test_size_is_measured_without_reading_the_pixels() -> None:
    assert measure_size(encode(square(width=12), {})) == (12, 10)
    assert measure_size(animate([square(width=12)], {})) == (12, 10)


def test_an_animation_rests_at_its_last_frame_and_has_its_metadata() -> None:
    gif = animate([square(RED), square(BLUE), square((0, 255, 0))], {"seed": "7", "prompt": "größe"})
    assert gif == animate([square(RED), square(BLUE), square((0, 255, 0))], {"seed": "7", "prompt": "größe"})
    read = Image.open(io.BytesIO(gif))
    durations, colours = [], []
    for frame in range(read.n_frames):
        read.seek(frame)
        durations.append(read.info["duration"])
        colours.append(read.convert("RGB").getpixel((5, 5)))
    assert colours == [RED, BLUE, (0, 255, 0)]
    assert durations[0] == durations[1] < durations[2] == LAST_FRAME_MS
    assert read.info["loop"] == 0
    assert json.loads(read.info["comment"]) == {"Software": "Tempera", "seed": "7", "prompt": "größe"}


def test_our_own_picture_is_recognised_by_its_metadata() -> None:
    size, made_by = identify(encode(square(width=12), {"prompt": "größe-模型", "seed": "7"}))
    assert size == (12, 10)
    assert made_by == {"Software": "Tempera", "prompt": "größe-模型", "seed": "7"}
    assert read_stamp(encode(square(), {"seed": "7"})) == {"Software": "Tempera", "seed": "7"}


def test_metadata_of_other_programs_is_not_read_as_ours() -> None:
    # Some keep a whole workflow as the `prompt`.
    fields, buffer = PngInfo(), io.BytesIO()
    fields.add_text("prompt", '{"3": {"class_type": "KSampler"}}')
    square().save(buffer, "PNG", pnginfo=fields)
    assert "prompt" in identify(buffer.getvalue())[1]
    assert read_stamp(buffer.getvalue()) == {}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_of_other_formats_are_decoded_to_rgb(kind: str) -> None:
    buffer = io.BytesIO()
    square().save(buffer, kind, quality=100)
    assert identify(buffer.getvalue())[0] == (10, 10)
    red, green, blue = decode(buffer.getvalue()).getpixel((5, 5))
    assert red > 245
    assert max(green, blue) < 10


def lying(orientation: int, kind: str) -> bytes:
    """A photograph that is red on the left and blue on the right in the camera's view."""
    picture = square(width=32, height=16)
    picture.paste(BLUE, (16, 0, 32, 16))
    exif, buffer = picture.getexif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = orientation
    picture.save(buffer, kind, exif=exif, quality=100)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "size", "red"),
    [
        *((1, (32, 16), (2, 8)), (2, (32, 16), (29, 8)), (3, (32, 16), (29, 8)), (4, (32, 16), (2, 8))),
        *((5, (16, 32), (8, 2)), (6, (16, 32), (8, 2)), (7, (16, 32), (8, 29)), (8, (16, 32), (8, 29))),
        (9, (32, 16), (2, 8)),
    ],
)
def test_a_photograph_is_rotated_by_its_exif_orientation(
    kind: str, orientation: int, size: tuple[int, int], red: tuple[int, int]
) -> None:
    upright = decode(lying(orientation, kind))
    assert upright.size == size
    assert upright.getpixel(red)[0] > 245


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_photograph_with_broken_exif_data_is_read(kind: str) -> None:
    data = lying(6, kind)
    header = next(mark for mark in (b"MM\0*", b"II*\0") if mark in data)
    assert decode(rechecked(data.replace(header, b"XXXX"))).size == (32, 16)


def rechecked(png: bytes) -> bytes:
    """The same with the checksum that belongs to its EXIF chunk, where it is a PNG with one."""
    start = png.find(b"eXIf")
    if start < 0:
        return png
    end = start + 4 + int.from_bytes(png[start - 4 : start])
    return png[:end] + struct.pack(">I", zlib.crc32(png[start:end])) + png[end + 4 :]


def test_sixteen_bits_of_grey_are_as_bright_as_eight() -> None:
    bright = np.array([[0, 1, 64, 128, 254, 255]], np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(bright.astype(np.uint16) * 257).save(buffer, "PNG")
    assert np.array_equal(np.asarray(decode(buffer.getvalue()))[:, :, 0], bright)


def test_transparent_pixels_become_white() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(buffer, "PNG")
    assert decode(buffer.getvalue()).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA"])
def test_a_text_field_named_transparency_is_harmless(mode: str) -> None:
    assert decode(encode(square().convert(mode), {"transparency": "x"})).size == (10, 10)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"])
def test_data_that_is_not_a_picture_is_refused(data: bytes) -> None:
    for read in (identify, decode):
        with pytest.raises(ValueError, match="no picture that can be read"):
            read(data)


def moving(told: int) -> bytes:
    """A picture of two frames whose header claims more."""
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(
        buffer, "PNG", save_all=True, append_images=[Image.effect_noise((64, 64), 50)]
    )
    true, untrue = (b"acTL" + struct.pack(">II", frames, 0) for frames in (2, told))
    chunks = [chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (true, untrue)]
    assert chunks[0] in buffer.getvalue()
    return buffer.getvalue().replace(*chunks)


def test_only_the_first_frame_of_an_animation_is_read() -> None:
    lying = moving(told=9)
    assert identify(lying) == ((64, 64), {})
    assert decode(lying).size == (64, 64)


def ending_with(kind: bytes) -> bytes:
    """A picture with an empty chunk of that kind after its pixels."""
    whole, end = encode(square(), {}), struct.pack(">I", 0) + b"IEND"
    return whole.replace(end, struct.pack(">I", 0) + kind + struct.pack(">I", zlib.crc32(kind)) + end)


@pytest.mark.parametrize(
    "data",
    [
        (whole := encode(Image.effect_noise((64, 64), 90), {}))[: len(whole) // 2],
        whole.replace(b"IDAT\x78", b"IDAT\x00"),
        ending_with(b"iCCP"),
        encode(square(), {"bbox": "x"}),
    ],
    ids=["broken off", "no stream", "no profile", "no box"],
)
def test_a_damaged_picture_is_refused(data: bytes) -> None:
    for read in (identify, decode):
        with pytest.raises(ValueError, match="damaged"):
            read(data)


def test_a_picture_with_too_many_pixels_is_refused_before_they_are_read() -> None:
    with pytest.raises(ValueError, match=r"has 5000×4000 pixels; it may have up to 16 million"):
        identify(encode(Image.new("1", (5000, 4000)), {}))
