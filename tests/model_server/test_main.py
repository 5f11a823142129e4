from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest
from fakes.model_server.client import CHAT, chat
from fakes.model_server.gateway import PATIENCE_SECONDS, answers, environment, eventually, free_port, is_ready

from model_server.__main__ import CHECKOUT, RESEARCH, main
from model_server.files import choice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SERVE = """
import sys
from model_server.workers import supervisor
supervisor.FACTORY = "fakes.engines.text_engine:create"
from model_server.__main__ import main
sys.exit(main(["serve", *sys.argv[1:]]))
"""
"""A program that runs `tempera-models serve` with fake engines."""
SHA = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEMPERA_CACHE", str(tmp_path / "cache"))
    for key in ("API_KEY", "TRUSTED_KEY"):
        monkeypatch.delenv(f"TEMPERA_MODEL_SERVER__{key}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    """An overlay with a model named `tiny`, which comes from the folder `source`."""
    path = tmp_path / "mine.toml"
    path.write_text(
        f"""
        [models.tiny]
        engine = "face"
        description = "A tiny model"
        licence = "MIT"
        files = [{{ name = "weights.bin", size = 7, sha256 = "{SHA}" }}]
        sources = ["source"]
        """
    )
    (tmp_path / "source").mkdir()
    return str(path)


def test_the_command_line_imports_no_heavy_packages() -> None:
    heavy = "{'torch', 'transformers', 'diffusers', 'huggingface_hub', 'numpy', 'aiohttp'}"
    code = f"import sys, model_server.__main__ as m; m.main(['list']); print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "tempera-models pull " in capsys.readouterr().out


def test_pull_then_path_then_list(
    tmp_path: Path, catalogue: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source/weights.bin").write_bytes(b"weights")
    assert main(["path", "tiny", "--catalogue", catalogue]) == 1
    assert "tempera-models pull tiny" in capsys.readouterr().err

    assert main(["pull", "tiny", "--catalogue", catalogue]) == 0
    captured = capsys.readouterr()
    assert "fetching weights.bin: 100%\n" in captured.err
    assert captured.out == f"tiny is in {cache / 'models/tiny'}\n"

    assert main(["path", "tiny", "--catalogue", catalogue]) == 0
    assert capsys.readouterr().out == f"{cache / 'models/tiny'}\n"

    assert main(["list", "--catalogue", catalogue]) == 0
    rows = capsys.readouterr().out
    assert "tiny                         face        MIT         7 bytes  ready\n" in rows
    assert "digiface-dcgan               face        MIT         14 MB    not fetched\n" in rows


def test_the_chosen_language_model_is_listed_and_said_at_the_start(
    cache: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, server_url: str
) -> None:
    name = "qwen2.5-coder-0.5b-instruct"
    assert main(["choose", "parrot"]) == 1
    assert "'parrot' is none of the models to choose between: qwen2.5-coder-0.5b" in capsys.readouterr().err
    assert main(["choose", name]) == 0
    assert f"{name} is served from the next start on" in capsys.readouterr().out
    assert main(["list"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.rpartition("  ")[2] for row in rows if "  language " in row] == [
        "not fetched, chosen",
        *["not fetched, served when chosen"] * 4,
    ]
    caplog.set_level("INFO")
    # The port is taken, so that the server ends at once.
    assert main(["serve", "--port", server_url.rpartition(":")[2]]) == 1
    assert f"The model {name} was chosen by the operator." in caplog.text


def test_a_picture_model_is_chosen_and_given_up_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def states() -> list[str]:
        assert main(["list"]) == 0
        rows = capsys.readouterr().out.splitlines()
        return [row.rpartition(", ")[2] for row in rows if "  diffusion " in row]

    monkeypatch.setattr(choice, "read_memory_bytes", lambda: 8 * 10**9)
    monkeypatch.setattr(choice, "read_card_bytes", lambda: 0)
    assert main(["choose", "z-image-turbo"]) == 1
    assert capsys.readouterr().err == (
        "z-image-turbo needs a graphics card with 16 GB, and this machine has none. It was not chosen, and what was "
        "served before stays.\n"
    )
    assert states() == ["chosen", "served when chosen", "served when chosen"]
    assert main(["choose", "lcm-dreamshaper-7"]) == 0
    warning, done = capsys.readouterr().out.splitlines()
    assert warning == (
        "lcm-dreamshaper-7 needs 12 GB of memory, and this machine has 8 GB. It is chosen all the same; if it does not "
        "load, run tempera-models choose emoji-diffusion."
    )
    assert done == "lcm-dreamshaper-7 is served from the next start on; tempera-models pull fetches it now."
    assert states() == ["served when chosen", "chosen", "served when chosen"]
    assert main(["choose", "emoji-diffusion"]) == 0
    capsys.readouterr()
    assert states() == ["chosen", "served when chosen", "served when chosen"]


def test_an_unknown_model_exits_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "digiface-dcgna"]) == 1
    captured = capsys.readouterr()
    assert "no model 'digiface-dcgna'" in captured.err
    assert "'digiface-dcgan'" in captured.err
    assert captured.out == ""


def test_a_preset_is_selected_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--catalogue", "gpu"]) == 0
    assert "only served when named" in capsys.readouterr().out


def test_serving_beyond_this_machine_needs_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0"]) == 1
    assert "TEMPERA_MODEL_SERVER__API_KEY" in capsys.readouterr().err


def test_an_unreadable_env_file_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"TEMPERA_MODEL_SERVER__API_KEY=\xff\n")
    assert main(["serve"]) == 1
    assert capsys.readouterr().err == "The file .env cannot be read: it is not UTF-8 text.\n"


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_an_invalid_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--port", port])
    assert f"'{port}' should be a number from 1 to 65535" in capsys.readouterr().err


def test_a_port_in_use_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--model", "digiface-dcgan", "--port", str(port)]) == 1
    said = f"The server cannot listen on 127.0.0.1, port {port}: Address already in use.\n"
    assert capsys.readouterr().err.endswith(said)


def test_a_model_that_is_not_pinned_is_named_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, server_url: str
) -> None:
    text = '[models.{0}]\nengine = "language"\ndescription = ""\nlicence = "MIT"\nrepository = "some/{0}"\n'
    pinned = text.format("pinned") + f'revision = "{"0a" * 20}"\n'
    (tmp_path / "mine.toml").write_text(text.format("loose") + pinned)
    models = ["--model", "loose", "--model", "pinned"]
    # The port is taken, so that the server ends at once.
    taken = server_url.rpartition(":")[2]
    assert main(["serve", "--catalogue", str(tmp_path / "mine.toml"), *models, "--port", taken]) == 1
    assert "loose is not pinned: whoever may change some/loose changes what is loaded here." in caplog.text
    assert "pinned is not pinned" not in caplog.text


@pytest.mark.chaos
@pytest.mark.parametrize("told", ["signal", "eof"])
def test_serving_ends_cleanly_while_files_are_fetched(tmp_path: Path, catalogue: str, told: str) -> None:
    os.mkfifo(tmp_path / "source/weights.bin")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    arguments = ["serve", "--catalogue", catalogue, "--model", "tiny", "--port", port, "--exit-on-eof"]
    child = subprocess.Popen(
        [sys.executable, "-m", "model_server", *arguments], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # Opens once the server, which listens before it fetches, reads from the other end.
    with (tmp_path / "source/weights.bin").open("wb"):
        if told == "signal":
            child.send_signal(signal.SIGTERM)
        else:
            assert child.stdin is not None
            child.stdin.close()
            child.stdin = None
        assert child.stderr is not None
        assert "Listening" in child.stderr.readline()
    _, errors = child.communicate(timeout=PATIENCE_SECONDS)
    assert child.returncode == 0
    assert "Traceback" not in errors


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    """Start a server with a parrot in the current folder `folder`; yield its address."""
    for name in ("config.json", "model.safetensors"):
        (folder / name).touch()
    (folder / "parrot.toml").write_text(
        f'[models.parrot]\nengine = "language"\ndescription = ""\nlicence = "MIT"\nfolder = "{folder}"\n'
    )
    port = free_port()
    options = ["--catalogue", "parrot.toml", "--model", "parrot", "--port", str(port)]
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, *options, env=environment())
    try:
        url = f"http://127.0.0.1:{port}"
        await eventually(lambda: answers(url))
        yield url
    finally:
        server.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await server.wait() == 0


@pytest.mark.processes
async def test_a_key_in_the_env_file_is_needed_on_loopback_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TEMPERA_MODEL_SERVER__API_KEY=open\n")
    async with served(tmp_path) as url, aiohttp.ClientSession(url) as http:
        for key, status in (("open", 200), ("wrong", 401), ("", 401)):
            async with http.get("/v1/queue", headers={"Authorization": f"Bearer {key}"}) as response:
                assert response.status == status


@pytest.mark.processes
async def test_user_names_are_only_shown_to_clients_with_the_trusted_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPERA_MODEL_SERVER__TRUSTED_KEY", "trusted")
    key = {"Authorization": "Bearer trusted"}
    async with served(tmp_path) as url, aiohttp.ClientSession(url) as http:
        await eventually(lambda: is_ready(url))
        async with http.post(CHAT, json=chat("forever", stream=True, user="ann"), headers=key):
            for headers, users in ((key, ["ann"]), ({}, [None])):
                async with http.get("/v1/queue", headers=headers) as response:
                    [queue] = (await response.json())["data"]
                assert [job.get("user") for job in queue["jobs"]] == users


@pytest.mark.chaos
def test_ctrl_c_stops_a_pull_cleanly_and_the_next_one_resumes(
    tmp_path: Path, catalogue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source/weights.bin"
    os.mkfifo(source)
    command = [sys.executable, "-m", "model_server", "pull", "tiny", "--catalogue", catalogue]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with source.open("wb"):
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=PATIENCE_SECONDS)
    assert child.returncode == 130
    assert errors == "\nStopped. The same command goes on from here.\n"

    source.unlink()
    source.write_bytes(b"weights")
    assert main(["pull", "tiny", "--catalogue", catalogue]) == 0


@pytest.mark.parametrize("name", RESEARCH)
def test_research_needs_a_checkout(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("model_server.__main__.CHECKOUT", tmp_path)
    assert main([name]) == 1
    sentence = f"`tempera-models {name}` needs a checkout of the repository; there it is `python -m research.{name}`.\n"
    assert capsys.readouterr().err == sentence


def test_in_a_checkout_research_is_started_from_any_folder_with_its_options_and_status() -> None:
    environ = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-m", "model_server", "bench", "language", "--runs", "0"]
    child = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env=environ)
    told, error = child.stderr.splitlines()
    assert told.startswith("`tempera-models bench` is deprecated; from now on use `python -m research.bench` in ")
    assert (error, child.returncode) == ("--runs and --threads should be at least 1.", 1)
