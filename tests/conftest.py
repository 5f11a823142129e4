"""Fixtures for all tests: the real model files for tests marked `weights`, and measures that make tests quicker."""

import gc
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import pytest
from fakes.model_server.gateway import free_port
from fakes.model_server.linked_cache import CATALOGUE, SMALL_LANGUAGE_MODEL, link_cache
from fakes.model_server.model_api import FakeModels
from fakes.programs.deployment import SharedServer
from fakes.programs.endings import interruptible_children, time_limit
from fakes.storage.compiled_statements import share_compiled_statements
from fakes.storage.migrated_tables import copy_migrated_tables
from hypothesis import HealthCheck, settings

from model_server.catalogue import load_catalogue
from model_server.engines.contract import EngineSpec
from model_server.errors import OperatorError
from model_server.files.cache import ModelCache

LONGEST_SETUP_SECONDS, LONGEST_TEST_SECONDS = 3600, 600
"""What is prepared for many tests may have to be downloaded first. No test is about these times."""
MEASURED = (SMALL_LANGUAGE_MODEL, "digiface-dcgan", "all-minilm-l6-v2", "classroom-moderation")


def pytest_configure() -> None:
    """Use one thread in each worker, since more would only wait for others', and let no test fail for its time."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    settings.register_profile(
        "any machine", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("any machine")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude imported modules from garbage collection, which would take most of a second."""
    gc.disable()
    result = yield
    gc.freeze()
    gc.enable()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    with time_limit(LONGEST_SETUP_SECONDS):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    with time_limit(LONGEST_TEST_SECONDS):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    with time_limit(LONGEST_TEST_SECONDS):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _children_can_be_interrupted() -> Iterator[None]:
    with interruptible_children():
        yield


@pytest.fixture(scope="session", autouse=True)
def _create_databases_quickly() -> Iterator[None]:
    with copy_migrated_tables(), share_compiled_statements():
        yield


@pytest.fixture(scope="session")
def weights() -> Callable[[str], EngineSpec]:
    """`weights(name)` returns the spec of an engine in the catalogue, after its files have been fetched if needed."""

    def fetch(name: str) -> EngineSpec:
        entry = load_catalogue(CATALOGUE)[name]
        try:
            folder = ModelCache().ensure(entry)
        except OperatorError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"{name} is not available here: {error}")
        return EngineSpec(
            name=name,
            engine=entry.engine,
            folder=folder,
            device=entry.device,
            dtype=entry.dtype,
            options=entry.options,
        )

    return fetch


@pytest.fixture(scope="session")
def larger_language_model() -> Path:
    """The folder that an engine opens of the larger language model, 1.1 GB, which only CI fetches for tests."""
    entry = load_catalogue(CATALOGUE)["qwen2.5-coder-1.5b-instruct"]
    if os.environ.get("CI") != "true" and not ModelCache().has_files(entry):
        pytest.skip(f"{entry.name} is not in place; tempera-models pull {entry.name} fetches it.")
    return ModelCache().ensure(entry)


@pytest.fixture(scope="session")
def small_model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for TEMPERA_CACHE with the fetched models of the real one, and the small language model chosen."""
    return link_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def real_server(weights: Callable[[str], EngineSpec]) -> Iterator[Callable[..., str]]:
    """`real_server(name, …)`: the address of the one server with real models, these among them."""
    catalogue, server = load_catalogue(CATALOGUE), SharedServer()

    def serve(*names: str) -> str:
        for name in names:
            weights(name)
        # With what other tests need as well, the server has to start once.
        return server.serve(names, [name for name in MEASURED if ModelCache().find_ready_folder(catalogue[name])])

    yield serve
    server.close()


@pytest.fixture
def unused_tcp_port() -> int:
    """In the place of the one of pytest-asyncio, which may give the same port to two workers."""
    return free_port()


@pytest.fixture
async def models() -> AsyncIterator[FakeModels]:
    async with FakeModels() as running:
        yield running
