"""Secrets that are made at first use and stored apart from the database if possible.

For SQLite, each is a file beside that of the database, which only its owner may read. Processes that share a PostgreSQL
server share no folder, so there they are in the database itself.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from bot.core.errors import ConfigError
from bot.storage.key_value import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bot.storage.database import Database

STORE_NAME = "core"
HASH_KEY, SIGNING_KEY = "key", "signing"
"""The secrets of hashes and of signatures of pictures. A platform may have one under its own name; backups have all."""
SECRET_BYTES = 32


async def load_secret(database: Database) -> tuple[bytes, bool]:
    """Return the secret key for hashes of a database, and whether it was made by this call."""
    new = secrets.token_hex(SECRET_BYTES)
    stored = await load_secret_text(database, HASH_KEY, lambda: new)
    try:
        key = bytes.fromhex(stored)
    except ValueError:
        key = b""
    if len(key) != SECRET_BYTES:
        raise damaged(HASH_KEY)
    return key, stored == new


def damaged(name: str) -> ConfigError:
    """Return the error for a secret that was changed by hand, or lost with the power of the machine."""
    return ConfigError(
        f"The secret “{name}” of the database is damaged. Restore a backup; or delete it, and the bot makes another "
        "one, with which it does not know again what it signed or hashed with this one."
    )


async def load_secret_text(database: Database, name: str, make: Callable[[], str]) -> str:
    """Return the secret called `name`, ASCII text that `make` returns at its first use; `make` may take its time."""
    if (path := database.key_file) is not None:
        return await asyncio.to_thread(_read_or_create, path.with_suffix(f".{name}"), make)
    store = Store(database, STORE_NAME)
    if (stored := await store.get(name)) is not None:
        return str(stored)
    new = await asyncio.to_thread(make)
    return str(await store.change(name, lambda old: old or new))


def _read_or_create(path: Path, make: Callable[[], str]) -> str:
    """Return the content of the file, which is made if it is missing; only that of one of several processes stays."""
    with suppress(FileNotFoundError):
        return path.read_text("ascii").strip()
    new = make()
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        _write_new(draft, new)
        # A link fails if another process was quicker; renaming would replace its file.
        with suppress(FileExistsError):
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                raise
            except OSError:
                # Not every disk knows links.
                _write_new(path, new)
    finally:
        draft.unlink(missing_ok=True)
    return path.read_text("ascii").strip()


def _write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet to the disk. Raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
