"""The embeddings that come with Tempera, of its own lesson, so that the first start need not make them.

`python -m research.explain.bundle_embeddings` writes the file again after a change to the lesson or to its
further wordings. A text that is not in the file is embedded like any other, and so are all texts of another model.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugins.explain.search.types import Floats

FILE = Path(__file__).parents[4] / "config" / "lessons" / "what-is-generative-ai.npz"
MODEL = "all-minilm-l6-v2"
"""The model that made them, to which all weights of the search were fitted."""
KEY_DIGITS = 16
"""The hexadecimal digits of a key that the file keeps."""
MAX_VALUE = 127
"""The largest number of 8 bits with a sign."""


def load_bundled(model: str, keys: Iterable[str]) -> dict[str, Floats]:
    """Return the bundled embeddings of `model`, of length 1, by those `keys` that have one."""
    bundled = _read_file(FILE) if model == MODEL else {}
    return {key: bundled[short] for key in keys if (short := _shorten_key(key)) in bundled}


def write_bundled(rows: dict[str, Floats], path: Path) -> None:
    """Write embeddings by their keys, each number in 8 bits."""
    values = np.array(list(rows.values()))
    scales = np.abs(values).max(axis=1, keepdims=True) / MAX_VALUE
    keys = np.array([_shorten_key(key) for key in rows], np.uint64)
    np.savez_compressed(path, keys=keys, rows=np.rint(values / scales).astype(np.int8))


@cache
def _read_file(path: Path) -> dict[int, Floats]:
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        keys: NDArray[np.uint64] = arrays["keys"]
        rows = arrays["rows"].astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return dict(zip(keys.tolist(), rows, strict=True))


def _shorten_key(key: str) -> int:
    return int(key[:KEY_DIGITS], 16)
