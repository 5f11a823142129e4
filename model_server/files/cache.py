"""Model files: fetch, verify, convert once, keep.

    <cache>/models/NAME/        the files of a model, each with the hash that the catalogue demands; or what was
                                assembled from weights of this project and another model
    <cache>/converted/SHA256/   what a GGUF with that hash became; what the language engine opens
    <cache>/partial/NAME/       work in progress; gone once the model is in place
    <cache>/locks/NAME.lock     held by the one process that works on a model

A file gets its own name only by a rename, after its hash was right, so that no half file is ever seen. A run that was
killed leaves whole parts in `partial`, and the next run goes on from there; those of a repository are gone on with for
the same revision and variant alone.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_server.assembly import TRAINED, assemble, is_trained
from model_server.catalogue import CatalogueEntry, ModelFile, StoreError
from model_server.files.download import Download, ProgressListener, read_json, write_json
from model_server.files.sources import PROGRESS, SourceError, Sources, bytes_in

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_SECONDS = 0.3
CONVERTED = 2.6
"""How many times the size of a GGUF of 4 bits is what it becomes, beside which it stays."""


class ModelCache:
    """The models in a cache folder: `cache`, else TEMPERA_CACHE, else ~/.cache/tempera."""

    def __init__(self, cache: Path | None = None) -> None:
        chosen = cache or Path(os.environ.get("TEMPERA_CACHE") or "~/.cache/tempera")
        self.cache = chosen.expanduser().absolute()
        self._stopping = threading.Event()
        self._sources = Sources(self._stopping)

    def stop(self) -> None:
        """End every `ensure` that is under way, in any thread, with StoppedError; what was fetched is kept."""
        self._stopping.set()

    def ready(self, entry: CatalogueEntry) -> Path | None:
        """The folder that an engine opens when all of `entry` is in place, else None. Reads no big file."""
        if entry.folder is not None:
            return entry.folder if _is_model(entry.folder) else None
        folder = self.cache / "models" / entry.name
        if entry.repository is not None:
            return folder if read_json(folder / ".origin.json") == _origin(entry) else None
        if entry.weights is not None:
            whole = read_json(folder / ".assembled.json") == self._recipe(entry)
            return folder if whole and is_trained(folder) else None
        if entry.gguf is not None:
            converted = self._converted(entry.gguf)
            return converted if converted.is_dir() else None
        return folder if all(_is_verified(folder, file) for file in entry.files) else None

    def begun(self, entry: CatalogueEntry) -> bool:
        """Whether a run was cut off that `ensure` will go on with."""
        return (self.cache / "partial" / entry.name).is_dir()

    def ensure(self, entry: CatalogueEntry, progress: ProgressListener | None = None) -> Path:
        """The folder that an engine opens, after fetching, verifying and converting what is missing. Blocks.

        Raises StoreError with a sentence for the user, or StoppedError after `stop`.
        """
        if folder := self.ready(entry):
            return folder
        if entry.folder is not None:
            wanted = "model_index.json" if entry.engine == "diffusion" else "config.json"
            raise StoreError(f"{entry.name}: {entry.folder} should be a folder with {wanted} and safetensors.")
        check_trained(entry)
        listener = progress or _Silence()
        try:
            with self._lock(entry, listener):
                return self.ready(entry) or self._put_in_place(entry, listener)
        except OSError as error:
            raise StoreError(self._disk_sentence(entry, error)) from error

    def _put_in_place(self, entry: CatalogueEntry, progress: ProgressListener) -> Path:
        scratch = self.cache / "partial" / entry.name
        scratch.mkdir(parents=True, exist_ok=True)
        target = self.cache / "models" / entry.name
        if entry.repository is not None:
            self._fetch_repository(entry, scratch, target, progress)
        elif entry.weights is not None:
            self._assemble(entry, target, progress)
        else:
            self._fetch_files(entry, scratch, target, progress)
        if entry.gguf is not None:
            target = self._convert(target / entry.gguf.name, self._converted(entry.gguf), scratch, progress)
        shutil.rmtree(scratch)
        return target

    def _fetch_files(self, entry: CatalogueEntry, scratch: Path, target: Path, progress: ProgressListener) -> None:
        target.mkdir(parents=True, exist_ok=True)
        failed: dict[str, str] = {}
        downloads = {file: Download(file, scratch, self._sources, progress) for file in entry.files}
        missing = [file for file in entry.files if not _adopt(target, file, downloads[file])]
        converted = CONVERTED * entry.gguf.size if entry.gguf else 0
        needed = sum(file.size for file in missing) + converted - bytes_in(scratch)
        check_room(self.cache, f"{entry.name} needs", needed)
        for file in missing:
            whole = downloads[file].fetch(entry.sources, failed)
            if whole is None:
                raise StoreError(_nowhere(entry, file, failed, target))
            path = target / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            whole.replace(path)
            _remember(target, file)

    def _fetch_repository(self, entry: CatalogueEntry, scratch: Path, target: Path, progress: ProgressListener) -> None:
        fresh, mark, origin = scratch / "repository", scratch / "origin.json", _origin(entry)
        # What a killed run left of another repository, revision or variant would be taken for this one's.
        if read_json(mark) != origin:
            shutil.rmtree(fresh, ignore_errors=True)
            write_json(mark, origin)
        try:
            self._sources.repository(
                str(entry.repository),
                entry.revision,
                str(entry.options.get("variant", "")),
                fresh,
                lambda done, total: progress.update(f"fetching {entry.repository}", done, total),
            )
        except SourceError as error:
            raise StoreError(
                f"{entry.name} could not be fetched from the Hugging Face repository {entry.repository}: {error}."
            ) from error
        shutil.rmtree(fresh / ".cache", ignore_errors=True)
        write_json(fresh / ".origin.json", origin)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.rename(target)

    def _assemble(self, entry: CatalogueEntry, target: Path, progress: ProgressListener) -> None:
        weights, encoder = entry.weights, entry.text_encoder
        assert weights is not None  # noqa: S101 - the catalogue has checked that
        assert encoder is not None  # noqa: S101
        folder = self.ensure(encoder, progress)
        target.parent.mkdir(parents=True, exist_ok=True)
        assemble(weights, folder, target)
        write_json(target / ".assembled.json", self._recipe(entry))

    def _recipe(self, entry: CatalogueEntry) -> dict[str, Any]:
        """What tells that neither the weights nor the text encoder were changed since they were assembled."""
        encoder = None if entry.text_encoder is None else self.ready(entry.text_encoder)
        if entry.weights is None or encoder is None:
            return {}
        folders = [entry.weights, *(entry.weights / part for part in TRAINED), encoder]
        return {str(folder): _listing(folder) for folder in folders}

    def _convert(self, source: Path, target: Path, scratch: Path, progress: ProgressListener) -> Path:
        fresh = scratch / "converted"
        shutil.rmtree(fresh, ignore_errors=True)

        def tick(line: str, _: int) -> None:
            if match := PROGRESS.fullmatch(line):
                progress.update(f"converting {source.name}", int(match[1]), int(match[2]))

        module = ["model_server.engines.language.convert", str(source), str(fresh)]
        ended = self._sources.run(module, fresh, tick, {"OMP_WAIT_POLICY": "passive"})
        if ended.status < 0:
            need = size_text(7 * source.stat().st_size)
            raise StoreError(f"Converting {source.name} was ended by the system; it needs about {need} of free memory.")
        if ended.status:
            raise StoreError(ended.last)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_dir():
            fresh.rename(target)
        return target

    def _converted(self, file: ModelFile) -> Path:
        return self.cache / "converted" / file.sha256

    @contextmanager
    def _lock(self, entry: CatalogueEntry, progress: ProgressListener) -> Iterator[None]:
        from filelock import FileLock, Timeout

        folder = self.cache / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{entry.name}.lock")
        while True:
            self._sources.check()
            try:
                lock.acquire(timeout=0)
                break
            except Timeout:
                progress.update(f"waiting for another process that fetches {entry.name}", 0, None)
                self._stopping.wait(WAIT_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def _disk_sentence(self, entry: CatalogueEntry, error: OSError) -> str:
        place = short(self.cache)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return (
                f"The disk is full: {entry.name} does not fit under {place}. Make room and run it again, "
                "or set TEMPERA_CACHE to a folder on another disk."
            )
        reason = error.strerror or type(error).__name__
        return (
            f"{entry.name} cannot be kept under {place}: {reason}. "
            "Make that folder writable, or set TEMPERA_CACHE to another one."
        )


def check_trained(entry: CatalogueEntry) -> None:
    """Raises StoreError for a model of our own that has yet to be trained."""
    if entry.untrained:
        raise StoreError(
            f"{entry.name} has no weights: {short(Path(str(entry.weights)))} should hold the folders unet, vae and "
            "scheduler, as tempera-models train writes them with --export."
        )


class _Silence:
    def update(self, what: str, done: int, total: int | None) -> None:
        """Nobody listens."""


def size_text(size: float) -> str:
    """A number of bytes for people: 491 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:,.0f} TB"


