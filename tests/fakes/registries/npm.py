"""npm packages for tests, downloaded once and checked against their checksum."""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

FETCH_SECONDS = 300
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tempera-tests"


class UnavailableError(Exception):
    """The package cannot be fetched on this machine. The text is one sentence."""


def fetched(package: str, version: str, integrity: str, member: str) -> Path:
    """Return one file of a package. `integrity` is the SHA-512 of its archive. Raises UnavailableError."""
    kept = CACHE / f"{package}-{version}" / Path(member).name
    if kept.is_file():
        return kept
    if (npm := shutil.which("npm")) is None:
        raise UnavailableError("npm is not installed.")
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Two workers may fetch the same package at once.
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        command = [npm, "pack", f"{package}@{version}", "--silent", "--fetch-retries=1", "--pack-destination", folder]
        if subprocess.run(command, capture_output=True, check=False, timeout=FETCH_SECONDS).returncode:
            raise UnavailableError(f"npm cannot fetch {package}.")
        archive = Path(folder) / f"{package}-{version}.tgz"
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        assert digest == integrity, f"{archive} has another checksum than the package that was reviewed"
        unfinished = Path(folder) / kept.name
        with tarfile.open(archive) as files:
            content = files.extractfile(f"package/{member}")
            assert content is not None
            with unfinished.open("wb") as file:
                shutil.copyfileobj(content, file)
        unfinished.rename(kept)
    return kept
