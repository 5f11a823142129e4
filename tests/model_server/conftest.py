"""The real gateway in a process of its own, with fake engines, for all tests of a session; and an empty cache."""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import pytest
from fakes.model_server.gateway import GIVEN_GATEWAY, Gateway, running_gateway

from model_server.files.cache import ModelCache


@dataclass(frozen=True)
class Names:
    """The models that a server under test offers."""

    chat: str
    faces: str
    embeddings: str


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that many tests share; each leaves it working. `test_cluster.py` names one of its own to be tested."""
    if given := os.environ.get(GIVEN_GATEWAY):
        url, pid, folder = given.split(maxsplit=2)
        yield Gateway(url, psutil.Process(int(pid)), Path(folder))
        return
    with running_gateway(tmp_path_factory.mktemp("models")) as running:
        yield running


@pytest.fixture(scope="session")
def server_url(gateway: Gateway) -> str:
    """Where a server with all kinds of models answers."""
    return gateway.url


@pytest.fixture(scope="session")
def names() -> Names:
    """What the models at `server_url` are called."""
    return Names(chat="parrot", faces="painter", embeddings="ruler")


@pytest.fixture
async def http(server_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client of `server_url`."""
    async with aiohttp.ClientSession(server_url) as session:
        yield session


@pytest.fixture
def model_cache(tmp_path: Path) -> ModelCache:
    """A cache that is empty."""
    return ModelCache(tmp_path / "cache")
