"""Backups: `tempera backup FILE` while the bot runs, and `tempera restore FILE` while it does not.

A backup is a tar file with a description, the database as it was at one moment, and, for SQLite, the secrets beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import time
import zlib
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from sqlalchemy.engine import URL, make_url

from bot.core.errors import BotError, DatabaseUnavailable
from bot.platforms.capabilities import PLATFORMS
from bot.storage.database import MIGRATIONS, Database, InstanceRow
from bot.storage.engine import OF_SQLALCHEMY, Backend, create_backend
from bot.storage.instances import Instance
from bot.storage.secret_key import HASH_KEY, SIGNING_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORMAT = 1
DESCRIPTION, DATABASE, SECRETS = "backup.json", "database", "secrets/"
VERSION_TABLE = "alembic_version"
TABLES = (
    *(VERSION_TABLE, "attachments", "audit", "changes", "counts", "deliveries", "events", "installations", "instances"),
    *("messages", "oauth_states", "picture_hashes", "plugin_blobs", "plugin_data", "settings", "timeouts", "tokens"),
    "votes",
)
"""All tables of a database of Tempera; others in it are left alone."""
SECRET_NAMES = (HASH_KEY, SIGNING_KEY, *PLATFORMS)
"""The secrets that may stand beside an SQLite database, by the ends of their names."""
PREFIX, LEFT_SECONDS = ".tempera-backup-", 86_400.0
"""How the folder of a backup that is being made begins, and when one that was left is removed."""
NOT_A_BACKUP = "{path} is not a backup that “tempera backup” has made, or only a part of one."


def back_up(address: str, target: Path) -> str:
    """Write a backup of the database at `address` into the new file `target`; return a sentence about it.

    Others may write meanwhile, and do not wait. Raises BotError if something is missing or cannot be read or written.
    """
    if target.exists():
        raise BotError(f"{target} exists already; name a new file.")
    backend = create_backend(address)
    if backend.file is not None and not backend.file.exists():
        raise BotError(f"There is no database at {backend.file} yet.")
    with _os_errors(f"The backup cannot be written to {target}"), _private_folder(target.absolute().parent) as folder:
        copy = folder / DATABASE
        if backend.file is not None:
            _copy_sqlite(backend.file, copy)
        else:
            _run_postgres("pg_dump", address, "--format=custom", "--no-owner", "--no-privileges", f"--file={copy}")
        (folder / DESCRIPTION).write_text(_describe(backend), "utf-8")
        archive = folder / "archive"
        archive.touch(mode=0o600)
        with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
            tar.add(folder / DESCRIPTION, DESCRIPTION)
            tar.add(copy, DATABASE)
            for secret in _find_secrets(backend.file):
                tar.add(secret, f"{SECRETS}{secret.suffix[1:]}")
        _move_to_new(archive, target)
    size = target.stat().st_size / 1e6
    return (
        f"{backend.name} is in {target} ({size:,.1f} MB). It holds what people wrote: keep it as safe as the database."
    )


def restore(address: str, source: Path) -> str:
    """Put a backup in the place of the database at `address`; return a sentence about where the present one is.

    Raises BotError if the bot is running, or if `source` is no backup of such a database.
    """
    backend = create_backend(address)
    if backend.file is not None:
        near = backend.file.parent
    else:
        # Where a backup fits, what is in it should; the folder for temporary files may be a part of the memory.
        near = source.absolute().parent
        near = near if os.access(near, os.W_OK) else Path(tempfile.gettempdir())
    with _os_errors("The backup cannot be restored"), _private_folder(near) as folder:
        _unpack(source, folder)
        kind = _read_kind(folder / DESCRIPTION, source)
        if kind != backend.engine.dialect.name:
            raise BotError(f"{source} is a backup of a {kind} database, and database.url names {backend.name}.")
        if backend.file is None:
            script = _write_script(folder)
            _require_known(_find_revision_in_script(script), source)
            _require_stopped(address, backend)
            # In one transaction with what empties the database: tables that the backup does not know yet would refer to
            # its tables, and would be in the way of its next upgrade.
            drop = f"DROP TABLE IF EXISTS {', '.join(TABLES)} CASCADE"
            emptied = ("--command=SET client_min_messages = warning", f"--command={drop}")
            options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction")
            _run_postgres("psql", address, *options, *emptied, f"--file={script}")
            return f"{backend.name} is now as in {source}."
        _check_sqlite(folder / DATABASE, source)
        _require_known(_find_revision(folder / DATABASE), source)
        _require_stopped(address, backend)
        kept = _set_aside(backend.file, _find_secrets(backend.file))
        (folder / DATABASE).rename(backend.file)
        for secret in sorted((folder / SECRETS).iterdir()):
            secret.rename(backend.file.with_name(f"{backend.file.name}.{secret.name}"))
    return f"{backend.file} is now as in {source}." + (f" What was there before is in {kept}." if kept else "")


def _move_to_new(archive: Path, target: Path) -> None:
    """Move a file to a name that nobody has taken meanwhile, also on disks that know no links."""
    try:
        target.hardlink_to(archive)
    except FileExistsError:
        raise
    except OSError:
        target.touch(mode=0o600, exist_ok=False)
        try:
            shutil.copyfile(archive, target)
        except OSError:
            target.unlink()
            raise


def _read_kind(description: Path, source: Path) -> str:
    """Return of which kind the database in a backup is."""
    try:
        facts = json.loads(description.read_text("utf-8"))
        form, kind = int(facts["format"]), str(facts["database"])
    except (ValueError, LookupError, TypeError):
        raise BotError(NOT_A_BACKUP.format(path=source)) from None
    if form != FORMAT:
        raise BotError(f"{source} was made by another version of Tempera, whose backups this one cannot read.")
    return kind


def _describe(backend: Backend) -> str:
    facts = {"format": FORMAT, "database": backend.engine.dialect.name, "program": version("tempera-bot")}
    return json.dumps({**facts, "created": datetime.now(UTC).isoformat(timespec="seconds")})


def _find_secrets(file: Path | None) -> list[Path]:
    """Return the files of the secrets that stand beside an SQLite database (bot/storage/secret_key.py)."""
    if file is None:
        return []
    return [path for name in SECRET_NAMES if (path := file.with_name(f"{file.name}.{name}")).exists()]


def _copy_sqlite(file: Path, copy: Path) -> None:
    """Copy a database as it is at one moment, while others write to it."""
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=rw", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            # In one step: a copy in several would begin again whenever another process writes.
            source.backup(target, pages=-1)
    except sqlite3.Error as error:
        raise BotError(f"The database {file} cannot be read: {error}.") from error
    _check_sqlite(copy, file)


def _check_sqlite(copy: Path, source: Path) -> None:
    """Raise BotError if the database in `copy`, which was taken from `source`, is damaged."""
    try:
        with closing(sqlite3.connect(copy)) as connection:
            sound = connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    except sqlite3.Error:
        sound = False
    if not sound:
        raise BotError(f"The database in {source} is damaged.")


def _find_revision(copy: Path) -> str:
    """Return the revision of the tables in a file of SQLite; "" for one without our tables."""
    with closing(sqlite3.connect(copy)) as connection, suppress(sqlite3.Error):
        return str(connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()[0])  # noqa: S608
    return ""


def _write_script(folder: Path) -> Path:
    """Write what the backup of a PostgreSQL database does as SQL."""
    script = folder / "restore.sql"
    script.touch(mode=0o600)
    options = ("--clean", "--if-exists", "--no-owner", "--no-privileges", f"--file={script}")
    _run("pg_restore", *options, str(folder / DATABASE))
    return script


def _find_revision_in_script(script: Path) -> str:
    with script.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if re.match(rf"COPY \S*\b{VERSION_TABLE} ", line):
                return next(lines, "").strip()
    return ""


def _require_known(revision: str, source: Path) -> None:
    """Raise BotError for tables that this version cannot bring up to date."""
    known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    if not revision:
        raise BotError(NOT_A_BACKUP.format(path=source))
    if revision not in known:
        raise BotError(f"{source} was made by a newer Tempera than this one. Install that one, then restore it.")


def _unpack(source: Path, folder: Path) -> None:
    """Write the files of a backup into `folder`."""
    (folder / SECRETS).mkdir()
    try:
        with tarfile.open(source, "r:gz") as tar:
            for member in tar:
                name = member.name.removeprefix(SECRETS)
                content = tar.extractfile(member)
                if content is None or not (member.name in (DESCRIPTION, DATABASE) or name.isalpha()):
                    raise BotError(NOT_A_BACKUP.format(path=source))
                if member.name.startswith(SECRETS) and name not in SECRET_NAMES:
                    # Earlier versions took other files beside the database for secrets.
                    continue
                path = folder / member.name
                path.touch(mode=0o600)
                with path.open("wb") as file:
                    shutil.copyfileobj(content, file)
    except FileNotFoundError:
        raise BotError(f"There is no file {source}.") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise BotError(NOT_A_BACKUP.format(path=source)) from error
    if not all((folder / name).exists() for name in (DESCRIPTION, DATABASE)):
        raise BotError(NOT_A_BACKUP.format(path=source))


def _require_stopped(address: str, backend: Backend) -> None:
    """Raise BotError if a process of the bot uses the database, or if a database of PostgreSQL cannot be opened."""

    async def find_living() -> int:
        # Not opened as the bot does, which would bring the tables up to date.
        database = Database(address)
        try:
            async with database.reading() as session:
                tables = await (await session.connection()).run_sync(
                    lambda connection: inspect(connection).get_table_names()
                )
            # A new, empty database has nobody who uses it.
            return len(await Instance(database).find_living()) if InstanceRow.__tablename__ in tables else 0
        finally:
            await database.__aexit__(None, None, None)

    if backend.file is not None and not backend.file.exists():
        return
    living = 0
    failures: tuple[type[Exception], ...] = (DatabaseUnavailable, *backend.open_errors)
    try:
        living = asyncio.run(find_living())
    except failures:
        # A damaged file is what backups are for.
        if backend.file is None:
            raise BotError(backend.failure_sentence) from None
    if living:
        raise BotError(f"The bot is running with {backend.name}. Stop it first, so that nothing is lost, then restore.")


def _set_aside(file: Path, secrets: list[Path]) -> Path | None:
    """Move a database and its secrets into a folder beside it; return the folder, None if there was nothing."""
    files = [path for end in ("", "-wal", "-shm") if (path := file.with_name(f"{file.name}{end}")).exists()]
    if not (files or secrets):
        return None
    kept = file.with_name(f"{file.name}-before-{datetime.now(UTC):%Y-%m-%d-%H-%M-%S}")
    kept.mkdir(mode=0o700)
    for path in (*files, *secrets):
        path.rename(kept / path.name)
    return kept


def _run_postgres(program: str, address: str, *options: str) -> None:
    """Run a program of PostgreSQL with a database. Raises BotError with its words if it fails."""
    url = make_url(address)
    # The driver and these programs have different names for this option, and others only the driver knows.
    query = {
        "sslmode" if name == "ssl" else name: value for name, value in url.query.items() if name not in OF_SQLALCHEMY
    }
    # In the environment, since others on this machine can read what a program was called with.
    secret = {"PGPASSWORD": str(url.password)} if url.password is not None else {}
    known = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    _run(program, f"--dbname={known.render_as_string()}", *options, secret=secret)


def _run(program: str, *options: str, secret: Mapping[str, str] | None = None) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the program's name and options are written above
            [program, *options],
            env={**os.environ, **(secret or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise BotError(
            f"{program} is needed, as for every backup of PostgreSQL: apt install postgresql-client"
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it does not say why"]
        reason = next((line for line in lines if "error:" in line.lower()), lines[-1])
        # What psql says begins with the name of our file.
        raise BotError(f"{program} failed: {reason[max(0, reason.find('ERROR:')) :]}")


@contextmanager
def _os_errors(failed: str) -> Iterator[None]:
    """Raise BotError with the sentence `failed` and the reason where the system refuses something."""
    try:
        yield
    except OSError as error:
        raise BotError(f"{failed}: {error.strerror or error}.") from error


@contextmanager
def _private_folder(near: Path) -> Iterator[Path]:
    """A folder that only its owner can read, on the disk of `near`, which is removed at the end."""
    near.mkdir(parents=True, exist_ok=True)
    # Left by one that was killed; another one may be at work.
    for left in near.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=near))
    try:
        yield folder
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)
