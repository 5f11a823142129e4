"""The embeddings of the lesson that comes with Tempera, made beforehand: a first start need not wait for them.

`python -m plugins.explain.evaluation.bundle_embeddings` makes the file anew after a change to the lesson or to its
wordings. A text that is not in the file is embedded like any other, and so are all texts if another model is used.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from plugins.explain.search.types import Floats

FILE = Path(__file__).parents[3] / "config" / "lessons" / "what-is-generative-ai.npz"
MODEL = "all-minilm-l6-v2"
"""Whose embeddings they are."""
DIGITS = 16
"""Of a key, which is a hash in hexadecimal digits, as many as are kept."""
LARGEST = 127


def prepared(model: str, keys: Iterable[str]) -> dict[str, Floats]:
    """The embeddings of length 1 that were made with `model`, by those of the keys that are among them."""
    known = _known(FILE) if model == MODEL else {}
    return {key: known[short] for key in keys if (short := _short(key)) in known}


def write(rows: dict[str, Floats], path: Path) -> None:
    """Keep embeddings by their keys, each number in 8 bits."""
    values = np.array(list(rows.values()))
    scales = np.abs(values).max(axis=1, keepdims=True) / LARGEST
    keys = np.array([_short(key) for key in rows], np.uint64)
    np.savez_compressed(path, keys=keys, rows=np.rint(values / scales).astype(np.int8))


@cache
def _known(path: Path) -> dict[int, Floats]:
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as kept:
        keys: NDArray[np.uint64] = kept["keys"]
        rows = kept["rows"].astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return dict(zip(keys.tolist(), rows, strict=True))


def _short(key: str) -> int:
    return int(key[:DIGITS], 16)
