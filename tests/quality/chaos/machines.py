"""The programs that are disturbed, each a process of its own: the bot, the model server with tiny models, PostgreSQL.

`python -m quality.chaos.machines PORT FOLDER KEY` is the model server with fake engines, which load in no time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import psutil
from fakes.model_server.gateway import FACTORY, entries, environment, free_port, sketcher
from fakes.programs.deployment import TEMPERA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

START_SECONDS = 240.0
STOP_SECONDS = 60.0
KEY = "the-key-of-both-programs"
DISK_MB = 384
"""Room for the empty database, its write-ahead log and what the bot writes, with little to spare."""
ANSWERS_AT_ONCE = 4
CONTEXT = 16_384
"""A token is a byte, and the bot's instructions for a model are long."""


@dataclass
class Program:
    """A program that is started again whenever it is killed. What it says is kept in the file `log`."""

    name: str
    log: Path
    command: list[str]
    environment: Mapping[str, str]
    folder: Path
    health: str
    process: subprocess.Popen[bytes] | None = None
    endings: list[int] = field(default_factory=list)
    """The statuses with which it ended by itself."""

    def start(self) -> None:
        """Start the program; it need not be ready yet."""
        with self.log.open("ab") as log:
            output = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.process = subprocess.Popen(self.command, env=dict(self.environment), cwd=self.folder, **output)

    async def ready(self) -> None:
        """Wait until the program answers."""
        headers = {"Authorization": f"Bearer {KEY}"}
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession(headers=headers) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(self.health) as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """End the program at once, as if the power failed, and start it again."""
        assert self.process is not None
        killed, self.process = self.process, None
        killed.kill()
        await asyncio.to_thread(killed.wait, STOP_SECONDS)
        self.start()
        await self.ready()

    async def keep_running(self) -> None:
        """Start the program again whenever it ends by itself, as systemd does, and note its status."""
        while True:
            if self.process is not None and (status := self.process.poll()) is not None:
                self.endings.append(status)
                self.start()
            await asyncio.sleep(1)

    def workers(self) -> dict[str, psutil.Process]:
        """The worker processes of a model server, by the names of their models."""
        found: dict[str, psutil.Process] = {}
        if self.process is None:
            return found
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    found[child.cmdline()[-1]] = child
        return found

    async def stop(self) -> int:
        """Ask the program to end, and return its exit status."""
        if self.process is None or self.process.poll() is not None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, STOP_SECONDS)


def make_bot(folder: Path, home: Path, more: Mapping[str, str]) -> tuple[Program, str]:
    """Return the bot, which lives in the folder `home`, and the address of its web chat."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    inherited = {name: value for name, value in environment().items() if not name.startswith("TEMPERA_")}
    variables = {
        **inherited,
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "TEMPERA_WEB__PORT": str(port),
        "TEMPERA_MODEL_SERVER__API_KEY": KEY,
        # Nobody is refused for asking often: what is refused is not acknowledged, and would show nothing.
        "TEMPERA_SETTINGS": json.dumps({"limits.user.minute": 0, "limits.user.hour": 0, "limits.address.minute": 0}),
        **more,
    }
    return Program("bot", folder / "bot.log", [str(TEMPERA), "run", "--no-models"], variables, home, url), url


def make_models(folder: Path, *, fake: bool) -> tuple[Program, str]:
    """Return a model server with tiny models, or with fake engines, and its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    if fake:
        command = [sys.executable, "-m", "quality.chaos.machines", str(port), str(folder), KEY]
    else:
        catalogue = write_models(folder)
        command = [sys.executable, "-m", "model_server", "serve", "--port", str(port), "--catalogue", str(catalogue)]
        command += [f"--model={name}" for name in ("tiny-chat", "tiny-pictures")]
    variables = environment() | {"TEMPERA_MODEL_SERVER__API_KEY": KEY, "OMP_NUM_THREADS": "1"}
    return Program("models", folder / "models.log", command, variables, folder, f"{url}/health/ready"), url


