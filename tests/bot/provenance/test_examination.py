import io

import pytest
from fakes.core.pictures import FACTS, FORMATS, an_identity, make_image, make_picture
from PIL.PngImagePlugin import PngInfo

from bot.provenance.examination import examine
from bot.provenance.manifest import sign
from bot.provenance.metadata import GIF, Label, read_xmp, write_label
from bot.provenance.picture_hash import MAX_DISTANCE, hash_image

TRUST = an_identity().trust


@pytest.mark.parametrize("media_type", FORMATS)
def test_a_signed_picture(media_type: str) -> None:
    labelled = write_label(make_picture(media_type), {})
    seen = examine(sign(labelled, media_type, FACTS, an_identity()), TRUST)
    assert seen.label == Label(FACTS)
    assert seen.manifest is not None
    assert (seen.manifest.is_own, seen.manifest.facts) == (True, FACTS)
    last = hash_image(make_image(angle=60 if media_type == GIF else 0))
    assert sum((a ^ b).bit_count() for a, b in zip(seen.hash, last, strict=True)) <= MAX_DISTANCE
    plain = examine(make_picture(media_type), TRUST)
    assert (plain.manifest, plain.label) == (None, None)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
def test_the_metadata_of_another_program(kind: str) -> None:
    packet = read_xmp(write_label(make_picture(), {})).removeprefix(b"XML:com.adobe.xmp" + bytes(5))
    packet = packet.replace(b"Tempera", b"Painter")
    fields, buffer = PngInfo(), io.BytesIO()
    fields.add_itxt("XML:com.adobe.xmp", packet.decode())
    make_image().save(buffer, kind, **({"pnginfo": fields} if kind == "PNG" else {"xmp": packet}))
    seen = examine(buffer.getvalue(), TRUST)
    assert seen.manifest is None
    assert seen.label is not None
    assert (seen.label.is_ai, seen.label.facts) == (True, {"model": "tiny"})
    assert seen.label.software.startswith("Painter")
