"""Reads a certificate that whoever runs the bot has got, and tries it out before the bot starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.errors import ConfigError
from bot.provenance.certificates import CERTIFICATES, PRIVATE_KEY, Identity
from bot.provenance.manifest import read_manifest, sign
from bot.provenance.metadata import PNG

if TYPE_CHECKING:
    from pathlib import Path
    from re import Pattern

SMALLEST_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6360000000020001"
    "48afa4710000000049454e44ae426082"
)


def load_identity(certificate: Path, key: Path) -> Identity:
    """Return the identity in two PEM files: certificates up to a root, and the key of the first.

    Raises ConfigError if they cannot be read, or if no picture can be signed with them. Blocks.
    """
    chain, [secret] = _read(certificate, CERTIFICATES, "certificate"), _read(key, PRIVATE_KEY, "private key")[:1]
    identity = Identity(secret, tuple(chain), is_local=False)
    try:
        manifest = read_manifest(sign(SMALLEST_PNG, PNG, {}, identity), PNG, identity.trust)
    except Exception as error:  # noqa: BLE001 - two libraries raise many types for what is wrong with a certificate
        reason = f" ({error})"
    else:
        if manifest is not None and manifest.is_own:
            return identity
        reason = ""
    raise ConfigError(
        f"No picture can be signed with {certificate} and {key}{reason}. C2PA needs a certificate for signing "
        "documents or e-mail, behind it in the same file those above it up to a root, and its key without a password."
    )


def _read(file: Path, pattern: Pattern[str], content: str) -> list[str]:
    try:
        found = pattern.findall(file.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"The {content} for pictures cannot be read from {file} ({type(error).__name__}).") from None
    if not found:
        raise ConfigError(f"{file} has no {content}; it must be a PEM file.")
    return found
