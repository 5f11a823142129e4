"""The cache of model files: fetches and verifies them, converts them once, and keeps them.

    <cache>/models/NAME/        the files of a model, each with the hash that the catalogue demands; or a folder that
                                was assembled from weights of this project and another model
    <cache>/converted/SHA256/   configuration, tokenizer and link of the GGUF with that hash, which the language engine
                                opens; and its weights in half precision where this machine needs them
    <cache>/partial/NAME/       work in progress; deleted once the model is in place
    <cache>/locks/NAME.lock     held by the one process that works on a model
    <cache>/choice.json         which of several models was chosen at set-up (see choice.py)

A file gets its name by a rename after its hash was verified, so that a partial file is never seen. A killed run leaves
whole parts in `partial`, from which the next run resumes; a repository is only resumed for the same revision and
variant.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_server.assembly import DUEL_FILES, GGUF_FILE, PIPELINE_PARTS, TENSORS_FILE, assemble, is_trained
from model_server.errors import OperatorError
from model_server.files.download import Download, FetchListener, read_json, write_json
from model_server.files.sources import PROGRESS, SourceError, Sources, folder_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server.catalogue import CatalogueEntry, ModelFile

LOCK_POLL_SECONDS = 0.3


class ModelCache:
    """The models in a cache folder: `folder`, else TEMPERA_CACHE, else ~/.cache/tempera."""

    def __init__(self, folder: Path | None = None) -> None:
        chosen = folder or Path(os.environ.get("TEMPERA_CACHE") or "~/.cache/tempera")
        self.folder = chosen.expanduser().absolute()
        self._stopping = threading.Event()
        self._sources = Sources(self._stopping)

    def stop(self) -> None:
        """Make every running `ensure`, in any thread, raise StoppedError; files that were fetched are kept."""
        self._stopping.set()

    def find_ready_folder(self, entry: CatalogueEntry) -> Path | None:
        """Return the folder that an engine opens if all of `entry` is in place, else None. Reads no big file."""
        if entry.folder is not None:
            return entry.folder if _is_model_folder(entry.folder) else None
        folder = self.folder / "models" / entry.name
        if entry.repository is not None:
            return folder if read_json(folder / ".origin.json") == _origin(entry) else None
        if entry.weights is not None and entry.text_encoder is None:
            return entry.weights if is_trained(entry.weights) else None
        if entry.weights is not None:
            whole = read_json(folder / ".assembled.json") == self._recipe(entry)
            return folder if whole and is_trained(folder) else None
        if entry.gguf is not None:
            converted = self._converted_folder(entry.gguf)
            # Where there are no hard links, the GGUF there leads to the other folder, which somebody may have deleted.
            return converted if all((converted / name).is_file() for name in (TENSORS_FILE, GGUF_FILE)) else None
        return folder if all(_is_verified(folder, file) for file in entry.files) else None

    def has_files(self, entry: CatalogueEntry) -> bool:
        """Return whether all files of `entry` are there in their full size, also if the user put them there."""
        folder = self.folder / "models" / entry.name
        return bool(entry.files) and all(_has_size(folder / file.name, file.size) for file in entry.files)

    def has_partial(self, entry: CatalogueEntry) -> bool:
        """Return whether there is an interrupted run that `ensure` will resume."""
        return (self.folder / "partial" / entry.name).is_dir()

    def ensure(self, entry: CatalogueEntry, progress: FetchListener | None = None) -> Path:
        """Fetch, verify and convert what is missing; return the folder that an engine opens. Blocks.

        Raises OperatorError with a sentence for the user, or StoppedError after `stop`.
        """
        if folder := self.find_ready_folder(entry):
            return folder
        if entry.folder is not None:
            wanted = "model_index.json" if entry.engine == "diffusion" else "config.json"
            raise OperatorError(f"{entry.name}: {entry.folder} should be a folder with {wanted} and safetensors.")
        check_trained(entry)
        listener = progress or _NoProgress()
        try:
            with self._lock(entry, listener):
                return self.find_ready_folder(entry) or self._install(entry, listener)
        except OSError as error:
            raise OperatorError(self._disk_sentence(entry, error)) from error

    def _install(self, entry: CatalogueEntry, progress: FetchListener) -> Path:
        scratch = self.folder / "partial" / entry.name
        scratch.mkdir(parents=True, exist_ok=True)
        target = self.folder / "models" / entry.name
        if entry.repository is not None:
            self._fetch_repository(entry, scratch, target, progress)
        elif entry.weights is not None:
            self._assemble(entry, target, progress)
        else:
            self._fetch_files(entry, scratch, target, progress)
        if entry.gguf is not None:
            converted = self._convert(entry, target / entry.gguf.name, scratch, progress)
            target = self._converted_folder(entry.gguf)
            # What an earlier version converted, and packed from that, is not read any more.
            shutil.rmtree(target, ignore_errors=True)
            shutil.rmtree(self.folder / "packed", ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            converted.rename(target)
        shutil.rmtree(scratch)
        return target

    def _fetch_files(self, entry: CatalogueEntry, scratch: Path, target: Path, progress: FetchListener) -> None:
        target.mkdir(parents=True, exist_ok=True)
        failed: dict[str, str] = {}
        downloads = {file: Download(file, scratch, self._sources, progress) for file in entry.files}
        missing = [file for file in entry.files if not _is_in_place(target, file, downloads[file])]
        needed = sum(file.size for file in missing) - folder_size(scratch)
        check_free_space(self.folder, f"{entry.name} needs", needed)
        for file in missing:
            downloaded = downloads[file].fetch(entry.sources, failed)
            if downloaded is None:
                raise OperatorError(_unavailable_sentence(entry, file, failed, target))
            path = target / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            downloaded.replace(path)
            _record_verified(target, file)

    def _fetch_repository(self, entry: CatalogueEntry, scratch: Path, target: Path, progress: FetchListener) -> None:
        staging, origin_file, origin = scratch / "repository", scratch / "origin.json", _origin(entry)
        # Files that a killed run left of another repository, revision or variant must not be resumed.
        if read_json(origin_file) != origin:
            shutil.rmtree(staging, ignore_errors=True)
            write_json(origin_file, origin)
        try:
            self._sources.fetch_repository(
                str(entry.repository),
                entry.revision,
                str(entry.options.get("variant", "")),
                staging,
                lambda done, total: progress.update(f"fetching {entry.repository}", done, total),
            )
        except SourceError as error:
            raise OperatorError(
                f"{entry.name} could not be fetched from the Hugging Face repository {entry.repository}: {error}."
            ) from error
        shutil.rmtree(staging / ".cache", ignore_errors=True)
        write_json(staging / ".origin.json", origin)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.rename(target)

    def _assemble(self, entry: CatalogueEntry, target: Path, progress: FetchListener) -> None:
        weights, encoder = entry.weights, entry.text_encoder
        assert weights is not None  # noqa: S101 - the catalogue has checked that
        assert encoder is not None  # noqa: S101
        folder = self.ensure(encoder, progress)
        target.parent.mkdir(parents=True, exist_ok=True)
        assemble(weights, folder, target)
        write_json(target / ".assembled.json", self._recipe(entry))

    def _recipe(self, entry: CatalogueEntry) -> dict[str, Any]:
        """Return fingerprints that change when the weights or the text encoder change after assembly."""
        encoder = None if entry.text_encoder is None else self.find_ready_folder(entry.text_encoder)
        if entry.weights is None or encoder is None:
            return {}
        folders = [entry.weights, *(entry.weights / part for part in PIPELINE_PARTS), encoder]
        return {str(folder): _list_fingerprints(folder) for folder in folders}

    def _convert(self, entry: CatalogueEntry, source: Path, scratch: Path, progress: FetchListener) -> Path:
        staging = scratch / "converted"
        shutil.rmtree(staging, ignore_errors=True)

        def report(line: str, _: int) -> None:
            if match := PROGRESS.fullmatch(line):
                progress.update(f"converting {source.name}", int(match[1]), int(match[2]))

        module = ["model_server.engines.language.convert", str(source), str(staging)]
        options = [f"--device={entry.device}", f"--dtype={entry.dtype}"]
        result = self._sources.run_module([*module, *options], staging, report, {"OMP_WAIT_POLICY": "passive"})
        if result.status < 0:
            need = format_size(7 * source.stat().st_size)
            raise OperatorError(
                f"Converting {source.name} was ended by the system; it needs about {need} of free memory."
            )
        if result.status:
            raise OperatorError(result.last)
        return staging

    def _converted_folder(self, file: ModelFile) -> Path:
        return self.folder / "converted" / file.sha256

    @contextmanager
    def _lock(self, entry: CatalogueEntry, progress: FetchListener) -> Iterator[None]:
        from filelock import FileLock, Timeout

        folder = self.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{entry.name}.lock")
        while True:
            self._sources.check_stopping()
            try:
                lock.acquire(timeout=0)
                break
            except Timeout:
                progress.update(f"waiting for another process that fetches {entry.name}", 0, None)
                self._stopping.wait(LOCK_POLL_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def _disk_sentence(self, entry: CatalogueEntry, error: OSError) -> str:
        place = shorten(self.folder)
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
    """Raise OperatorError for a model of our own that has not been trained yet."""
    if entry.is_untrained:
        parts = ", ".join(DUEL_FILES) if entry.engine == "duel" else "the folders unet, vae and scheduler"
        raise OperatorError(
            f"{entry.name} has no weights: {shorten(Path(str(entry.weights)))} should hold {parts}, as python -m "
            "research.train writes them with --export."
        )


class _NoProgress:
    def update(self, what: str, done: int, total: int | None) -> None:
        """Ignore the progress."""


def format_size(size: float) -> str:
    """Format a number of bytes for people: 491 MB, 1.1 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.1f} {unit}" if unit == "GB" and size < 10 else f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:,.0f} TB"


