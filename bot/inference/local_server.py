"""The model server on this machine: somebody else's, or a child process that is restarted when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.errors import BotError

if TYPE_CHECKING:
    from bot.config.sections import ModelServerSection

log = logging.getLogger(__name__)

WARNING_WITHOUT_KEY = (
    "it treats all users of this bot as one person, so somebody who asks a lot keeps the others waiting, and nothing "
    "proves that it is yours: any program of this machine could have opened its port. "
    "Set TEMPERA_MODEL_SERVER__API_KEY in the file .env where both programs are started"
)
"""The end of a sentence about a server that accepts this bot without a key."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of a LocalServer, in seconds."""

    look: float = 5.0
    """Between two checks of a server that somebody else started."""
    connect: float = 2.0
    """The longest time that a server may take to accept a connection."""
    first_pause: float = 1.0
    """Before the first new start. Each further pause is twice as long."""
    longest_pause: float = 60.0
    healthy: float = 60.0
    """After a run of at least this length, the pauses start again at `first_pause`."""
    grace: float = 10.0
    """Between SIGTERM and SIGKILL."""


class LocalServer:
    """Sees to the model server at the configured address for as long as `run` runs.

    A server that listens there at the start, or before a new start, is somebody else's from then on: it may be stopped
    and started again by its owner, and its address is never taken.
    """

    def __init__(self, section: ModelServerSection, trusted_key: str, timing: Timing | None = None) -> None:
        """`trusted_key` identifies this bot to the server if the section has no trusted key."""
        self._section = section
        self._timing = timing or Timing()
        self._trusted_key = section.trusted_key.get_secret_value() or trusted_key

    async def run(self) -> None:
        """Start a server unless one listens already; whenever it ends, start it again after a growing pause.

        Raises BotError if the packages of the server are needed and not installed.
        """
        if not await self._is_listening():
            await self._keep_own()
        url = self._section.url
        log.info("A server was already running at %s; Tempera will use it for the models and not start one.", url)
        if not self._section.key:
            log.warning("This bot did not start the server at %s: %s.", url, WARNING_WITHOUT_KEY)
        await self._watch_other()

    async def _keep_own(self) -> None:
        """Run a server of our own until somebody else listens at its address."""
        check_packages()
        log.info("No model server was running at %s; Tempera starts one.", self._section.url)
        pause = self._timing.first_pause
        while not await self._is_listening():
            started = time.monotonic()
            status = await self._run_child()
            if time.monotonic() - started > self._timing.healthy:
                pause = self._timing.first_pause
            log.error("The model server ended with status %d; starting it again in %.0f s.", status, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._timing.longest_pause)

    async def _watch_other(self) -> None:
        """Log when somebody else's server goes away and when it is back."""
        was_there = True
        while True:
            await asyncio.sleep(self._timing.look)
            is_there = await self._is_listening()
            if was_there and not is_there:
                log.error(
                    "The model server at %s has ended. Tempera did not start it and starts none in its place: start it "
                    "again, or restart Tempera, which then starts one of its own.",
                    self._section.url,
                )
            elif is_there and not was_there:
                log.info("The model server at %s is running again.", self._section.url)
            was_there = is_there

    async def _is_listening(self) -> bool:
        """Return whether any program listens at the address, since no other one can listen there then."""
        try:
            async with asyncio.timeout(self._timing.connect):
                _, writer = await asyncio.open_connection(*self._section.address)
        except TimeoutError:
            # On this machine only a program that is too busy to accept connections does not answer them.
            return True
        except OSError:
            return False
        writer.close()
        return True

    async def _run_child(self) -> int:
        host, port = self._section.address
        command = [sys.executable, "-m", "model_server", "serve", "--host", host, "--port", str(port)]
        environment = dict(os.environ) | {"TEMPERA_MODEL_SERVER__TRUSTED_KEY": self._trusted_key}
        if key := self._section.api_key.get_secret_value():
            environment["TEMPERA_MODEL_SERVER__API_KEY"] = key
        # Nothing is written to the pipe; its end tells the child that the bot has ended, even after SIGKILL.
        child = await asyncio.create_subprocess_exec(
            *command, "--exit-on-eof", stdin=asyncio.subprocess.PIPE, env=environment
        )
        try:
            return await child.wait()
        finally:
            if child.returncode is None:
                await asyncio.shield(_end_process(child, self._timing.grace))


def check_packages() -> None:
    """Raise BotError if the packages of the model server are not installed."""
    if importlib.util.find_spec("torch") is None:
        raise BotError(
            "The model server's packages are not installed. Install them with "
            "pip install 'tempera-bot[models]', or use --no-models with a model server elsewhere."
        )


async def _end_process(child: asyncio.subprocess.Process, grace_seconds: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(grace_seconds):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
