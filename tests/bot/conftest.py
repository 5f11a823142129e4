"""Databases of both kinds, and a bot in front of a model server whose answers a test can hold back."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from fakes.core.echo_plugin import Echo
from fakes.model_server.model_api import FakeModels
from fakes.programs.terminal_chat import Caller, Person
from fakes.storage.postgres import empty_database, running_server
from fakes.storage.redis import running_redis

from bot import Plugin
from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.plugin_host import plugin
from bot.storage.database import Database

UNCHECKED = {"safety.level": "off"}
"""So that a test sees every word as soon as it is said; else answers come sentence by sentence."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis server for the tests of a module."""
    with running_redis(tmp_path_factory.mktemp("redis")) as address:
        yield address


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with running_server() as socket:
        yield socket


@pytest.fixture(params=["sqlite", "postgresql"])
async def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with nothing in it, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/deep/below/tempera.db"
    return await empty_database(request.getfixturevalue("postgres"))


@pytest.fixture
async def database(address: str) -> AsyncIterator[Database]:
    async with Database(address) as opened:
        yield opened


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    plugins = plugin.load(PluginsSection(enabled=("ask", "imagine", "face", "help"), entry_points=False))
    database = Database(f"sqlite:///{tmp_path}/tempera.db")
    async with Bot(ModelClient(models.url), plugins, database, settings=UNCHECKED, platforms=PLATFORMS) as running:
        yield running


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def make_bot(tmp_path: Path) -> Callable[..., Bot]:
    """`make_bot(plugin, …)`: a bot with these plugins and without a model server, always on the same database."""

    def make(*plugins: Plugin, **options: object) -> Bot:
        database = Database(f"sqlite:///{tmp_path}/tempera.db")
        options["settings"] = UNCHECKED | options.get("settings", {})
        return Bot(ModelClient("http://127.0.0.1:9"), plugins, database, platforms=PLATFORMS, **options)

    return make


@pytest.fixture
def person(models: FakeModels, tmp_path: Path) -> Caller:
    """A user whose commands run in the process of the test."""
    return Caller(tmp_path, models.url)


@pytest.fixture
def program(models: FakeModels, tmp_path: Path) -> Person:
    """A user each of whose commands is a process of its own."""
    return Person(tmp_path, models.url)
