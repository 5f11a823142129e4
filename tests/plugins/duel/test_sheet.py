"""The truth that is drawn into a sheet."""

import io

import numpy as np
from fakes.model_server.model_api import png
from PIL import Image

from bot.provenance.labelling import label_picture
from bot.provenance.metadata import read_label
from plugins.duel.sheet import mark_truth


def test_each_face_gets_its_sign_and_the_label_stays() -> None:
    sheet = label_picture(png(7, 80, 60), {"model": "emoji-faces"})
    marked = mark_truth(sheet, [number != 5 for number in range(12)])
    label = read_label(marked)
    assert label is not None
    assert label.facts == {"model": "emoji-faces"}
    with Image.open(io.BytesIO(marked)) as picture:
        frames = [picture.getpixel((column * 20, row * 20 + 10)) for row in range(3) for column in range(4)]
    reds = [number for number, (red, green, _) in enumerate(frames) if red > green]
    assert reds == [5]
    with Image.open(io.BytesIO(marked)) as picture:
        signs = [picture.crop((x + 13, y + 1, x + 19, y + 8)) for x, y in ((0, 0), (20, 0), (20, 20))]
    # A cross is its own mirror image, unlike a tick.
    tick, same, cross = (np.asarray(sign.convert("RGB")).min(axis=-1) < 128 for sign in signs)
    assert (tick == same).all()
    assert (tick != cross).any()