def shorten(path: Path) -> str:
    """Return `path` with ~ for the home folder."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _is_model_folder(folder: Path) -> bool:
    """Return whether transformers can open the folder, or diffusers, whose pipelines have a folder for each part."""
    single = (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
    return single or ((folder / "model_index.json").is_file() and any(folder.glob("*/*.safetensors")))


def _origin(entry: CatalogueEntry) -> dict[str, Any]:
    origin = {"repository": entry.repository, "revision": entry.revision}
    return origin | ({"variant": entry.options["variant"]} if "variant" in entry.options else {})


def _list_fingerprints(folder: Path) -> list[Any]:
    """Return name, size and modification time of each file in a folder."""
    files = sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def _fingerprint(folder: Path, file: ModelFile) -> list[Any]:
    """Return values that show without reading a verified file that it has not changed since."""
    try:
        status = (folder / file.name).stat()
    except OSError:
        return []
    return [file.sha256, status.st_size, status.st_mtime_ns]


def _is_verified(folder: Path, file: ModelFile) -> bool:
    fingerprint = _fingerprint(folder, file)
    return bool(fingerprint) and read_json(folder / ".verified.json").get(file.name) == fingerprint


def _record_verified(folder: Path, file: ModelFile) -> None:
    verified = read_json(folder / ".verified.json")
    write_json(folder / ".verified.json", verified | {file.name: _fingerprint(folder, file)})


def check_free_space(folder: Path, who: str, needed: float) -> None:
    """Raise OperatorError if fewer than `needed` bytes are free for `folder`; `who` begins the sentence: “x needs”."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OperatorError(
            f"The disk has too little room: {who} {format_size(needed)} under {shorten(folder)}, and "
            f"{format_size(free)} are free. Make room, or set TEMPERA_CACHE to a folder on another disk."
        )


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _is_in_place(folder: Path, file: ModelFile, download: Download) -> bool:
    """Return whether the verified file is in place already, also if the user put it there."""
    if _is_verified(folder, file):
        return True
    path = folder / file.name
    if not _has_size(path, file.size) or download.hash_file(path) != file.sha256:
        return False
    _record_verified(folder, file)
    return True


def _unavailable_sentence(entry: CatalogueEntry, file: ModelFile, failed: dict[str, str], target: Path) -> str:
    tried = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
    return (
        f"{file.name} of {entry.name} could not be fetched. Tried {tried}. Check the network and run "
        f"tempera-models pull {entry.name} again, or put the file into {shorten(target)} yourself."
    )
