"""A secret that makes hashes which nobody can make without it, kept apart from the database where that can be.

Beside a SQLite file lies another one that only its owner may read. Processes that share a PostgreSQL server share no
folder, so there it lies in the database itself.
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
    """The secret of a database, made at first use, and whether that was now."""
    new = secrets.token_hex(SECRET_BYTES)
    if (path := database.key_file) is not None:
        kept = await asyncio.to_thread(_read_or_create, path, new)
    else:
        kept = await Store(database, STORE_NAME).change(STORE_KEY, lambda old: old or new)
    return bytes.fromhex(kept), kept == new


def _read_or_create(path: Path, new: str) -> str:
    """What the file holds; `new` if it was not there. Of several processes that begin at once, one writes it."""
    with suppress(FileNotFoundError):
        return path.read_text("ascii").strip()
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(new)
    # Linked and not renamed, which would take the place of another process's.
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    return path.read_text("ascii").strip()
