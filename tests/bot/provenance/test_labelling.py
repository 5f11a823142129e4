import io

import pytest
from fakes.core.pictures import SECRET, make_image
from PIL import Image

from bot.provenance.labelling import label_picture
from bot.provenance.metadata import PNG_SIGNATURE, Label, read_label


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_other_formats_become_a_png_without_their_metadata(kind: str) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = SECRET
    make_image().save(buffer, kind, exif=exif)
    labelled = label_picture(buffer.getvalue(), {"model": "tiny"})
    assert labelled.startswith(PNG_SIGNATURE)
    assert read_label(labelled) == Label({"model": "tiny"})
    assert SECRET.encode() not in labelled


def test_what_is_no_picture_stays() -> None:
    assert label_picture(b"no picture", {"model": "tiny"}) == b"no picture"
