"""Imports point one way: the map of ARCHITECTURE.md, held."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "transformers", "diffusers"}
PLATFORM_SDKS = {"discord": "discord", "slack_bolt": "slack", "slack_sdk": "slack", "prompt_toolkit": "terminal"}
LAYERS = [
    {"text", "language", "message", "errors", "chore", "one_thread", "model_events", "backend"},
    {"option", "database", "migrations", "picture_wire", "token_wire", "tokens"},
    {"setting"},
    {"core_settings"},
    {"command", "delivery", "pace", "instance", "store", "defaults", "counts", "audit", "scope", "run", "hands"}
    | {"rows"},
    {"secret", "timeouts", "signature"},
    {"config", "model_client", "settings", "actions", "journal"},
    {"policy", "limits", "narrowing", "configuring", "auditing", "log_channel", "statistics", "safety", "moderation"},
    {"history", "plugin"},
    {"registry"},
    {"gate", "refusals", "forgetting", "privacy"},
    {"context"},
    {"contexts"},
    {"answering"},
    {"pressing"},
    {"app"},
    {"platforms", "doctor", "local_server"},
    {"__main__"},
]


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer(module: str) -> int:
    room = module.removeprefix("bot.").split(".")[0]
    return next(height for height, rooms in enumerate(LAYERS) if room in rooms)


def rooms_of_bot(names: set[str]) -> set[str]:
    known = set().union(*LAYERS)
    return {name for name in names if name.startswith("bot.") and name.split(".")[1] in known}


@pytest.mark.parametrize("path", modules("bot"), ids=str)
def test_the_bot_imports_only_what_lies_below(path: Path) -> None:
    names = imports(path)
    assert not {name for name in names if name.split(".")[0] in {"model_server", "plugins", *HEAVY}}
    if path.name == "__init__.py" and path.parent.name == "bot":
        return
    own = layer(".".join(path.relative_to(ROOT).with_suffix("").parts))
    above = {name for name in rooms_of_bot(names) if layer(name) > own}
    assert not above, f"{path.name} imports {above}"


@pytest.mark.parametrize("path", modules("plugins"), ids=str)
def test_plugins_see_only_the_plugin_api(path: Path) -> None:
    ours = {name.split(".")[0] for name in imports(path)} & {"model_server", "plugins", *HEAVY}
    assert not ours - {"plugins"}
    tree = ast.walk(ast.parse(path.read_text("utf-8")))
    inner = {node.module for node in tree if isinstance(node, ast.ImportFrom) and node.module}
    assert not {module for module in inner if module.startswith("bot.")}


@pytest.mark.parametrize("path", modules("model_server"), ids=str)
def test_the_model_server_keeps_to_itself_and_torch_to_its_engines(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    assert not tops & {"bot", "plugins"}
    inside = path.relative_to(ROOT / "model_server").parts[0] in {"engines", "training"}
    assert inside or not tops & HEAVY


@pytest.mark.parametrize("path", modules("bot"), ids=str)
def test_each_sdk_stays_in_its_platform(path: Path) -> None:
    for name in {name.split(".")[0] for name in imports(path)} & set(PLATFORM_SDKS):
        assert PLATFORM_SDKS[name] in str(path.relative_to(ROOT / "bot" / "platforms"))


@pytest.mark.parametrize(
    "code", ["import bot", "import bot.__main__ as m; m._parser()", "import model_server.__main__"]
)
def test_light_things_stay_light(code: str) -> None:
    probe = f"{code}\nimport sys\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""
