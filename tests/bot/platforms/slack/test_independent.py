"""The round trip with a Slack server that others wrote, which knows no streams: command, answer in its thread, button.

The test starts this file as a program in a network of its own, with the server's program and a folder.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.model_server.gateway import environment
from fakes.model_server.model_api import FakeModels
from fakes.platforms import local_slack
from fakes.platforms.local_slack import LocalSlack
from fakes.registries.npm import UnavailableError

from bot.app import Bot
from bot.config.sections import PluginsSection, SlackSection
from bot.inference.client import ModelClient
from bot.platforms.slack import SlackPlatform
from bot.plugin_host import plugin
from bot.storage.database import Database

ANSWER = "Paris is the capital of France."
PATIENCE_SECONDS = 180


@pytest.mark.processes
def test_the_round_trip_with_an_independent_server(tmp_path: Path) -> None:
    try:
        command = [
            *local_slack.isolated_network_command(),
            sys.executable,
            __file__,
            local_slack.fetch_program(),
            tmp_path,
        ]
    except UnavailableError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    found = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert found.returncode == 0, f"{found.stdout}\n{found.stderr}"
    assert found.stdout.splitlines()[-1] == "command, mention, button: done"


OFF = {"safety.level": "off"}


async def run_round_trip(server: LocalSlack, models: FakeModels) -> None:
    """Act as a user, and check the messages in the channel."""
    models.gate.clear()
    await server.command("/ask", "temperature:0.2 What is the capital of France?")
    question = await server.until(lambda message: "capital of France?" in message_text(message))
    growing = await server.until(lambda message: "Paris" in message_text(message))
    models.gate.set()
    answer = await server.until(lambda message: ANSWER in message_text(message) and "Again" in message_text(message))
    assert (answer["ts"], answer["thread_ts"]) == (growing["ts"], question["ts"])
    assert models.requests[0]["temperature"] == 0.2

    models.answer = ("Another", " answer.")
    await server.press(answer, "Again")
    again = await server.until(lambda message: "Another answer." in message_text(message))
    assert again["thread_ts"] == question["ts"]

    models.answer = ("Hello", " Ann.")
    said = await server.say(f"<@{local_slack.BOT_USER}> Who am I?")
    reply = await server.until(
        lambda message: "Hello Ann." in message_text(message) and "Again" in message_text(message)
    )
    assert reply["thread_ts"] == said["ts"]
    assert [turn["content"] for turn in models.requests[-1]["messages"]][-1] == "Who am I?"


def message_text(message: dict[str, Any]) -> str:
    """Return text and blocks of a message as JSON if it is the bot's, else ""."""
    own = message["user"] == local_slack.BOT_USER
    return json.dumps([message.get("text"), message.get("blocks")], ensure_ascii=False) if own else ""


async def main(program: Path, folder: Path) -> None:
    """Start the server, a model server and a bot, and let them talk."""
    local_slack.raise_loopback()
    plugins = plugin.load(PluginsSection(enabled=("ask", "help"), entry_points=False))
    async with (
        local_slack.run_server(program, folder) as server,
        FakeModels() as models,
        Bot(ModelClient(models.url), plugins, Database(f"sqlite:///{folder}/tempera.db"), settings=OFF) as bot,
    ):
        section = SlackSection(
            bot_token=local_slack.BOT_TOKEN, app_token=local_slack.APP_TOKEN, api_base=server.api_base
        )
        platform = asyncio.create_task(SlackPlatform(bot, section).run())
        try:
            await server.connected()
            await run_round_trip(server, models)
        finally:
            platform.cancel()
            await asyncio.gather(platform, return_exceptions=True)
    print("command, mention, button: done")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
