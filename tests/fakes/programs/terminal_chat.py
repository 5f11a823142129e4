"""`tempera` as a user runs it: called in this process, or as a process with pipes or on a pseudo-terminal."""

import asyncio
import contextlib
import fcntl
import io
import json
import logging
import os
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot.__main__ import main

TEMPERA = Path(sys.executable).parent / "tempera"
PATIENCE_SECONDS = 60
"""How long a test waits before it fails. No test depends on this time."""
ROWS, COLUMNS = 40, 200
PLAIN = {"TEMPERA_SETTINGS": json.dumps({"safety.level": "off"}), "TEMPERA_EXPLAIN__LESSONS": "[]"}
"""Settings without safety checks and lessons, so that the model server only gets what the test asks."""
PROMPT = "\n>"
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[=>]|\x1b\][^\x07]*\x07")


@dataclass(frozen=True)
class Ended:
    """The outcome of a command: exit status and output."""

    status: int
    out: str
    err: str


@dataclass
class Person:
    """A user with a home folder, a database in it, and a model server at the address `models`."""

    home: Path
    models: str
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of their programs, without anything of a developer's own configuration."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TEMPERA_", "LC_"))}
        return inherited | {
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "PYTHONUNBUFFERED": "",
            "TERM": "xterm",
            "LANG": "en_GB.UTF-8",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "TEMPERA_MODEL_SERVER__URL": self.models,
            "TEMPERA_DATABASE__URL": f"sqlite:///{self.home}/tempera.db",
            **PLAIN,
            **self.more,
        }

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start one command with its output in pipes and no input."""
        return await asyncio.create_subprocess_exec(
            TEMPERA,
            *arguments,
            env=self.environment,
            cwd=self.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str) -> Ended:
        """Run one command and return its outcome."""
        return await ended(await self.start(*arguments))

    async def chat(self, line: str, *options: str) -> Ended:
        """Run `tempera chat` with one line and return the outcome."""
        return await self.run("chat", *options, line)

    @contextlib.asynccontextmanager
    async def sit_down(
        self, *options: str, command: str = "chat", waits_with: str = PROMPT
    ) -> AsyncIterator["Sitting"]:
        """Yield an interactive `tempera chat`, or another command, once its output has `waits_with`.

        It is killed at the end if it still runs.
        """
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        try:
            process = await asyncio.create_subprocess_exec(
                TEMPERA, command, *options, env=self.environment, cwd=self.home, preexec_fn=lambda: os.login_tty(slave)
            )
        finally:
            os.close(slave)
        sitting = Sitting(process, master)
        try:
            await sitting.until(waits_with)
            yield sitting
        finally:
            if process.returncode is None:
                process.kill()
            await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
            sitting.close()


@dataclass
class Caller(Person):
    """Somebody whose commands are calls of `main`, for what needs no process: that takes a tenth of the time."""

    async def run(self, *arguments: str) -> Ended:
        """Call `main` in another thread, while its coroutines run in the event loop of this one, as signals need it."""
        loop = asyncio.get_running_loop()

        def wait_for(coroutine: Coroutine[Any, Any, int]) -> int:
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result(PATIENCE_SECONDS)

        with _surroundings(self.environment, self.home, wait_for) as (out, err):
            status = await asyncio.to_thread(_status, arguments)
            return Ended(status, _written(out), _written(err))


@contextlib.contextmanager
def _surroundings(
    environment: dict[str, str], folder: Path, run: Callable[[Coroutine[Any, Any, int]], int]
) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    """What a new process would find: variables, folder, signals, a log that nothing was said about, empty streams."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    levels = {name: logging.getLogger(name).level for name in (None, "alembic", "aiosqlite", "discord")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", {**environment})
        patch.chdir(folder)
        patch.setattr(sys, "stdin", io.StringIO())
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setattr(logging.root, "handlers", [])
        patch.setattr(asyncio, "run", run)
        try:
            yield out, err
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _status(arguments: tuple[str, ...]) -> int:
    try:
        return main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def _written(stream: io.TextIOWrapper) -> str:
    written = stream.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue().decode(errors="replace")


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """Wait until a command has ended, and return its outcome."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    # Output that was redirected elsewhere is None here.
    return Ended(process.returncode, (out or b"").decode(errors="replace"), err.decode(errors="replace"))


class Sitting:
    """Keyboard and screen of an interactive chat. `screen` is all its output, without escape sequences."""

    def __init__(self, process: asyncio.subprocess.Process, terminal: int) -> None:
        self.process = process
        self._terminal = terminal
        self._raw = b""
        self._seen = 0
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(terminal, self._read)

    def _read(self) -> None:
        try:
            self._raw += os.read(self._terminal, 65536)
        except OSError:
            # On Linux this error means that the other end is closed.
            asyncio.get_running_loop().remove_reader(self._terminal)
        self._more.set()

    @property
    def screen(self) -> str:
        return ESCAPE.sub("", self._raw.decode(errors="replace"))

    def type(self, keys: str) -> None:
        """Press keys; "\\r" is Enter, "\\x03" Ctrl-C, "\\x04" Ctrl-D, "\\t" Tab."""
        os.write(self._terminal, keys.encode())

    async def until(self, text: str) -> str:
        """Wait for `text` in the output after the text that was waited for last, and return what is between the two."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (place := self.screen.find(text, self._seen)) < 0:
                assert self.process.returncode is None, self.screen
                self._more.clear()
                await self._more.wait()
        between = self.screen[self._seen : place]
        self._seen = place + len(text)
        return between

    async def gone(self) -> int:
        """Wait until the program has ended, and return its exit status."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()

    def kill(self) -> None:
        """Kill the program with SIGKILL."""
        self.process.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close the pseudo-terminal."""
        asyncio.get_running_loop().remove_reader(self._terminal)
        os.close(self._terminal)


async def read_until(process: asyncio.subprocess.Process, text: str) -> str:
    """Return what a program writes to its log up to the line that has this text."""
    assert process.stderr is not None
    said = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while text not in said:
            line = (await process.stderr.readline()).decode()
            assert line, said
            said += line
    return said
