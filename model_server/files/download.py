"""Downloads one file: joins its pieces from the first source that has them and verifies the hash."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from model_server.catalogue import Location, ModelFile
from model_server.files.sources import POLL_SECONDS, SourceError, Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CHUNK_BYTES = 1 << 20
AT_ONCE = 2
"""The pieces of a file that are downloaded at the same time."""


class FetchListener(Protocol):
    """Receives the progress of fetching a model."""

    def update(self, what: str, done: int, total: int | None) -> None:
        """Note that `done` of `total` (None: unknown) bytes, or steps of a conversion, of the work `what` are done."""


class Download:
    """Downloads `file` in the folder `scratch`, which only this process uses."""

    def __init__(self, file: ModelFile, scratch: Path, sources: Sources, progress: FetchListener) -> None:
        self._file = file
        self._scratch = scratch
        self._sources = sources
        self._progress = progress
        self._part = scratch / (file.name.replace("/", "_") + ".part")
        self._reported = 0
        self._journal = self._part.with_name(self._part.name + ".json")

    def fetch(self, sources: Sequence[str | tuple[str, ...]], failed: dict[str, str]) -> Path | None:
        """Return the complete, verified file from the first of `sources` that has it, or None.

        `failed` collects the reason for each source that failed; sources in it are not tried again. After a kill, the
        next run resumes after the last complete piece. Raises OSError if the file cannot be written.
        """
        for source in sources:
            name = source if isinstance(source, str) else f"{source[0]} and its other parts"
            if name in failed:
                continue
            pieces = self._pieces(source)
            try:
                self._join(pieces)
            except SourceError as error:
                failed[name] = str(error)
                continue
            if (digest := self.hash_file(self._part)) == self._file.sha256:
                self._journal.unlink()
                return self._part
            self._discard(pieces)
            failed[name] = f"{self._file.name} is another file there, its sha256 starts with {digest[:12]}"
        return None

    def hash_file(self, path: Path) -> str:
        """Return the SHA-256 of a file in lower-case hexadecimal."""
        digest = hashlib.sha256()
        done, total = 0, path.stat().st_size
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                self._sources.check_stopping()
                digest.update(chunk)
                done += len(chunk)
                self._progress.update(f"checking {self._file.name}", done, total)
        return digest.hexdigest()

    def _pieces(self, source: str | tuple[str, ...]) -> list[Location]:
        if isinstance(source, str):
            return [Location.parse(source) / self._file.name]
        return [Location.parse(text) for text in source]

    def _join(self, pieces: Sequence[Location]) -> None:
        self._reported = 0
        names = [str(piece) for piece in pieces]
        count, size = self._find_resume_point(names)
        with PiecesAhead(self._sources, self._scratch, pieces[count:]) as ahead:
            for index in range(count, len(pieces)):
                on_bytes = partial(self._report, size)
                whole = self._sources.download_file(pieces[0], self._scratch, on_bytes) if len(pieces) == 1 else None
                if whole is not None:
                    size = self._move_into_part(whole)
                else:
                    ahead.wait_for(index - count, on_bytes)
                    with self._sources.open(pieces[index], self._scratch, on_bytes) as piece:
                        size = self._append(piece, size)
                write_json(self._journal, {"pieces": names, "count": index + 1, "size": size})
                if len(pieces) > 1:
                    self._sources.discard(pieces[index], self._scratch)

    def _find_resume_point(self, names: list[str]) -> tuple[int, int]:
        """Return how many pieces an earlier run joined, and their total size."""
        journal = read_json(self._journal)
        if journal.get("pieces") == names and self._part.is_file() and self._part.stat().st_size >= journal["size"]:
            return journal["count"], journal["size"]
        return 0, 0

    def _move_into_part(self, whole: Path) -> int:
        """Turn a complete downloaded file into the part without copying it; return its size."""
        with whole.open("rb") as file:
            # Synced before the move: after a kill the download is found again, the part only with its journal.
            os.fsync(file.fileno())
        whole.replace(self._part)
        return self._part.stat().st_size

    def _append(self, piece: IO[bytes], size: int) -> int:
        """Write `piece` after the first `size` bytes of the part, which may be longer after a kill."""
        with self._part.open("r+b" if size else "wb") as part:
            if size:
                part.truncate(size)
                part.seek(size)
            while chunk := piece.read(CHUNK_BYTES):
                self._sources.check_stopping()
                size += len(chunk)
                if size > self._file.size:
                    raise SourceError(f"{self._file.name} is longer there than {self._file.size} bytes")
                part.write(chunk)
                self._report(size, 0)
            part.flush()
            os.fsync(part.fileno())
        return size

    def _report(self, joined: int, arriving: int) -> None:
        total = self._file.size
        # A wheel is downloaded and then unpacked; the progress must not run twice.
        self._reported = max(self._reported, min(joined + arriving, total))
        self._progress.update(f"fetching {self._file.name}", self._reported, total)

    def _discard(self, pieces: Sequence[Location]) -> None:
        self._journal.unlink()
        self._part.unlink()
        for piece in pieces:
            self._sources.discard(piece, self._scratch)


class PiecesAhead:
    """Downloads pieces in order, at most two at a time: starting pip takes as long as half a piece takes to arrive.

    Leaving the context waits for downloads that have begun.
    """

    def __init__(self, sources: Sources, scratch: Path, pieces: Sequence[Location]) -> None:
        self._sources = sources
        self._scratch = scratch
        self._pieces = pieces if len(pieces) > 1 else ()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="piece")
        self._running: dict[int, Future[None]] = {}
        self._arrived: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def wait_for(self, index: int, on_bytes: Callable[[int], None]) -> None:
        """Return once piece `index` is downloaded, and begin with the next one meanwhile.

        `on_bytes` is called with the bytes of all pieces that are arriving. Raises SourceError.
        """
        if not self._pieces:
            return
        for each in range(index, min(index + AT_ONCE, len(self._pieces))):
            if each not in self._running:
                self._running[each] = self._threads.submit(self._download, each)
        while not wait([self._running[index]], POLL_SECONDS).done:
            on_bytes(sum(self._arrived.values()))
        self._arrived.pop(index, None)
        self._running.pop(index).result()

    def _download(self, index: int) -> None:
        def note(size: int) -> None:
            self._arrived[index] = size

        self._sources.download_ahead(self._pieces[index], self._scratch, note)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file that `write_json` wrote; empty if there is none."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file atomically."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(path)
