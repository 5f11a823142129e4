"""The secret key for hashes, stored apart from the database if possible.

For SQLite, it is a file beside that of the database, which only its owner may read. Processes that share a PostgreSQL
server share no folder, so there it is in the database itself.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from bot.storage.key_value import Store

if TYPE_CHECKING:
    from pathlib import Path

    from bot.storage.database import Database

STORE_NAME, STORE_KEY = "core", "key"
SECRET_BYTES = 32


async def load_secret(database: Database) -> tuple[bytes, bool]:
    """Return the secret of a database, which is made at first use, and whether it was made by this call."""
    new = secrets.token_hex(SECRET_BYTES)
    if (path := database.key_file) is not None:
        stored = await asyncio.to_thread(_read_or_create, path, new)
    else:
        stored = await Store(database, STORE_NAME).change(STORE_KEY, lambda old: old or new)
    return bytes.fromhex(stored), stored == new


def _read_or_create(path: Path, new: str) -> str:
    """Return the content of the file, which is made with `new` if it is missing; only one of several processes does."""
    with suppress(FileNotFoundError):
        return path.read_text("ascii").strip()
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(new)
    # A link fails if another process was quicker; renaming would replace its file.
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    return path.read_text("ascii").strip()
