"""The bot on Discord is killed while it answers, and restarted: nothing that was stored or shown is lost."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.discord import FakeDiscord, FakeMessage
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import finished
from fakes.programs.deployment import Deployment

pytestmark = pytest.mark.chaos
INTERRUPTED = "Interrupted: the bot was restarted."


@pytest.fixture
async def deployed(models: FakeModels, server: FakeDiscord, tmp_path: Path) -> AsyncIterator[Deployment]:
    extra = {"TEMPERA_DISCORD__TOKEN": server.token, "TEMPERA_DISCORD__API_BASE": server.api_base}
    deployment = Deployment(tmp_path, foreign_models=models.url, extra=extra)
    await asyncio.to_thread(deployment.start)
    try:
        await server.until(lambda: server.gateway.connected and server.commands())
        yield deployment
    finally:
        await asyncio.to_thread(deployment.end)


async def kill_and_start(deployment: Deployment, server: FakeDiscord, models: FakeModels) -> None:
    """Kill the deployment with SIGKILL, as if the power failed, and start it again."""
    await asyncio.to_thread(deployment.stop, signal.SIGKILL)
    await models.until(running=0)
    models.gate.set()
    await asyncio.to_thread(deployment.start)
    await server.connected()


async def press_again(server: FakeDiscord, message: FakeMessage) -> FakeMessage:
    """Press Again under an answer, and wait for the new one."""
    pressed = await server.press(server.ann, message, "Again")
    return await finished(server, await pressed.message())


async def test_answers_survive_a_kill_of_the_bot(deployed: Deployment, server: FakeDiscord, models: FakeModels) -> None:
    writes = server.command_writes
    yesterday = await server.slash(server.ann, server.channel, "ask", prompt="yesterday's question")
    old = await finished(server, await yesterday.message())

    models.gate.clear()
    asked = await server.slash(server.ann, server.channel, "ask", prompt="a question")
    streaming = await asked.message()
    said = await server.say(server.ann, server.dm(server.ann), "a question in private")
    await models.until(requests=3)
    direct = await server.until(lambda: next((one for one in server.messages(said.channel) if one.reference), None))
    for message in (streaming, direct):
        await server.until(lambda message=message: "Paris" in message.content)
    await asyncio.to_thread(deployed.wait_for_stored_text, 2)
    models.place = 7
    waiting = await (await server.slash(server.ann, server.channel, "ask", prompt="another")).message()
    await server.until(lambda: not waiting.loading)

    await kill_and_start(deployed, server, models)

    for message in (streaming, direct, waiting):
        await server.until(lambda message=message: INTERRUPTED in message.content)
        assert "Stop" not in message.buttons
    assert "Paris" in streaming.content
    assert "Paris" in direct.content
    for message, question in ((streaming, "a question"), (waiting, "another"), (old, "yesterday's question")):
        answer = await press_again(server, message)
        assert f"> Ann pressed Again · {question}\n" in answer.content
        assert "Paris is the capital of France." in answer.content
        assert INTERRUPTED not in answer.content
    new = await press_again(server, direct)
    assert "Paris is the capital of France." in new.content
    await (await server.press(server.ben, old, "👍")).acknowledged()
    await (await server.press(server.ann, old, "Delete")).acknowledged()
    await server.until(lambda: old.deleted)
    assert server.command_writes == writes
    assert await asyncio.to_thread(deployed.stop) == 0


async def test_an_answer_that_only_the_token_reaches_shows_that_it_was_interrupted(
    deployed: Deployment, server: FakeDiscord, models: FakeModels
) -> None:
    models.gate.clear()
    elsewhere = server.add_guild("Elsewhere", bot=False).system_channel
    asked = await server.slash(server.ann, elsewhere, "ask", prompt="a question", installed_by_user=True)
    message = await asked.message()
    await server.until(lambda: "Paris" in message.content)
    await kill_and_start(deployed, server, models)
    await server.until(lambda: INTERRUPTED in message.content)
    assert "Paris is the capital of France." in (await press_again(server, message)).content
