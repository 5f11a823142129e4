import asyncio
import importlib.util
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fakes.discord import FakeDiscord
from fakes.model_server.broken_api import Answer, crooked, plainly
from fakes.model_server.gateway import serving
from fakes.model_server.model_api import FakeModels
from fakes.model_server.other_server import OtherServer

from bot.app import Bot
from bot.config.loading import NOTHING_TO_RUN, Config, load
from bot.config.sections import WebSection
from bot.core.errors import ConfigError, PluginError
from bot.doctor import REFUSED_HINT, examine
from bot.inference.client import ModelClient
from bot.platforms.web import WebPlatform
from bot.plugin_host import plugin
from bot.storage import inspection
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
    # In other languages there is one more line.
    monkeypatch.setenv("LC_ALL", "C")
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
    assert all(line.startswith(("ok       ", "warning  ", "PROBLEM  ")) for line in lines)
    return status, [line.removeprefix("PROBLEM  ") for line in lines if line.startswith("PROBLEM")]


async def only_problem(capsys: pytest.CaptureFixture[str], **options: float) -> str:
    status, (problem,) = await findings(capsys, **options)
    assert status == 1
    return problem


async def test_a_working_set_up_passes_every_check(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, listening: FakeModels
) -> None:
    assert await examine(load, build) == 0
    keyless = (
        "If neither “make run” nor “tempera run” started it, it treats all users of this bot as one person, so "
        "somebody who asks a lot keeps the others waiting, and nothing proves that it is yours: any program of this "
        "machine could have opened its port. Set TEMPERA_MODEL_SERVER__API_KEY in the file .env where both programs "
        "are started."
    )
    models = "fake-chat, fake-faces, fake-images, fake-embeddings"
    configuration, commands, *others = capsys.readouterr().out.splitlines()
    assert configuration == "ok       The configuration can be read."
    assert commands.startswith("ok       40 commands: /ask, /new, /explain, /lesson list, ")
    assert others == [
        f"ok       The database sqlite:///{tmp_path}/tempera.db is made at the first start.",
        "ok       This process alone counts how often people ask.",
        "ok       The web chat can listen on http://127.0.0.1:0.",
        f"ok       The model server at {listening.url} is ready: {models}. {keyless}",
        "ok       Discord is not set up: TEMPERA_DISCORD__TOKEN is empty.",
        "ok       Slack is not set up: TEMPERA_SLACK__BOT_TOKEN is empty.",
    ]
    assert not (tmp_path / "tempera.db").exists()


async def test_an_unreadable_configuration_is_the_only_line(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    configure("WEB__PORT", "many")
    assert await examine(load, build) == 1
    assert capsys.readouterr().out.startswith("PROBLEM  The configuration's “web.port” (TEMPERA_WEB__PORT) is wrong: ")


async def test_each_check_is_made_whatever_failed_before_it(
    configure: Set, capsys: pytest.CaptureFixture[str], tmp_path: Path, unused_tcp_port: int
) -> None:
    configure("PORT", 3)
    configure("PLUGINS__FOLDER", tmp_path / "none")
    configure("DATABASE__URL", "mysql://host/db")
    configure("LIMITS__STORAGE", "disk")
    configure("EXPLAIN__LESSONS", '["none.md"]')
    configure("WEB__HOST", "0.0.0.0")
    configure("MODEL_SERVER__URL", f"http://127.0.0.1:{unused_tcp_port}")
    configure("SLACK__BOT_TOKEN", "xoxb-1")
    configure("SLACK__APP_TOKEN", "xapp-1")
    configure("SLACK__API_BASE", f"http://127.0.0.1:{unused_tcp_port}/api/")
    assert await examine(load, build) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("ok ")]
    begins = [
        "warning  TEMPERA_PORT has no effect.",
        f"PROBLEM  The folder of plugins, {tmp_path}/none, does not exist. Make it, or name another in TEMPERA_PLUGINS",
        "warning  The lesson ",
        "PROBLEM  The database must be SQLite or PostgreSQL",
        "PROBLEM  limits.storage must be “memory” or begin with redis:// or rediss://.",
        "PROBLEM  The web chat would be open to the network on 0.0.0.0. Set a join code in TEMPERA_WEB__JOIN_CODE",
        f"PROBLEM  No model server answers at http://127.0.0.1:{unused_tcp_port}. Start it with “make run” or ",
        "PROBLEM  Slack cannot be reached at ",
    ]
    assert len(said) == len(begins), said
    assert [line for line, begin in zip(said, begins, strict=True) if not line.startswith(begin)] == []


