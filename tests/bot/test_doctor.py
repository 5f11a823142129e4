import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from fakes.discord import FakeDiscord
from fakes.model_server.broken_api import crooked, plainly
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.config.loading import Config, load
from bot.core.errors import ConfigError, PluginError
from bot.doctor import examine
from bot.inference.client import ModelClient
from bot.plugin_host import plugin
from bot.storage.database import Database

Set = Callable[[str, object], None]


@pytest.fixture
async def listening() -> AsyncIterator[FakeModels]:
    async with FakeModels() as models:
        yield models


@pytest.fixture(autouse=True)
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: FakeModels) -> Set:
    """Return `configure("WEB__PORT", 1)`, which changes a set-up that passes every check."""

    def change(name: str, value: object) -> None:
        monkeypatch.setenv(f"TEMPERA_{name}", str(value))

    monkeypatch.chdir(tmp_path)
    change("MODEL_SERVER__URL", listening.url)
    change("DATABASE__URL", f"sqlite:///{tmp_path}/tempera.db")
    change("WEB__PORT", 0)
    return change


def build(config: Config) -> Bot:
    return Bot(ModelClient(config.model_server.url), plugin.load(config.plugins), Database(config.database.url))


async def findings(capsys: pytest.CaptureFixture[str], **options: float) -> tuple[int, list[str]]:
    """Return the exit status and the lines with problems."""
    status = await examine(load, build, **options)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("ok       ", "PROBLEM  ")) for line in lines)
    return status, [line.removeprefix("PROBLEM  ") for line in lines if line.startswith("PROBLEM")]


async def test_a_working_set_up_passes_every_check(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, listening: FakeModels
) -> None:
    assert await examine(load, build) == 0
    mine = ", ".join(f"/defaults {word}" for word in ("show", "set", "reset"))
    plugins = ", ".join(f"/plugins {word}" for word in ("list", "enable", "disable", "reload"))
    config = ", ".join(f"/config {word}" for word in ("show", "set", "reset", "export", "import"))
    lessons = ", ".join(f"/lesson {word}" for word in ("list", "add", "remove", "show", "gaps"))
    asking = f"/ask, /new, /explain, {lessons}, /imagine, /face, /dial, /odds, /compare"
    keyless = (
        "If neither “make run” nor “tempera run” started it, it treats all users of this bot as one person, so "
        "somebody who asks a lot keeps the others waiting. Set TEMPERA_MODEL_SERVER__API_KEY in the file "
        ".env where both programs are started."
    )
    models = "fake-chat, fake-faces, fake-images, fake-embeddings"
    moderation = "/audit, /stats, /mod remove, /timeout, /timeouts list, /timeouts lift, /queue"
    privacy = "/privacy export, /privacy delete"
    commands = f"{asking}, /inspect, {mine}, /help, /why, {config}, {moderation}, {privacy}, {plugins}"
    assert capsys.readouterr().out.splitlines() == [
        "ok       The configuration can be read.",
        f"ok       37 commands: {commands}",
        f"ok       The database opens: sqlite:///{tmp_path}/tempera.db.",
        "ok       The web chat can listen on http://127.0.0.1:0.",
        f"ok       The model server at {listening.url} is ready: {models}. {keyless}",
        "ok       Discord is not set up: TEMPERA_DISCORD__TOKEN is empty.",
        "ok       Slack is not set up: TEMPERA_SLACK__BOT_TOKEN is empty.",
    ]


@pytest.mark.parametrize("key", ["API_KEY", "TRUSTED_KEY"])
async def test_a_model_server_that_knows_this_bot(configure: Set, capsys: pytest.CaptureFixture[str], key: str) -> None:
    shown: list[str | None] = []

    async def ready(request: web.Request) -> web.Response:
        shown.append(request.headers.get("Authorization"))
        return web.json_response({"models": ["a"]})

    async with crooked(ready, "/health/ready") as url:
        configure("MODEL_SERVER__URL", url)
        configure(f"MODEL_SERVER__{key}", "s3cret")
        assert await examine(load, build) == 0
    assert f"ok       The model server at {url} is ready: a.\n" in capsys.readouterr().out
    assert shown == ["Bearer s3cret"]


