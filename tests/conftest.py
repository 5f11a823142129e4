"""Fixtures for all tests: the real model files for tests marked `weights`, and measures that make tests quicker."""

import gc
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.storage.compiled_statements import share_compiled_statements
from fakes.storage.migrated_tables import copy_migrated_tables

from model_server.catalogue import StoreError, load_catalogue
from model_server.engines.contract import EngineSpec
from model_server.files.cache import ModelCache

CATALOGUE = Path(__file__).parent.parent / "config" / "models.toml"


def pytest_configure() -> None:
    """Use one thread in each worker, since more threads would only wait for those of other workers."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude imported modules from garbage collection, which would take most of a second."""
    gc.disable()
    result = yield
    gc.freeze()
    gc.enable()
    return result


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
        except StoreError as error:
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


@pytest.fixture
async def models() -> AsyncIterator[FakeModels]:
    async with FakeModels() as running:
        yield running
