"""The registry of platform adapters, and the capabilities of all platforms."""

import ast
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.core.adapters import Adapters, Capabilities
from bot.core.errors import UserError
from bot.core.messages import Place
from bot.platforms import capabilities
from bot.platforms.capabilities import DISCORD, PLATFORMS, SLACK, TERMINAL, WEB

ROOM = Place("test", "room", "school")
SCHOOL = Capabilities(is_local=True)


class FakeAdapter:
    """A platform with two rooms called “hall”."""

    capabilities = SCHOOL

    async def find_channels(self, name: str, place: Place) -> Sequence[str]:
        return {"room": ["1"], "hall": ["2", "3"]}.get(name, [])


def test_an_adapter_is_registered_while_its_platform_runs() -> None:
    adapters, adapter = Adapters(PLATFORMS), FakeAdapter()
    assert adapters.get("test") is None
    assert not adapters.is_known("test")
    with adapters.registered("test", adapter):
        assert adapters.get("test") is adapter
        assert adapters.is_known("test")
    assert adapters.get("test") is None


def test_capabilities_are_known_wherever_the_platform_runs() -> None:
    adapters = Adapters(PLATFORMS)
    assert adapters.is_known("discord")
    assert adapters.capabilities("discord") is DISCORD
    assert adapters.capabilities("test") == Capabilities()
    with adapters.registered("test", FakeAdapter()):
        assert adapters.capabilities("test") is SCHOOL


async def test_a_channel_is_resolved_by_the_adapter_of_its_platform() -> None:
    adapters = Adapters()
    assert await adapters.resolve_channel("#room", ROOM) == "#room"
    with adapters.registered("test", FakeAdapter()):
        assert await adapters.resolve_channel("#room", ROOM) == "1"
        with pytest.raises(UserError, match="I know no channel “attic” here."):
            await adapters.resolve_channel("#attic", ROOM)
        with pytest.raises(UserError, match="2 channels are called “hall” here."):
            await adapters.resolve_channel("hall", ROOM)


@pytest.mark.parametrize(
    ("platform", "text", "is_id"),
    [
        (DISCORD, "123456", True),
        (DISCORD, "room", False),
        (SLACK, "C012345", True),
        (SLACK, "c1", False),
        *((platform, "123456", False) for platform in (WEB, TERMINAL, Capabilities())),
    ],
)
def test_ids_are_distinguished_from_names(platform: Capabilities, text: str, is_id: bool) -> None:
    assert platform.is_id(text) is is_id


@pytest.mark.parametrize(
    ("platform", "shown"),
    [
        (DISCORD, "<t:1774960259:f>"),
        (WEB, "<t:1774960259:f>"),
        (SLACK, "2026-03-31 12:30 UTC"),
        (TERMINAL, "2026-03-31 14:30 CEST"),
    ],
)
def test_a_time_is_in_the_readers_zone_or_names_its_own(
    platform: Capabilities, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "Europe/Berlin")
            time.tzset()
            assert platform.show_time(datetime(2026, 3, 31, 12, 30, 59, tzinfo=UTC)) == shown
    finally:
        time.tzset()


def test_capabilities_are_known_without_the_library_of_a_platform() -> None:
    tree = ast.parse(Path(capabilities.__file__).read_text("utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module for module in modules if module and module.startswith("bot.platforms")} == set()
