"""What tests of stored models share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_server.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.catalogue import CatalogueEntry
    from model_server.files.cache import ModelCache


def put(path: Path, content: bytes) -> str:
    """The address of a new file with that content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def refusal(model_cache: ModelCache, entry: CatalogueEntry) -> str:
    """The sentence with which a model is not there."""
    with pytest.raises(OperatorError) as caught:
        model_cache.ensure(entry)
    assert "\n" not in str(caught.value)
    return str(caught.value)
