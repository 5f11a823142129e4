import io
import random

from fakes.core.pictures import make_image, make_picture
from PIL import Image

from bot.provenance.metadata import GIF, write_label
from bot.provenance.picture_hash import HASH_BYTES, MAX_DISTANCE, find_nearest, hash_image, hash_picture


def distance(one: bytes, other: bytes) -> int:
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


def test_copies_are_near_and_others_are_not() -> None:
    whole = make_image(512)
    buffer = io.BytesIO()
    whole.resize((256, 256)).save(buffer, "JPEG", quality=75)
    known, copy = hash_image(whole), hash_image(Image.open(buffer))
    assert len(known) == len(copy) == HASH_BYTES
    assert distance(known, copy) <= MAX_DISTANCE < distance(known, hash_image(make_image(512, 45)))


def test_a_transparent_picture_is_seen_on_white() -> None:
    clear = Image.new("RGBA", (64, 64))
    clear.paste(make_image(32), (16, 16))
    white = Image.new("RGB", (64, 64), "white")
    white.paste(make_image(32), (16, 16))
    assert hash_image(clear) == hash_image(white)


def test_only_pictures_with_a_label_have_one() -> None:
    assert hash_picture(make_picture()) is None
    assert hash_picture(b"no picture") is None
    assert hash_picture(write_label(make_picture(), {})) == hash_image(make_image())
    film = hash_picture(write_label(make_picture(GIF), {}))
    assert film is not None
    assert distance(film, hash_image(make_image(angle=60))) <= MAX_DISTANCE


def test_the_nearest_one_is_returned() -> None:
    chance = random.Random(1)
    known = [chance.randbytes(HASH_BYTES) for _ in range(50)]
    near = bytes([known[20][0] ^ 0b111, *known[20][1:]])
    assert find_nearest(near, known) == find_nearest(known[20], known) == known[20]
    assert find_nearest(chance.randbytes(HASH_BYTES), known) is None
    assert find_nearest(near, []) is None
