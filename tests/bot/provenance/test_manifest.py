from datetime import UTC, datetime, timedelta

import pytest
from fakes.core.pictures import FACTS, FORMATS, an_identity, make_picture

from bot.provenance.manifest import read_manifest, sign
from bot.provenance.metadata import write_label


@pytest.mark.parametrize("media_type", FORMATS)
def test_a_manifest_says_what_made_the_picture(media_type: str) -> None:
    mine, other = an_identity(), an_identity(1)
    plain = write_label(make_picture(media_type), {})
    signed = sign(plain, media_type, FACTS, mine)
    manifest = read_manifest(signed, media_type, mine.trust)
    assert manifest is not None
    assert (manifest.is_intact, manifest.is_own, manifest.is_ai) == (True, True, True)
    assert (manifest.facts, manifest.signer) == (FACTS, "Tempera, Tempera bot")
    assert manifest.generator.startswith("Tempera")
    assert manifest.created is not None
    assert abs(manifest.created - datetime.now(UTC)) < timedelta(minutes=10)
    # For another bot it holds as well, but is not its own.
    foreign = read_manifest(signed, media_type, other.trust)
    assert foreign is not None
    assert (foreign.is_intact, foreign.is_own, foreign.facts) == (True, False, FACTS)
    assert read_manifest(plain, media_type, mine.trust) is None


@pytest.mark.parametrize("media_type", FORMATS)
@pytest.mark.parametrize("where", [b"c2pa.created", b"trainedAlgorithmicMedia", b"2.4.", b"end of the picture"])
def test_a_changed_byte_breaks_it(media_type: str, where: bytes) -> None:
    identity = an_identity()
    signed = sign(write_label(make_picture(media_type), {}), media_type, {**FACTS, "guidance": "2.4."}, identity)
    place = signed.rfind(where) if where in signed else len(signed) - 40
    changed = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
    manifest = read_manifest(changed, media_type, identity.trust)
    assert manifest is not None
    assert (manifest.is_intact, manifest.is_own) == (False, False)


def test_a_picture_without_settings_can_be_signed() -> None:
    identity = an_identity()
    signed = sign(make_picture(), "image/png", {}, identity)
    manifest = read_manifest(signed, "image/png", identity.trust)
    assert manifest is not None
    assert (manifest.is_own, manifest.facts) == (True, {})
