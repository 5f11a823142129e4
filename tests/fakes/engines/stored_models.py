"""Helpers for tests of stored models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_server.catalogue import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.catalogue import CatalogueEntry
    from model_server.files.cache import ModelCache


def put(path: Path, content: bytes) -> str:
    """Write a new file, and return its address."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def refusal(store: ModelCache, entry: CatalogueEntry) -> str:
    """Return the sentence with which `store` refuses `entry`."""
    with pytest.raises(StoreError) as caught:
        store.ensure(entry)
    assert "\n" not in str(caught.value)
    return str(caught.value)
