from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fakes.core.pictures import an_identity, make_picture

from bot.core.errors import ConfigError
from bot.provenance import certificates
from bot.provenance.certificates import Identity
from bot.provenance.given_certificate import load_identity
from bot.provenance.manifest import read_manifest, sign


def written(folder: Path, key: str, chain: str) -> tuple[Path, Path]:
    (folder / "chain.pem").write_text(chain)
    (folder / "key.pem").write_text(key)
    return folder / "chain.pem", folder / "key.pem"


def issued(key: object) -> Identity:
    """Return an identity with this key, and a root of its own."""
    root_key = ec.generate_private_key(ec.SECP384R1())
    chain = [
        certificates._make_certificate("Somebody", key, root_key, is_root=False),  # type: ignore[arg-type]
        certificates._make_certificate(certificates.ROOT_NAME, root_key, root_key, is_root=True),
    ]
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined]
    return Identity(secret.decode(), tuple(one.public_bytes(Encoding.PEM).decode() for one in chain))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA"],
)
def test_a_certificate_of_the_operator_signs(key: object, tmp_path: Path) -> None:
    given = issued(key)
    identity = load_identity(*written(tmp_path, given.key, "".join(given.chain)))
    assert not identity.trust.is_local
    manifest = read_manifest(sign(make_picture(), "image/png", {}, identity), "image/png", identity.trust)
    assert manifest is not None
    assert (manifest.is_own, manifest.signer) == (True, "Tempera, Somebody")
    # Another one under the same root is not this bot's.
    trust = certificates.Trust(identity.trust.root, identity.trust.serial + 1, is_local=False)
    other = read_manifest(sign(make_picture(), "image/png", {}, identity), "image/png", trust)
    assert other is not None
    assert (other.is_intact, other.is_own) == (True, False)


def test_files_that_are_missing_empty_or_do_not_fit_are_named(tmp_path: Path) -> None:
    mine, other = an_identity(), an_identity(1)
    chain, key = written(tmp_path, mine.key, "".join(mine.chain))
    with pytest.raises(ConfigError, match=r"key for pictures cannot be read from .*none\.pem \(FileNotFoundError\)\."):
        load_identity(chain, tmp_path / "none.pem")
    with pytest.raises(ConfigError, match=r"key\.pem has no certificate; it must be a PEM file\."):
        load_identity(key, key)
    for wrong_key, wrong_chain in ((other.key, mine.chain), (mine.key, mine.chain[:1]), (mine.key, mine.chain[1:])):
        with pytest.raises(ConfigError, match=r"No picture can be signed with .*C2PA needs a certificate for signing"):
            load_identity(*written(tmp_path, wrong_key, "".join(wrong_chain)))
