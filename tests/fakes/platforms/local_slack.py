"""Runs the independent Slack server of npm's `local-slack-linux-x64`, isolated because it listens on all interfaces."""

import asyncio
import contextlib
import fcntl
import json
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
from fakes.registries.npm import UnavailableError, fetched

PACKAGE = "local-slack-linux-x64"
VERSION = "0.1.8"
INTEGRITY = "2BCTKxKajjZNWCSCj66Jq5VDScUDNpGZ1lA3281I8RvpDE4/ULCwC26TlcW6/4sPbSTs02Q3KjTiltJp3ZBEvg=="
"""SHA-512 of the package's archive."""
PATIENCE_SECONDS = 60

ANN, CHANNEL, BOT_USER = "U1ANN", "C1GENERAL", "U0BOT"
BOT_TOKEN, APP_TOKEN = "xoxb-local", "xapp-local"
PORT = 3999

Json = dict[str, Any]


def fetch_program() -> Path:
    """Download the server's program once and verify its checksum. Raises UnavailableError."""
    program = fetched(PACKAGE, VERSION, INTEGRITY, "bin/local-slack")
    program.chmod(0o755)
    return program


def isolated_network_command() -> list[str]:
    """Return the prefix that runs a command in its own network. Raises UnavailableError."""
    for command in (["unshare", "--net"], ["unshare", "--net", "--map-root-user"]):
        with contextlib.suppress(FileNotFoundError):
            if (
                subprocess.run(
                    [*command, "true"], capture_output=True, check=False, timeout=PATIENCE_SECONDS
                ).returncode
                == 0
            ):
                return command
    raise UnavailableError("unshare cannot make a network here.")


def raise_loopback() -> None:
    """Enable 127.0.0.1 in a new network."""
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        name, flags = struct.unpack("16sh", fcntl.ioctl(control, get_flags, struct.pack("16sh", b"lo", 0)))
        fcntl.ioctl(control, set_flags, struct.pack("16sh", name, flags | up))


class LocalSlack:
    """Controls the running server through its test interface."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.api_base = f"http://127.0.0.1:{PORT}/api/"

    async def command(self, command: str, text: str) -> None:
        """Use a slash command as Ann."""
        await self._control("command", {"channel": CHANNEL, "user": ANN, "command": command, "text": text})

    async def say(self, text: str, thread_ts: str = "") -> Json:
        """Write a message as Ann, and return it."""
        body = {"channel": CHANNEL, "user": ANN, "text": text} | ({"thread_ts": thread_ts} if thread_ts else {})
        message: Json = (await self._control("message", body))["message"]
        return message

    async def press(self, message: Json, label: str) -> None:
        """Press the button with this label under a message."""
        for block in message["blocks"]:
            for element in block.get("elements", ()):
                if element.get("type") == "button" and element["text"]["text"] == label:
                    action = element | {"block_id": block.get("block_id", "actions"), "action_ts": message["ts"]}
                    body = {"channel": CHANNEL, "messageTs": message["ts"], "user": ANN, "action": action}
                    await self._control("interact", body)
                    return
        raise AssertionError(f"there is no button “{label}” under {message}")

    async def messages(self) -> list[Json]:
        """Return the messages in the channel, threads included."""
        async with self._session.get(f"/_control/messages/{CHANNEL}") as answer:
            return (await answer.json())["messages"]

    async def until(self, fits: Callable[[Json], object]) -> Json:
        """Wait for a message that `fits`, and return the newest."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    for message in reversed(await self.messages()):
                        if fits(message):
                            return message
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(f"nothing fits among {json.dumps(await self.messages(), indent=1)}") from None

    async def connected(self) -> None:
        """Wait until a bot is connected."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                async with self._session.get("/_control/log") as answer:
                    if any("socket connected" in json.dumps(entry) for entry in (await answer.json())["log"]):
                        return
                await asyncio.sleep(0.05)

    async def _control(self, action: str, body: Json) -> Json:
        async with self._session.post(f"/_control/{action}", json=body) as answer:
            found: Json = await answer.json()
            assert found["ok"], found
            return found


@contextlib.asynccontextmanager
async def run_server(program: Path, folder: Path) -> AsyncIterator[LocalSlack]:
    """Run the server while the context lasts, with one channel that Ann and the bot are in."""
    app = {"appId": "A0APP", "botUserId": BOT_USER, "botName": "tempera", "botToken": BOT_TOKEN, "appToken": APP_TOKEN}
    configuration = {
        "workspace": {"name": "Local", "domain": "local", "teamId": "T0LOCAL"},
        "apps": [app | {"mode": "socket"}],
        "users": [{"id": ANN, "name": "ann"}],
        "channels": [{"id": CHANNEL, "name": "general", "members": [ANN, BOT_USER]}],
    }
    config = folder / "local-slack.json"
    config.write_text(json.dumps(configuration))
    command = [program, "--config", config, "--port", str(PORT), "--base-host", "127.0.0.1"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{PORT}") as session:
            await _wait_for_server(session)
            yield LocalSlack(session)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)


async def _wait_for_server(session: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get("/_control/state") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
