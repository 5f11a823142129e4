"""The key and the certificate of its own that the bot signs pictures with; they are made at the first start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.provenance.certificates import make_identity, read_identity
from bot.storage.secret_key import SIGNING_KEY, damaged, load_secret_text

if TYPE_CHECKING:
    from bot.provenance.certificates import Identity
    from bot.storage.database import Database


async def load_own_identity(database: Database) -> Identity:
    """Return the identity of a database. Raises ConfigError if it was changed by hand."""
    try:
        return read_identity(await load_secret_text(database, SIGNING_KEY, make_identity))
    except ValueError:
        raise damaged(SIGNING_KEY) from None
