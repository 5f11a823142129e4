"""The manifest that people paste into Slack asks for what the code uses, and for nothing else."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from slack_sdk.web.async_client import AsyncWebClient

from bot.config.sections import PluginsSection
from bot.platforms.slack import checks
from bot.platforms.slack.convert.commands import NATIVE, ROOT
from bot.platforms.slack.incoming.commands import SHORTCUT
from bot.plugin_host import plugin

PROJECT = Path(__file__).parent.parent
MANIFEST = PROJECT / "config" / "slack-manifest.yaml"
METHODS = PROJECT.parent / "shared" / "contracts" / "slack_methods"
SOURCES = sorted((PROJECT / "bot" / "platforms" / "slack").rglob("*.py"))
COMMANDS = [command for one in plugin.load(PluginsSection(entry_points=False)) for command in one.commands()]

SCOPES_OF_METHODS = {
    "conversations.list": {"channels:read"},
    "conversations.open": {"im:write"},
    "files.delete": {"files:write"},
    "files.info": {"files:read"},
    "oauth.v2.access": set(),
}
"""Of methods that have no file in METHODS."""
IN_PARTS = {"files_upload_v2": {"files.getUploadURLExternal", "files.completeUploadExternal"}}
"""What the SDK calls by itself."""
SCOPES_OF_EVENTS = {
    "app_home_opened": set(),
    "app_mention": {"app_mentions:read"},
    "app_uninstalled": set(),
    "message.channels": {"channels:history"},
    "message.groups": {"groups:history"},
    "message.im": {"im:history"},
    "message.mpim": {"mpim:history"},
    "tokens_revoked": set(),
}
ALWAYS = {"commands", "files:read"}
"""For slash commands and shortcuts; for files in forms, whose addresses are fetched with the token."""


@pytest.fixture
def manifest() -> dict[str, Any]:
    return yaml.safe_load(MANIFEST.read_text("utf-8"))


def nodes() -> Iterator[ast.AST]:
    for path in SOURCES:
        yield from ast.walk(ast.parse(path.read_text("utf-8")))


def methods() -> set[str]:
    """The Web API methods that the code calls, by name or through the SDK."""
    found: set[str] = set()
    for node in nodes():
        name = node.attr if isinstance(node, ast.Attribute) else ""
        if isinstance(node, ast.Constant) and re.fullmatch(r"[a-z]+(\.[a-zA-Z]+)+", str(node.value)):
            name = str(node.value).replace(".", "_")
        if "_" in name and not name.startswith("_") and hasattr(AsyncWebClient, name) and name != "api_call":
            found |= IN_PARTS.get(name, {name.replace("_", ".")})
    return found


def events() -> set[str]:
    """The events that the code listens to."""
    found: set[str] = set()
    for node in nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "event":
            found |= {part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)} - {"type"}
    return found


def scopes_of(method: str) -> set[str]:
    if method in SCOPES_OF_METHODS:
        return SCOPES_OF_METHODS[method]
    described = json.loads((METHODS / f"{method}.json").read_text("utf-8"))
    return set(described["scope"].get("bot", ()))


def test_the_code_is_read_rightly() -> None:
    assert {"auth.test", "apps.connections.open", "views.open", "views.publish"} <= methods()
    assert "app_home_opened" in events()


def test_its_commands_are_ours(manifest: dict[str, Any]) -> None:
    listed = {one["command"]: one for one in manifest["features"]["slash_commands"]}
    assert list(listed) == [*(f"/{name}" for name in NATIVE), ROOT]
    for command in COMMANDS:
        if command.name in NATIVE:
            slash = listed[f"/{command.name}"]
            assert slash["description"] == command.description
            assert f"/{command.name} {slash['usage_hint']}" == command.usage()
    # What Slack would put in the place of names and links is not undone in commands.
    # Ids of people and channels come with what is escaped; in a question to a model they would be in the way.
    assert [name for name, one in listed.items() if one["should_escape"]] == ["/tempera"]
    hints = [hint.strip() for hint in listed[ROOT]["usage_hint"].split("|")]
    assert hints[-1] == "…"
    assert set(hints[:-1]) <= {command.name for command in COMMANDS}


def test_its_shortcuts_are_ours(manifest: dict[str, Any]) -> None:
    listed = {one["callback_id"]: one["name"] for one in manifest["features"]["shortcuts"]}
    assert listed == {f"{SHORTCUT}{command.name}": command.in_messages for command in COMMANDS if command.in_messages}
    assert {one["type"] for one in manifest["features"]["shortcuts"]} == {"message"}


def test_its_events_are_those_that_are_listened_to(manifest: dict[str, Any]) -> None:
    listed = manifest["settings"]["event_subscriptions"]["bot_events"]
    assert {name.partition(".")[0] for name in listed} == events()
    assert {name for name in listed if name.startswith("message.")} == {
        f"message.{kind}" for kind in ("channels", "groups", "im", "mpim")
    }
    assert listed == sorted(listed)


def test_its_scopes_are_those_that_are_used(manifest: dict[str, Any]) -> None:
    listed = manifest["oauth_config"]["scopes"]["bot"]
    assert tuple(listed) == checks.SCOPES == tuple(sorted(listed))
    assert manifest["oauth_config"]["scopes"]["bot_optional"] == list(checks.OPTIONAL_SCOPES)
    if not METHODS.is_dir():
        pytest.skip("Slack's description of its methods is not here")
    used = set(ALWAYS).union(*map(scopes_of, methods()))
    for name in manifest["settings"]["event_subscriptions"]["bot_events"]:
        used |= SCOPES_OF_EVENTS[name]
    assert set(listed) == used


def test_how_it_is_set_up(manifest: dict[str, Any]) -> None:
    settings = manifest["settings"]
    assert settings["socket_mode_enabled"] is True
    assert settings["interactivity"] == {"is_enabled": True}
    assert not settings["org_deploy_enabled"]
    assert not settings["token_rotation_enabled"]
    assert manifest["features"]["bot_user"]["always_online"] is True
    home = manifest["features"]["app_home"]
    assert home["home_tab_enabled"]
    assert home["messages_tab_enabled"]
    assert not home["messages_tab_read_only_enabled"]
    assert "url" not in str(manifest)


def test_it_is_within_the_limits_of_slack(manifest: dict[str, Any]) -> None:
    about, features = manifest["display_information"], manifest["features"]
    assert len(about["name"]) <= 35
    assert len(about["description"]) <= 140
    assert 175 <= len(about["long_description"]) <= 4000
    assert re.fullmatch("#[0-9a-f]{6}", about["background_color"])
    assert len(features["bot_user"]["display_name"]) <= 80
    for shortcut in features["shortcuts"]:
        assert len(shortcut["name"]) <= 24
        assert len(shortcut["description"]) <= 150
    for slash in features["slash_commands"]:
        assert len(slash["command"]) <= 32
        assert len(slash["description"]) <= 2000
        assert len(slash["usage_hint"]) <= 1000


def test_the_page_for_slack_makes_one_for_http_of_it(manifest: dict[str, Any]) -> None:
    text = (PROJECT / "docs" / "user" / "slack.md").read_text("utf-8")
    (line,) = re.findall(r"^ *(sed .*config/slack-manifest\.yaml)$", text, flags=re.MULTILINE)
    made = subprocess.run(["sh", "-c", line], cwd=PROJECT, capture_output=True, check=True, timeout=20)
    changed = yaml.safe_load(made.stdout)
    address = f"https://YOUR-ADDRESS{checks.EVENTS_PATH}"
    assert changed["settings"].pop("socket_mode_enabled") is False
    assert changed["settings"]["interactivity"].pop("request_url") == address
    assert changed["settings"]["event_subscriptions"].pop("request_url") == address
    assert {one.pop("url") for one in changed["features"]["slash_commands"]} == {address}
    del manifest["settings"]["socket_mode_enabled"]
    assert changed == manifest
