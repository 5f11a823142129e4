"""The core and the plugins name no platform: they ask for capabilities, so that a new platform changes none of them.

Sentences for people may, where they say on which platform something is found; these are listed here.
"""

import ast
import re
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
TOLD = (
    "Hide pictures until somebody wants to see them; Slack always shows them.",
    "On Slack, answer every message of a thread that people began once the bot was mentioned there.",
    "Let newcomers to the web chat wait until a moderator lets them in.",
    "A line of Markdown above the messages until it is taken down; only the web chat shows it.",
    "Let teachers read in the web chat what is asked in “Just me” from now on; it says so there.",
    "Keep with each answer how probable its tokens were, so that the web chat can show it.",
    "Rooms of the web chat",
    "Only whoever runs this bot can name another server, from the terminal.",
    "Only whoever runs this bot can reload a plugin, from the terminal.",
    # Names of other services that people have accounts at.
    "snap|snapchat|insta|instagram|discord|tiktok|telegram|skype|roblox|steam",
)
NAME = re.compile(rf"(?<![^\W_])({'|'.join(PLATFORMS)})(?![^\W_])", re.IGNORECASE)
FILES = [
    path
    for room in ("bot", "plugins")
    for path in sorted((ROOT / room).rglob("*.py"))
    if not str(path.relative_to(ROOT)).startswith(ALLOWED)
]


def named(source: str) -> Iterator[str]:
    """Return the platforms that a module names in its strings, with the line; docstrings may name them."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
            continue
        if node.value not in TOLD and (found := NAME.search(node.value)):
            yield f"{found[0]} in line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_platform_is_named_outside_the_platforms(path: Path) -> None:
    assert list(named(path.read_text("utf-8"))) == []


def test_a_platform_name_in_a_string_is_found() -> None:
    assert len(FILES) > 100
    assert list(named('if place.platform == "web":\n    pass\n')) == ["web in line 1"]
    assert list(named('KNOWN = {"x": {"Discord", "irc"}}')) == ["Discord in line 1"]
    assert list(named('"""Discord is where it began."""\nSAY = "see it on Slack"')) == ["Slack in line 2"]
    assert list(named('KEY = f"slack/{team}"\nWEBSITE = "a website"')) == ["slack in line 1"]


def test_every_sentence_that_may_name_a_platform_still_does() -> None:
    source = "\n".join(path.read_text("utf-8") for path in FILES)
    assert [sentence for sentence in TOLD if sentence not in source] == []
