"""The real gateway with fake engines, in a process of its own: `python -m fakes.gateway PORT FOLDER [API_KEY]`."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from model_server.server import serve
from model_server.store import Entry, Store


def entries(folder: Path) -> list[Entry]:
    """One model of each kind. Their files are empty ones in `folder`, and so is the parrot's journal."""
    for name in ("config.json", "model.safetensors"):
        (folder / name).touch()
    journal = str(folder / "journal")
    common = {"licence": "MIT", "folder": folder}
    return [
        Entry(name="parrot", engine="language", description="Repeats", options={"journal": journal}, **common),
        Entry(name="painter", engine="face", description="Draws", **common),
        Entry(name="ruler", engine="embedding", description="Measures", **common),
    ]


async def main(port: int, folder: Path, api_key: str | None) -> None:
    """Serve until SIGTERM."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await serve(
        host="127.0.0.1",
        port=port,
        entries=entries(folder),
        store=Store(folder),
        api_key=api_key,
        factory="fakes.engines:create",
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None))
