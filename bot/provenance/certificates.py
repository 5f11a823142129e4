"""The certificate that pictures are signed with: one of the bot's own, or one that whoever runs the bot has got.

The bot's own has a root that exists for it alone, and whose key is thrown away. So nobody else vouches for it, and
nobody can make another one that seems to be this bot's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

ORGANISATION, ROOT_NAME, SIGNER_NAME = "Tempera", "Tempera root of one bot", "Tempera bot"
VALID_DAYS = 30 * 365
"""Long enough that the pictures of a bot never outlive its certificate: no authority confirms when one was signed."""
ELLIPTIC_ALGORITHMS = {256: "es256", 384: "es384", 521: "es512"}
CERTIFICATES = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----\n?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Trust:
    """What a manifest must have to be this bot's: a certificate under `root` (PEM), with this `serial` number.

    `is_local` is true if the bot made the certificate itself, so that nobody else vouches for it.
    """

    root: str
    serial: int
    is_local: bool


@dataclass(frozen=True)
class Identity:
    """A key and its certificates, as PEM: the one for the key first, then each that vouches for the one before it."""

    key: str
    chain: tuple[str, ...]
    is_local: bool = True

    @cached_property
    def algorithm(self) -> str:
        """The algorithm of signatures with the key, as C2PA names it. Raises ValueError if it can make none."""
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        match load_pem_private_key(self.key.encode(), None):
            case EllipticCurvePrivateKey() as key if key.key_size in ELLIPTIC_ALGORITHMS:
                return ELLIPTIC_ALGORITHMS[key.key_size]
            case Ed25519PrivateKey():
                return "ed25519"
            case RSAPrivateKey():
                return "ps256"
        raise ValueError("the key is neither of an elliptic curve nor Ed25519 nor RSA")

    @cached_property
    def trust(self) -> Trust:
        """What manifests of this bot have. Raises ValueError if the certificates cannot be read."""
        from cryptography.x509 import load_pem_x509_certificate

        serial = load_pem_x509_certificate(self.chain[0].encode()).serial_number
        return Trust(self.chain[-1], serial, self.is_local)


def make_identity() -> str:
    """Make a key, its certificate and a root for it, and return them as PEM, as `read_identity` reads them."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    root_key, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    root = _make_certificate(ROOT_NAME, root_key, root_key, is_root=True)
    signer = _make_certificate(SIGNER_NAME, key, root_key, is_root=False)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (secret + signer.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)).decode()


def read_identity(pem: str) -> Identity:
    """Return the key and the certificates in what `make_identity` made. Raises ValueError for anything else."""
    key, chain = PRIVATE_KEY.search(pem), CERTIFICATES.findall(pem)
    if key is None or not chain:
        raise ValueError("no key or no certificate")
    return Identity(key[0], tuple(chain))


def _make_certificate(
    name: str, key: EllipticCurvePrivateKey, issuer_key: EllipticCurvePrivateKey, *, is_root: bool
) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def full_name(common_name: str) -> x509.Name:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION)
        return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

    # A clock that is corrected backwards must not find it too new.
    begin = datetime.now(UTC) - timedelta(days=1)
    usage = x509.KeyUsage(
        digital_signature=not is_root,
        key_cert_sign=is_root,
        crl_sign=is_root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(full_name(name))
        .issuer_name(full_name(ROOT_NAME))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_root:
        # C2PA accepts certificates for e-mail or for documents.
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, SHA256())
