"""The program that reads lesson files, with a fault that the file names: `python -m fakes.programs.faulty_reader`."""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable

import psutil

from plugins.explain.library import reader_process
from plugins.explain.library.lesson_set import Lesson


def _break() -> None:
    raise IndexError("list index out of range")


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _compute() -> None:
    """Compute without end, with one second less to do so than any other file."""
    resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
    while True:
        pass


def _sleep() -> None:
    """Do nothing, with this file open, so that others see it."""
    os.open(__file__, os.O_RDONLY)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def _allocate() -> None:
    bytes(1 << 40)


def _show_environment() -> None:
    raise LookupError(str(sorted(os.environ)))


FAULTS: dict[bytes, Callable[[], None]] = {
    b"break": _break,
    b"crash": _crash,
    b"compute": _compute,
    b"sleep": _sleep,
    b"allocate": _allocate,
    b"environment": _show_environment,
}


def processes(parent: int | None = None) -> list[psutil.Process]:
    """Return the processes, faulty or not, that read lessons for a program, or for this one."""
    found = []
    for child in psutil.Process(parent).children():
        # A process that has just ended has no command line.
        with contextlib.suppress(psutil.NoSuchProcess):
            if "reader" in " ".join(child.cmdline()):
                found.append(child)
    return found


def is_asleep(process: psutil.Process) -> bool:
    """Return True if a process has read a file that lets it sleep."""
    return any(file.path == __file__ for file in process.open_files())


def main() -> None:
    """Read a file; one that names a fault has it."""
    read_lesson = reader_process.read_lesson

    def read(data: bytes, filename: str, title: str = "") -> Lesson:
        FAULTS.get(data, lambda: None)()
        return read_lesson(data, filename, title)

    reader_process.read_lesson = read  # type: ignore[assignment]
    reader_process.main()


if __name__ == "__main__":
    main()
