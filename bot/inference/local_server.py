"""The model server on this machine: a child process that is restarted when it ends, and ends with the bot."""

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

import aiohttp

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
    answer: float = 2.0
    """The longest time that a server may take to answer a check."""
    first_pause: float = 1.0
    """Before the first new start. Each further pause is twice as long."""
    longest_pause: float = 60.0
    healthy: float = 60.0
    """After a run of at least this length, the pauses start again at `first_pause`."""
    grace: float = 10.0
    """Between SIGTERM and SIGKILL."""


class LocalServer:
    """Keeps a model server running at the configured address for as long as `run` runs."""

    def __init__(self, section: ModelServerSection, trusted_key: str, timing: Timing | None = None) -> None:
        """`trusted_key` identifies this bot to the server if the section has no trusted key."""
        self._section = section
        self._timing = timing or Timing()
        self._trusted_key = section.trusted_key.get_secret_value() or trusted_key

    async def run(self) -> None:
        """Start the server unless one answers already; whenever it ends, start it again after a growing pause.

        Raises BotError if the packages of the server are not installed.
        """
        check_packages()
        pause = self._timing.first_pause
        warned = bool(self._section.key)
        while True:
            if await self._is_answering():
                if not warned:
                    log.warning("This bot did not start the server at %s: %s.", self._section.url, WARNING_WITHOUT_KEY)
                    warned = True
                await asyncio.sleep(self._timing.look)
                continue
            started = time.monotonic()
            status = await self._run_child()
            if time.monotonic() - started > self._timing.healthy:
                pause = self._timing.first_pause
            log.error("The model server ended with status %d; starting it again in %.0f s.", status, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._timing.longest_pause)

    async def _is_answering(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=self._timing.answer)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self._section.url}/health/live") as response,
            ):
                return response.status == 200
        return False

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
