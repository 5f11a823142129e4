"""One file on its way: pieces from the first source that has them, joined in order, then held against its hash."""

from __future__ import annotations

import hashlib
import json
import os
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Protocol

from model_server.catalogue import Location, ModelFile
from model_server.files.sources import SourceError, Sources

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHUNK = 1 << 20


class ProgressListener(Protocol):
    """Hears how the work goes."""

    def update(self, what: str, done: int, total: int | None) -> None:
        """`what` is being done; `done` of `total` (None: unknown) bytes, or steps of a conversion, are over."""


class Download:
    """Builds `file` in the folder `scratch`, which belongs to this process alone."""

    def __init__(self, file: ModelFile, scratch: Path, sources: Sources, progress: ProgressListener) -> None:
        self._file = file
        self._scratch = scratch
        self._sources = sources
        self._progress = progress
        self._part = scratch / (file.name.replace("/", "_") + ".part")
        self._shown = 0
        self._journal = self._part.with_name(self._part.name + ".json")

    def fetch(self, sources: Sequence[str | tuple[str, ...]], failed: dict[str, str]) -> Path | None:
        """The whole and verified file, from the first of `sources` that gives it; None when none does.

        `failed` collects the reason of every source that did not; what stands there already is not tried. A run after
        a kill goes on behind the last whole piece. Raises OSError when the file cannot be written.
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
            if (digest := self.hash(self._part)) == self._file.sha256:
                self._journal.unlink()
                return self._part
            self._forget(pieces)
            failed[name] = f"{self._file.name} is another file there, its sha256 starts with {digest[:12]}"
        return None

    def hash(self, path: Path) -> str:
        """The sha256 of a file, in lower-case hexadecimal."""
        digest = hashlib.sha256()
        done, total = 0, path.stat().st_size
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                self._sources.check()
                digest.update(chunk)
                done += len(chunk)
                self._progress.update(f"checking {self._file.name}", done, total)
        return digest.hexdigest()

    def _pieces(self, source: str | tuple[str, ...]) -> list[Location]:
        if isinstance(source, str):
            return [Location.parse(source) / self._file.name]
        return [Location.parse(text) for text in source]

    def _join(self, pieces: Sequence[Location]) -> None:
        self._shown = 0
        names = [str(piece) for piece in pieces]
        count, size = self._left_off(names)
        for index in range(count, len(pieces)):
            watch = partial(self._tell, size)
            whole = self._sources.take(pieces[0], self._scratch, watch) if len(pieces) == 1 else None
            if whole is not None:
                size = self._move(whole)
            else:
                with self._sources.open(pieces[index], self._scratch, watch) as piece:
                    size = self._append(piece, size)
            write_json(self._journal, {"pieces": names, "count": index + 1, "size": size})
            if len(pieces) > 1:
                self._sources.discard(pieces[index], self._scratch)

    def _left_off(self, names: list[str]) -> tuple[int, int]:
        """How many of the pieces were joined by an earlier run, and the size that this came to."""
        journal = read_json(self._journal)
        if journal.get("pieces") == names and self._part.is_file() and self._part.stat().st_size >= journal["size"]:
            return journal["count"], journal["size"]
        return 0, 0

    def _move(self, whole: Path) -> int:
        """Make the part of a file that was downloaded, without a second copy of it; its size."""
        with whole.open("rb") as file:
            # Where it was downloaded to, it is found again after a kill; as the part, only with the journal.
            os.fsync(file.fileno())
        whole.replace(self._part)
        return self._part.stat().st_size

    def _append(self, piece: IO[bytes], size: int) -> int:
        """Write `piece` behind the first `size` bytes of the part, which may be longer after a kill."""
        with self._part.open("r+b" if size else "wb") as part:
            if size:
                part.truncate(size)
                part.seek(size)
            while chunk := piece.read(CHUNK):
                self._sources.check()
                size += len(chunk)
                if size > self._file.size:
                    raise SourceError(f"{self._file.name} is longer there than {self._file.size} bytes")
                part.write(chunk)
                self._tell(size, 0)
            part.flush()
            os.fsync(part.fileno())
        return size

    def _tell(self, joined: int, arriving: int) -> None:
        total = self._file.size
        # A wheel is first downloaded and then unpacked; who watches should see one way, not two.
        self._shown = max(self._shown, min(joined + arriving, total))
        self._progress.update(f"fetching {self._file.name}", self._shown, total)

    def _forget(self, pieces: Sequence[Location]) -> None:
        self._journal.unlink()
        self._part.unlink()
        for piece in pieces:
            self._sources.discard(piece, self._scratch)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a small file that `write_json` wrote; empty when there is none."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a small file in one step."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(path)