@pytest.mark.parametrize("error", [ConfigError("web.port is wrong."), PluginError("Plugin “dice” is broken.")])
async def test_an_unreadable_configuration_is_the_only_line(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(config: Config) -> Bot:
        raise error

    assert await examine(load, fail) == 1
    assert capsys.readouterr().out == f"PROBLEM  {error}\n"


async def test_a_database_that_cannot_be_opened(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    configure("DATABASE__URL", "sqlite:////proc/nothing/tempera.db")
    expected = "The database /proc/nothing/tempera.db cannot be opened; is the folder writable?"
    assert await findings(capsys) == (1, [expected])


async def test_a_port_in_use_is_no_problem(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        configure("WEB__PORT", port)
        assert await examine(load, build) == 0
    assert f"Something listens on 127.0.0.1:{port} already: the web chat" in capsys.readouterr().out


async def test_an_address_of_another_machine(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    configure("WEB__HOST", "192.0.2.1")
    status, (problem,) = await findings(capsys)
    assert status == 1
    assert problem.startswith("The web chat cannot listen on 192.0.2.1:0: ")


async def test_a_web_chat_that_is_switched_off(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    configure("WEB__ENABLED", "false")
    assert await examine(load, build) == 0
    assert "The web chat is switched off." in capsys.readouterr().out


async def test_discord(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeDiscord() as server:
        configure("DISCORD__API_BASE", server.api_base)
        configure("DISCORD__TOKEN", server.token)
        assert await examine(load, build) == 0
        assert "of the application “Tempera”" in capsys.readouterr().out
        configure("DISCORD__TOKEN", "revoked")
        status, (problem,) = await findings(capsys)
    assert status == 1
    assert problem.startswith("Discord refuses the token TEMPERA_DISCORD__TOKEN.")


async def test_no_model_server(configure: Set, capsys: pytest.CaptureFixture[str], unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    configure("MODEL_SERVER__URL", url)
    how = "Start it with “make run” or “tempera-models serve”."
    assert await findings(capsys) == (1, [f"No model server answers at {url}. {how}"])


async def test_a_model_server_that_loads(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    body = {"models": ["a"], "missing": {"b": "fetching, 40 %", "c": "loading"}}
    async with crooked(plainly(json.dumps(body).encode(), 503), "/health/ready") as url:
        configure("MODEL_SERVER__URL", url)
        expected = f"The model server at {url} is not ready yet. b: fetching, 40 %; c: loading."
        assert await findings(capsys) == (1, [expected])


async def test_a_model_server_that_refuses_the_key(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    async with crooked(plainly(b"{}", 401), "/health/ready") as url:
        configure("MODEL_SERVER__URL", url)
        _, (problem,) = await findings(capsys)
    assert problem.startswith("The model server refuses this bot's key")


async def test_a_model_server_that_hangs(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    asked = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("never")

    async with crooked(hang, "/health/ready") as url:
        configure("MODEL_SERVER__URL", url)
        expected = f"The model server at {url} takes a connection but does not answer; restart it."
        assert await findings(capsys, timeout_seconds=0.2) == (1, [expected])
    assert asked.is_set()


async def test_half_of_slack(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    configure("SLACK__APP_TOKEN", "xapp-1")
    status, (problem,) = await findings(capsys)
    assert status == 1
    assert "(TEMPERA_SLACK__APP_TOKEN) is wrong: it needs TEMPERA_SLACK__BOT_TOKEN" in problem


async def test_slack_by_http(configure: Set, capsys: pytest.CaptureFixture[str], unused_tcp_port: int) -> None:
    configure("SLACK__BOT_TOKEN", "xoxb-1")
    configure("SLACK__SIGNING_SECRET", "5eed")
    with socket.create_server(("127.0.0.1", 0)) as other:
        configure("SLACK__API_BASE", f"http://127.0.0.1:{unused_tcp_port}/api/")
        configure("SLACK__PORT", other.getsockname()[1])
        assert await examine(load, build) == 1
    *_, unreachable, port = capsys.readouterr().out.splitlines()
    assert unreachable.startswith(f"PROBLEM  Slack cannot be reached at http://127.0.0.1:{unused_tcp_port}/api/: ")
    assert port.endswith("already: the bot on Slack, if Tempera is running.")
