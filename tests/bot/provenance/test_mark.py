import io

import pytest
from fakes.core.pictures import FORMATS, make_picture
from PIL import Image, ImageChops, ImageSequence

from bot.provenance.mark import LEAST_EDGE_PIXELS, draw_mark
from bot.provenance.metadata import GIF, PNG


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("edge", [192, 512])
def test_the_mark_is_in_a_small_part_of_one_corner(edge: int) -> None:
    before = make_picture(PNG, edge)
    after = draw_mark(before, PNG)
    assert after is not None
    changed = ImageChops.difference(opened(before).convert("RGB"), opened(after).convert("RGB")).getbbox()
    assert changed is not None
    assert min(changed[:2]) > edge * 0.85
    assert max(changed[2:]) < edge
    assert changed[2] - changed[0] > 10


@pytest.mark.parametrize("media_type", FORMATS)
def test_a_small_picture_has_none(media_type: str) -> None:
    assert draw_mark(make_picture(media_type, LEAST_EDGE_PIXELS - 1), media_type) is None


def test_transparent_gaps_stay() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (256, 256)).save(buffer, "PNG")
    after = draw_mark(buffer.getvalue(), PNG)
    assert after is not None
    assert opened(after).convert("RGBA").getpixel((0, 0)) == (0, 0, 0, 0)


def test_each_frame_of_a_film_has_it_and_its_time_stays() -> None:
    before = make_picture(GIF, 256)
    after = draw_mark(before, GIF)
    assert after is not None
    films = [opened(before), opened(after)]
    assert [film.info["loop"] for film in films] == [0, 0]
    old, new = (
        [(frame.info["duration"], frame.convert("RGB")) for frame in ImageSequence.Iterator(film)] for film in films
    )
    assert [time for time, _ in old] == [time for time, _ in new] == [120, 120, 2500]
    for (_, one), (_, other) in zip(old, new, strict=True):
        corner = (226, 236, 254, 254)
        assert ImageChops.difference(one.crop(corner), other.crop(corner)).getbbox() is not None
