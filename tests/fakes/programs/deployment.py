"""A bot as a user deploys it: runs `tempera run` in a process of its own, and `tempera chat` beside it."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fakes.model_server.gateway import environment, free_port
from fakes.programs.terminal_chat import PLAIN

READY_SECONDS = 300
TEMPERA = Path(sys.executable).parent / "tempera"


@dataclass
class Deployment:
    """One bot with its model server, which can be started again after it was killed."""

    folder: Path
    models_port: int = field(default_factory=free_port)
    foreign_models: str = ""
    """The address of a model server to use instead of one that the bot starts itself."""
    web_port: int = field(default_factory=free_port)
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further environment variables."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def models_url(self) -> str:
        return self.foreign_models or f"http://127.0.0.1:{self.models_port}"

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **environment(),
            "TEMPERA_MODEL_SERVER__URL": self.models_url,
            "TEMPERA_WEB__PORT": str(self.web_port),
            "TEMPERA_DATABASE__URL": f"sqlite:///{self.folder}/tempera.db",
            **(PLAIN if self.foreign_models else {}),
            **self.extra,
        }

    def start(self) -> None:
        """Start the bot and wait until the chat and all models are ready."""
        options = ["--no-models"] if self.foreign_models else []
        self.process = subprocess.Popen([TEMPERA, "run", *options], env=self.environment, cwd=self.folder)
        if not self.foreign_models:
            wait_for(f"{self.models_url}/health/ready")
        wait_for(self.web_url)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait until the process has ended, and return its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(60)
        # The model server is a child process, and ends by itself once it notices that its parent is gone.
        if not self.foreign_models:
            wait_for(self.models_url, answers=False)
        return status

    def end(self) -> None:
        """Stop the bot if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def wait_for_stored_text(self, answers: int) -> None:
        """Wait until the first words of that many growing answers are stored: they are shown a moment earlier."""
        end, stored = time.monotonic() + READY_SECONDS, 0
        while stored < answers:
            assert time.monotonic() < end, f"of {answers} growing answers, only {stored} are stored with text"
            time.sleep(0.02)
            with contextlib.closing(sqlite3.connect(self.folder / "tempera.db")) as database:
                growing = "SELECT count(*) FROM messages WHERE state = 'running' AND text <> ''"
                [stored] = database.execute(growing).fetchone()

    def chat(self, line: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run one command with `tempera chat` and return its outcome."""
        return subprocess.run(
            [TEMPERA, "chat", *options, line],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=READY_SECONDS,
            check=False,
        )


@contextlib.contextmanager
def deployment(folder: Path, foreign_models: str = "", extra: Mapping[str, str] | None = None) -> Iterator[Deployment]:
    """Yield a deployment that is ready, and stop it at the end."""
    made = Deployment(folder, foreign_models=foreign_models, extra=extra or {})
    made.start()
    try:
        yield made
    finally:
        made.end()


@contextlib.contextmanager
def model_server(*arguments: str, threads: str = "") -> Iterator[str]:
    """Yield the address of a real model server in a process of its own, once it is ready.

    `arguments` are further ones for `serve`.
    """
    port = free_port()
    variables = environment() | ({"OMP_NUM_THREADS": threads} if threads else {})
    process = subprocess.Popen(
        [sys.executable, "-m", "model_server", "serve", "--port", str(port), *arguments], env=variables
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health/ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(READY_SECONDS)


class SharedServer:
    """A real model server for all tests of a session; it is started again where a test needs models that it lacks."""

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()
        self._names: set[str] = set()
        self._url = ""

    def serve(self, needed: Iterable[str], present: Iterable[str]) -> str:
        """The address of the server with the `needed` models, and with those that are `present` if it has to start."""
        if not self._names.issuperset(needed):
            self.close()
            self._names |= {*needed, *present}
            arguments = [f"--model={name}" for name in sorted(self._names)]
            self._url = self._running.enter_context(model_server(*arguments))
        return self._url

    def close(self) -> None:
        """End the server."""
        self._running.close()


def wait_for(url: str, *, answers: bool = True) -> None:
    """Wait until `url` answers with success or, with `answers` False, until nothing listens there."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if _answers(url) is answers:
            return
        time.sleep(0.05)
    raise TimeoutError(f"{url} {'did not answer' if answers else 'still answered'} after {READY_SECONDS} s")


def _answers(url: str) -> bool | None:
    """Return True for a successful answer, None for another one, False if nothing listens there."""
    try:
        with urllib.request.urlopen(url, timeout=READY_SECONDS):
            return True
    except urllib.error.HTTPError:
        return None
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
