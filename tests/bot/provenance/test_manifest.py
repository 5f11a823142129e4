import io
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo

import c2pa
import pytest
from cryptography.x509 import load_pem_x509_certificate
from fakes.core.pictures import FACTS, FORMATS, an_identity, make_picture
from PIL import Image

from bot.provenance import certificates
from bot.provenance.certificates import Identity
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


def test_a_manifest_that_is_kept_elsewhere_is_none() -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" '
        b'dcterms:provenance="https://example.org/manifest"/></rdf:RDF></x:xmpmeta>'
    )
    saved = io.BytesIO()
    Image.new("RGB", (20, 15)).save(saved, "JPEG", xmp=packet)
    assert read_manifest(saved.getvalue(), "image/jpeg", an_identity().trust) is None


def make_short_lived(seconds: int) -> Identity:
    """Return an identity whose certificate expires after so many seconds."""

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) - timedelta(days=30) + timedelta(seconds=seconds)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(certificates, "datetime", Earlier)
        patched.setattr(certificates, "VALID_DAYS", 31)
        return certificates.read_identity(certificates.make_identity())


def test_a_certificate_that_has_expired_does_not_say_that_something_was_changed() -> None:
    picture, signed = write_label(make_picture("image/png"), {}), b""
    # A slow machine may not have signed with it before it expires.
    for seconds in (6, 20, 60):
        identity = make_short_lived(seconds)
        with suppress(c2pa.C2paError):
            signed = sign(picture, "image/png", FACTS, identity)
            break
    ends = load_pem_x509_certificate(identity.chain[0].encode()).not_valid_after_utc
    time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds() + 1.5))
    manifest = read_manifest(signed, "image/png", identity.trust)
    assert manifest is not None
    assert (manifest.is_intact, manifest.is_expired, manifest.is_own) == (True, True, False)
    place = len(signed) - 40
    changed = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
    broken = read_manifest(changed, "image/png", identity.trust)
    assert broken is not None
    assert not broken.is_intact
