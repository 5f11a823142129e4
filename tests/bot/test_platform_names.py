"""The core and the plugins name no platform: they ask for capabilities, so that a new platform changes none of them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.platforms.capabilities import PLATFORMS

ROOT = Path(__file__).parents[2]
ALLOWED = (
    "bot/platforms",
    "bot/__main__.py",
    "bot/doctor.py",
    "bot/config",
    # Migrations tell what was stored before, when platforms were known by these names.
    "bot/storage/migrations",
)
FILES = [
    path
    for room in ("bot", "plugins")
    for path in sorted((ROOT / room).rglob("*.py"))
    if not str(path.relative_to(ROOT)).startswith(ALLOWED)
]


def named(source: str) -> Iterator[str]:
    """Return the platforms that a module names in its strings, with the line; docstrings may name them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.casefold() in PLATFORMS:
            yield f"{node.value} in line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_platform_is_named_outside_the_platforms(path: Path) -> None:
    assert list(named(path.read_text("utf-8"))) == []


def test_a_platform_name_in_a_string_is_found() -> None:
    assert len(FILES) > 100
    assert list(named('if place.platform == "web":\n    pass\n')) == ["web in line 1"]
    assert list(named('KNOWN = {"x": {"Discord", "irc"}}')) == ["Discord in line 1"]
    assert list(named('"""Discord is where it began."""\nSAY = "see it on Slack"')) == []
