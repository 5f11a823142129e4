"""The real model files, for tests marked `weights`; and what makes all tests quicker."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.migrated import remembered_tables

from model_server.engines import EngineSpec
from model_server.store import Store, StoreError, load_catalogue

CATALOGUE = Path(__file__).parent.parent / "config" / "models.toml"


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later collection of garbage, which would take most of a second with it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _remembered_tables() -> Iterator[None]:
    with remembered_tables():
        yield


@pytest.fixture(scope="session")
def weights() -> Callable[[str], EngineSpec]:
    """`weights(name)`: what an engine of the catalogue is built from, its files fetched first if need be."""

    def ensured(name: str) -> EngineSpec:
        entry = load_catalogue(CATALOGUE)[name]
        try:
            folder = Store().ensure(entry)
        except StoreError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"{name} cannot be had here: {error}")
        return EngineSpec(
            name=name,
            engine=entry.engine,
            folder=folder,
            device=entry.device,
            dtype=entry.dtype,
            options=entry.options,
        )

    return ensured