def short(path: Path) -> str:
    """`path` with ~ for the home folder."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _is_model(folder: Path) -> bool:
    """Whether transformers can open the folder, or diffusers, whose pipelines have a folder for each part."""
    single = (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
    return single or ((folder / "model_index.json").is_file() and any(folder.glob("*/*.safetensors")))


def _origin(entry: CatalogueEntry) -> dict[str, Any]:
    origin = {"repository": entry.repository, "revision": entry.revision}
    return origin | ({"variant": entry.options["variant"]} if "variant" in entry.options else {})


def _listing(folder: Path) -> list[Any]:
    """The files of a folder, with what changes when they do."""
    files = sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def _stamp(folder: Path, file: ModelFile) -> list[Any]:
    """What tells that a verified file was not touched since, without reading it again."""
    try:
        status = (folder / file.name).stat()
    except OSError:
        return []
    return [file.sha256, status.st_size, status.st_mtime_ns]


def _is_verified(folder: Path, file: ModelFile) -> bool:
    stamp = _stamp(folder, file)
    return bool(stamp) and read_json(folder / ".verified.json").get(file.name) == stamp


def _remember(folder: Path, file: ModelFile) -> None:
    stamps = read_json(folder / ".verified.json")
    write_json(folder / ".verified.json", stamps | {file.name: _stamp(folder, file)})


def check_room(folder: Path, who: str, needed: float) -> None:
    """Raise StoreError where so many bytes are more than is free for `folder`; `who` begins the sentence: “x needs”."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"The disk has too little room: {who} {size_text(needed)} under {short(folder)}, and {size_text(free)} are "
            "free. Make room, or set TEMPERA_CACHE to a folder on another disk."
        )


def _adopt(folder: Path, file: ModelFile, download: Download) -> bool:
    """Whether the file is in place already, be it that somebody else put it there."""
    if _is_verified(folder, file):
        return True
    path = folder / file.name
    if not path.is_file() or path.stat().st_size != file.size or download.hash(path) != file.sha256:
        return False
    _remember(folder, file)
    return True


def _nowhere(entry: CatalogueEntry, file: ModelFile, failed: dict[str, str], target: Path) -> str:
    tried = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
    return (
        f"{file.name} of {entry.name} could not be fetched. Tried {tried}. Check the network and run "
        f"tempera-models pull {entry.name} again, or put the file into {short(target)} yourself."
    )
