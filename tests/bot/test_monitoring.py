"""What programs that watch the bot get from it, over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from fakes.core.echo_plugin import Echo
from fakes.core.requests import ask, last
from fakes.model_server.gateway import free_port
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from bot.app import Bot
from bot.config.sections import MonitoringSection
from bot.core.errors import BotError
from bot.monitoring import Monitoring


@asynccontextmanager
async def watched(bot: Bot, **section: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client of the bot's listener."""
    port = free_port()
    monitoring = asyncio.create_task(Monitoring(bot, MonitoringSection.model_validate({"port": port, **section})).run())
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        while not monitoring.done():
            try:
                async with client.get("/health/live") as response:
                    assert response.status == 200
                break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.01)
        yield client
    monitoring.cancel()


async def read(client: aiohttp.ClientSession) -> dict[str, float]:
    async with client.get("/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


async def test_answers_and_refusals_are_counted(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo) as bot, watched(bot) as client:
        before = await read(client)
        await last(bot, ask("/ask one"))
        await last(bot, ask("/nothing"))
        now = await read(client)
    grown = {name: value - before.get(name, 0) for name, value in now.items() if value != before.get(name, 0)}
    assert grown["tempera_bot_answers_total ask done test"] == 1
    assert grown["tempera_bot_acknowledgement_seconds_count test"] == 2
    assert grown["tempera_bot_first_output_seconds_count ask"] == 1
    assert sum(value for name, value in grown.items() if name.startswith("tempera_bot_refusals_total ")) == 1
    assert now["tempera_bot_running"] == 0
    assert now["tempera_bot_tasks"] > 1


async def test_a_bot_without_its_database_is_not_ready(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo) as bot, watched(bot) as client, client.get("/health/ready") as response:
        # These bots have no model server.
        assert (response.status, await response.json()) == (
            200,
            {"status": "ready", "database": True, "models": False},
        )


async def test_the_figures_need_the_key_if_there_is_one(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo) as bot, watched(bot, key="a-long-word") as client:
        for headers, status in (({}, 401), ({"Authorization": "Bearer a-long-word"}, 200)):
            async with client.get("/metrics", headers=headers) as response:
                assert response.status == status
        async with client.get("/health/ready") as response:
            assert response.status == 200


def test_figures_are_not_open_to_the_network_without_a_key() -> None:
    with pytest.raises(ValidationError, match="need a key"):
        MonitoringSection.model_validate({"host": "0.0.0.0", "port": 9400})


async def test_a_taken_port_is_a_sentence(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo) as bot, watched(bot) as client:
        port = client._base_url.port if client._base_url else 0
        with pytest.raises(BotError, match="TEMPERA_MONITORING__PORT"):
            await Monitoring(bot, MonitoringSection(port=port or 0)).run()
