"""The texts on which the loss of served weights is measured."""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_name("quality.txt")
SEPARATOR = "\n%%\n"


def read_texts() -> list[str]:
    """Return prose, a recipe, code, a dialogue, German, a table and queries."""
    return FILE.read_text("utf-8").split(SEPARATOR)