def write_models(folder: Path) -> Path:
    """Write a language model and a diffusion model, both tiny and random, and return their catalogue."""
    from fakes.engines.pipelines import save_pipeline

    subprocess.run(
        [sys.executable, "-m", "fakes.upstreams.tiny_transformers", str(folder / "chat")], env=environment(), check=True
    )
    config = folder / "chat" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": CONTEXT}))
    save_pipeline("sd", make_word_tokenizer(), folder / "pictures")
    catalogue = folder / "tiny.toml"
    described = 'description = "Random"\nlicence = "MIT"\ndevice = "cpu"\ndtype = "float32"\n'
    catalogue.write_text(
        f'[models.tiny-chat]\nengine = "language"\n{described}folder = "{folder / "chat"}"\n'
        f"options = {{ slots = {ANSWERS_AT_ONCE}, context = {CONTEXT}, max_tokens = 64 }}\n"
        f'[models.tiny-pictures]\nengine = "diffusion"\n{described}folder = "{folder / "pictures"}"\n'
        f"options = {{ batch = {ANSWERS_AT_ONCE}, steps = 20 }}\n"
    )
    return catalogue


def make_word_tokenizer() -> Any:
    """Make the tokenizer of a diffusion model that knows a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[BOS]", "[EOS]", "a", "fox", "in", "the", "snow"]
    backend = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 2), ("[EOS]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[BOS]", "eos_token": "[EOS]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=16, **names)


@dataclass
class Disk:
    """The disk of the bot and of PostgreSQL: a small tmpfs, or a plain folder where that cannot be mounted."""

    folder: Path
    is_small: bool = field(default=False, init=False)

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount it while the context lasts."""
        self.folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "tmpfs", str(self.folder)]
        if os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            self.is_small = True
        try:
            yield
        finally:
            if self.is_small:
                subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

    def fill(self) -> Callable[[], None]:
        """Fill it, and return what empties it again."""
        file = self.folder / "filled"
        with file.open("wb", buffering=0) as full:
            for piece in (bytes(1 << 22), bytes(1 << 12)):
                with contextlib.suppress(OSError):
                    while True:
                        full.write(piece)
        return lambda: file.unlink(missing_ok=True)


class Postgres:
    """The database server, which a context of fakes.storage.postgres has started."""

    def __init__(self, running: Any) -> None:
        self._server = running
        self.socket = str(running.get_postmaster_info().socket_dir)

    @property
    def address(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.socket}"

    async def stop(self) -> None:
        """Stop it, as an administrator does."""
        await asyncio.to_thread(self._server.stop)

    async def start(self) -> None:
        """Start it unless it runs, and wait until it takes connections."""
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                await asyncio.to_thread(self._server.start)
            except Exception:
                # The package raises what it likes while a server recovers.
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.5)
            else:
                return

    async def query(self, statement: str) -> list[Any]:
        """Return the rows of a statement."""
        import asyncpg

        connection = await asyncpg.connect(host=self.socket, user="postgres", database="postgres")
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()


async def _serve(port: int, folder: Path, key: str) -> None:
    from model_server.api.app import serve
    from model_server.catalogue import CatalogueEntry
    from model_server.files.cache import ModelCache

    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    parrot, painter, ruler, judge = entries(folder)
    several = CatalogueEntry.model_validate(parrot.model_dump() | {"options": {"capacity": ANSWERS_AT_ONCE}})
    chosen = [several, painter, ruler, judge, sketcher(folder, pause=0.1)]
    with contextlib.suppress(asyncio.CancelledError):
        await serve(
            host="127.0.0.1", port=port, entries=chosen, model_cache=ModelCache(folder), api_key=key, factory=FACTORY
        )


if __name__ == "__main__":
    import logging
    from pathlib import Path as _Path

    logging.basicConfig(level=logging.INFO)
    asyncio.run(_serve(int(sys.argv[1]), _Path(sys.argv[2]), sys.argv[3]))