async def test_warnings_are_no_problems(configure: Set, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[web]\njoin_code = "s3cret-s3cret"\n')
    assert await examine(lambda: load(Path("mine.toml")), build) == 0
    said = capsys.readouterr().out
    assert "warning  The file mine.toml holds a secret, “web.join_code”." in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    "error", [ConfigError("[settings]: there is no setting “x”."), PluginError("“dice” is broken.")]
)
async def test_what_the_start_of_the_bot_refuses_is_one_line(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(config: Config) -> Bot:
        raise error

    assert await examine(load, fail) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"PROBLEM  {error}"
    assert lines[-1].startswith("ok       Slack")


async def test_a_check_that_fails_unexpectedly_is_one_line(
    configure: Set, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(address: str) -> str:
        raise ZeroDivisionError(address)

    monkeypatch.setattr(inspection, "inspect", fail)
    assert await only_problem(capsys) == "The check of the database failed unexpectedly (ZeroDivisionError)."


async def test_nothing_to_run(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    configure("WEB__ENABLED", "false")
    configure("MODEL_SERVER__URL", "http://model-server.invalid:8400")
    status, problems = await findings(capsys)
    assert (status, problems[0]) == (1, NOTHING_TO_RUN)


@pytest.mark.parametrize("code", ["", "s3cret-s3cret"])
async def test_a_web_chat_that_runs_is_no_problem(
    code: str, configure: Set, capsys: pytest.CaptureFixture[str], listening: FakeModels, tmp_path: Path
) -> None:
    section = WebSection.model_validate({"port": 0, "join_code": code})
    bot = Bot(ModelClient(listening.url), (), Database(f"sqlite:///{tmp_path}/other.db"))
    async with bot, WebPlatform(bot, section).serve() as url:
        configure("WEB__PORT", url.rpartition(":")[2])
        assert await examine(load, build) == 0
    assert f"ok       The web chat answers at {url}: Tempera is running.\n" in capsys.readouterr().out


async def test_another_program_on_the_port_of_the_web_chat(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    async with crooked(plainly(b"<title>It works</title>"), "/teacher") as url:
        configure("WEB__PORT", url.rpartition(":")[2])
        problem = await only_problem(capsys)
    assert problem.endswith(f"another port in TEMPERA_WEB__PORT. What answers at {url} is not Tempera.")


async def test_a_web_chat_that_hangs(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        configure("WEB__PORT", other.getsockname()[1])
        problem = await only_problem(capsys, timeout_seconds=0.2)
    assert problem.endswith("It takes connections, but does not answer within 0.2 seconds.")


async def test_an_address_of_another_machine(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    configure("WEB__HOST", "192.0.2.1")
    configure("WEB__JOIN_CODE", "s3cret-s3cret")
    problem = await only_problem(capsys)
    assert problem.startswith("This machine has no address 192.0.2.1. Set one that it has in TEMPERA_WEB__HOST")


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
        problem = await only_problem(capsys)
    assert problem.startswith("Discord refuses the token TEMPERA_DISCORD__TOKEN.")


async def test_a_model_server_that_loads(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    body = {"models": ["a"], "missing": {"b": "fetching, 40 %", "c": "loading"}}
    async with crooked(plainly(json.dumps(body).encode(), 503), "/health/ready") as url:
        configure("MODEL_SERVER__URL", url)
        expected = f"The model server at {url} is not ready yet. b: fetching, 40 %; c: loading."
        assert await only_problem(capsys) == expected


async def test_what_the_model_server_says_about_its_models(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    lacks = {"part": "memory", "needed_gb": 12, "present_gb": 8}
    alternatives = [
        {"model": "emoji", "chosen": False},
        {"model": "photo", "chosen": False, "lacks": lacks},
        {"model": "large", "chosen": True, "lacks": lacks},
    ]
    coming = {"large": "fetching, 40 %", "odd": "failed: no room."}
    body = {"models": ["small"], "coming": coming, "notes": ["Chosen."], "alternatives": alternatives}
    async with crooked(plainly(json.dumps(body).encode()), "/health/ready") as url:
        configure("MODEL_SERVER__URL", url)
        assert await examine(load, build) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ok       Chosen." in lines
    assert "ok       emoji fits the machine of the model server." in lines
    assert "ok       photo needs 12 GB of memory, and the model server has 8 GB." in lines
    assert "warning  large needs 12 GB of memory, and the model server has 8 GB." in lines
    assert "ok       A smaller model answers until large is ready. large: fetching, 40 %." in lines
    assert "warning  A smaller model answers until odd is ready. odd: failed: no room." in lines


@pytest.mark.parametrize(
    ("configured", "verified", "told"),
    [
        ("", True, "needs a key: set TEMPERA_MODEL_SERVER__API_KEY to the value that it has on the server."),
        ("API_KEY", False, "refuses the key in TEMPERA_MODEL_SERVER__API_KEY. Set the value here that TEMPERA_MODEL"),
        ("API_KEY", True, "does not know the key in TEMPERA_MODEL_SERVER__API_KEY, so the bot sends nothing to it."),
        ("TRUSTED_KEY", True, "the same value in TEMPERA_MODEL_SERVER__TRUSTED_KEY where that server is started"),
    ],
)
async def test_a_model_server_with_another_key(
    configured: str, verified: bool, told: str, configure: Set, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    configure("MODEL_SERVER__VERIFY", verified)
    if configured:
        configure(f"MODEL_SERVER__{configured}", "s3cret")
    async with serving(tmp_path, models=(), api_key="other") as url:
        configure("MODEL_SERVER__URL", url)
        problem = await only_problem(capsys)
    assert told in problem
    assert "s3cret" not in problem


@pytest.mark.parametrize("key", ["api_key", "trusted_key"])
async def test_a_model_server_that_knows_the_key(
    key: str, configure: Set, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async with serving(tmp_path, models=(), **{key: "s3cret"}) as url:
        configure("MODEL_SERVER__URL", url)
        configure(f"MODEL_SERVER__{key.upper()}", "s3cret")
        assert await findings(capsys) == (0, [])


JUNK = [
    plainly(b"<html>It works</html>"),
    plainly(b"{}"),
    plainly(b"[]"),
    plainly(b'{"models": 5}'),
    plainly(b'{"models": ["a"], "missing": ["b"]}', 503),
    plainly(b"", 404),
    plainly(b"Internal error", 500),
    plainly(b'{"error": {"message": "wrong\\u001b[2Jdoor"}}', 403),
    plainly(b"moved", 302, Location="http://127.0.0.1:1/"),
]


@pytest.mark.parametrize("answer", JUNK)
@pytest.mark.parametrize("key", ["", "s3cret"])
async def test_another_program_on_the_port_of_the_model_server(
    answer: Answer, key: str, configure: Set, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("MODEL_SERVER__API_KEY", key)
    async with crooked(answer, "/health/{name}") as url:
        configure("MODEL_SERVER__URL", url)
        assert await examine(load, build) == 1
    said = capsys.readouterr().out
    why = "does not know the key in TEMPERA_MODEL_SERVER__API_KEY" if key else "is no model server of Tempera"
    assert f"PROBLEM  What answers at {url} {why}" in said
    assert said.splitlines()[-1].startswith("ok       Slack")
    assert "\x1b" not in said
    assert "s3cret" not in said


async def test_a_program_that_speaks_something_else(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        configure("MODEL_SERVER__URL", f"http://127.0.0.1:{port}")
        configure("WEB__PORT", port)
        status, (web_chat, model_server) = await findings(capsys)
    assert status == 1
    assert web_chat.endswith("does not speak HTTP.")
    assert model_server.startswith(f"What answers at http://127.0.0.1:{port} is no model server of Tempera")


async def test_missing_packages_of_the_model_server(
    configure: Set, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    configure("MODEL_SERVER__URL", f"http://127.0.0.1:{unused_tcp_port}")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    status, (_, problem) = await findings(capsys)
    assert status == 1
    assert problem.startswith("The model server's packages are not installed. Install them with pip install ")


async def test_a_model_server_that_hangs(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    asked = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("never")

    async with crooked(hang, "/health/ready") as url:
        configure("MODEL_SERVER__URL", url)
        expected = f"The model server at {url} takes a connection but does not answer; restart it."
        assert await only_problem(capsys, timeout_seconds=0.2) == expected
    assert asked.is_set()


async def test_upstreams_are_tried(configure: Set, capsys: pytest.CaptureFixture[str]) -> None:
    async with OtherServer(listed=[{"id": "tiny"}, {"id": "nomic-embed-text"}]) as other:
        near = {"name": "near", "url": other.url}
        far = {"name": "far", "url": other.url, "local": False, "models": {"images": ["flux"]}}
        configure("UPSTREAMS", json.dumps([near, far]))
        configure("MODEL_SERVER__ENABLED", "false")
        assert await examine(load, build) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("warning  No local server classifies texts") for line in lines)
    assert f"ok       The upstream “near” at {other.url} (local) has models for chat: tiny@near; " in "\n".join(lines)
    does = "gave the same text for the same seed, tells no probabilities of tokens, cannot go on with a beginning"
    assert f"ok       tiny@near {does}, and tells how many tokens there were." in lines
    assert not any("pictures" in line for line in lines)
    far_line = (
        f"The upstream “far” at {other.url} (remote: only servers that allow it send there) has models for images"
    )
    assert f"ok       {far_line}: flux@far." in lines
    assert "The model server at" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("reads_pictures", "line"),
    [
        (True, "ok       tiny-vl@near reads pictures."),
        (
            False,
            "warning  tiny-vl@near is said to read pictures, but: “tiny-vl@near” failed with this picture. If it ",
        ),
    ],
)
async def test_a_model_that_is_said_to_read_pictures_is_shown_one(
    reads_pictures: bool, line: str, configure: Set, capsys: pytest.CaptureFixture[str]
) -> None:
    async with OtherServer(listed=[{"id": "tiny-vl", "owned_by": "llamacpp"}]) as other:
        other.unknown, other.reads_pictures = {"stream_options"}, reads_pictures
        configure("UPSTREAMS", json.dumps([{"name": "near", "url": other.url}]))
        configure("MODEL_SERVER__ENABLED", "false")
        assert await examine(load, build) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(one.startswith(line) for one in lines)
    assert any(line.endswith("and does not tell how many tokens there were.") for line in lines)


def not_told(name: str) -> Callable[[dict[str, Any]], object]:
    """Return what refuses a field, or any value of it but 1, as some hosted models refuse the temperature."""
    return lambda body: {"error": {"message": f"Unsupported: {name}"}} if body.get(name, 1) != 1 else None


@pytest.mark.parametrize("name", ["max_tokens", "temperature"])
async def test_who_sets_up_a_server_that_refuses_a_field_learns_what_to_do(
    name: str, configure: Set, capsys: pytest.CaptureFixture[str]
) -> None:
    async with OtherServer() as other:
        other.refuses = not_told(name)
        configure("UPSTREAMS", json.dumps([{"name": "near", "url": other.url}]))
        line = await only_problem(capsys)
    assert f"Unsupported: {name}" in line
    assert line.endswith(REFUSED_HINT)


async def test_an_upstream_that_is_not_there(
    configure: Set, capsys: pytest.CaptureFixture[str], unused_tcp_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    configure("UPSTREAMS", json.dumps([{"name": "near", "url": url}]))
    line = await only_problem(capsys)
    assert line == f"The upstream “near” at {url} does not answer: Connection refused."
    configure("UPSTREAMS", "[]")
    configure("MODEL_SERVER__ENABLED", "false")
    assert (
        "There are no models: [model_server] is not enabled, and there are no [[upstreams]]."
        in (await findings(capsys))[1]
    )


async def test_slack_by_http(configure: Set, capsys: pytest.CaptureFixture[str], unused_tcp_port: int) -> None:
    configure("SLACK__BOT_TOKEN", "xoxb-1")
    configure("SLACK__SIGNING_SECRET", "5eed")
    with socket.create_server(("127.0.0.1", 0)) as other:
        configure("SLACK__API_BASE", f"http://127.0.0.1:{unused_tcp_port}/api/")
        configure("SLACK__PORT", other.getsockname()[1])
        assert await examine(load, build, timeout_seconds=0.2) == 1
    *_, unreachable, port = capsys.readouterr().out.splitlines()
    assert unreachable.startswith(f"PROBLEM  Slack cannot be reached at http://127.0.0.1:{unused_tcp_port}/api/: ")
    assert "or set another port in TEMPERA_SLACK__PORT. It takes connections, but does not answer within 0.2 s" in port


@pytest.mark.parametrize(
    ("language", "model", "is_told"),
    [("de_DE.UTF-8", "", True), ("en_GB", "", False), ("C", "", False), ("es", "x", False)],
)
async def test_a_model_for_many_languages_is_suggested_where_english_is_not_spoken(
    configure: Set,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    language: str,
    model: str,
    is_told: bool,
) -> None:
    configure("EXPLAIN__EMBEDDINGS", model)
    monkeypatch.setenv("LC_ALL", language)
    await examine(load, build)
    assert ("--catalogue languages" in capsys.readouterr().out) is is_told
