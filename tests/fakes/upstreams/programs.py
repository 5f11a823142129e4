"""Real servers by others, each in a process of its own: llama.cpp's, `transformers serve`, LiteLLM's proxy, and vLLM.

They run in `.venv/.contract`, which `make test` fills with what `deploy/locks/contract.txt` lists; vLLM, which needs
gigabytes, only where `make bench-vllm` has installed it.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import pytest
from fakes.model_server.gateway import free_port

ROOT = Path(__file__).parents[3]
PYTHON = Path(sys.prefix) / ".contract" / "bin" / "python"
VLLM = ROOT / ".venv-vllm"
UNTIL_EOF = [sys.executable, "-m", "research.bench.until_eof"]
"""Runs a program that knows no end of its own."""
TINY = Path(__file__).with_name("tiny_transformers.py")
PROXY_KEY = "sk-a-key-of-the-contract-tests-0123456789abcdef"
READY_SECONDS, STOP_SECONDS = 900, 60


def require() -> None:
    """Skip the test if the servers are not installed; with CI=true it fails then."""
    if not (PYTHON.parents[1] / ".ready").exists():
        assert os.environ.get("CI") != "true", f"{PYTHON} is missing; make test installs it"
        pytest.skip("The servers of the contract tests are missing; make .venv/.contract/.ready installs them.")


@contextlib.contextmanager
def llama_cpp(gguf: Path) -> Iterator[str]:
    """Run llama.cpp's server with a file and one slot; yield its address."""
    port = free_port()
    module = ["-m", "research.bench.peer", str(gguf), str(port), "1", "1", "1024"]
    with _running([str(PYTHON), *module], {"PYTHONPATH": str(ROOT)}, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def transformers_serve(folder: Path) -> Iterator[str]:
    """Run `transformers serve` with a tiny random model, which it writes into the folder; yield its address.

    In a folder whose name ends with “-vl” the model reads pictures.
    """
    port = free_port()
    command = [str(PYTHON), str(TINY), str(folder), str(port)]
    with _running(command, {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder)}, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def litellm_proxy(folder: Path, behind: str, models: Mapping[str, str]) -> Iterator[str]:
    """Run LiteLLM's proxy before the server `behind`; yield its address. `models` are its names for those there."""
    settings = folder / "litellm.yaml"
    entries = [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{model}", "api_base": f"{behind}/v1", "api_key": "none"},
        }
        for name, model in models.items()
    ]
    # What fails once is tried again at once, since the next test is not to see the failure of the last.
    routing = {"disable_cooldowns": True, "num_retries": 0}
    settings.write_text(json.dumps({"model_list": entries, "router_settings": routing}))
    port = free_port()
    environment = {
        "HOME": str(folder),
        "LITELLM_MASTER_KEY": PROXY_KEY,
        # Without this it asks for a list of prices at its start.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    program = ["-m", "litellm.proxy.proxy_cli", "--config", str(settings), "--host", "127.0.0.1", "--port", str(port)]
    with _running([*UNTIL_EOF, str(PYTHON), *program], environment, f"http://127.0.0.1:{port}/health/liveliness"):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def vllm(folder: Path) -> Iterator[str]:
    """Run vLLM with a tiny random model, which is written into the folder; yield its address. It starts for minutes."""
    subprocess.run([PYTHON, TINY, folder], stdin=subprocess.DEVNULL, timeout=READY_SECONDS, check=True)
    port = free_port()
    settings = {
        "--model": folder,
        "--served-model-name": folder.name,
        "--host": "127.0.0.1",
        "--port": port,
        "--dtype": "float32",
        "--max-model-len": 512,
        "--max-num-seqs": 2,
    }
    environment = {
        "PATH": f"{VLLM / 'bin'}:{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_ENGINE_READY_TIMEOUT_S": str(READY_SECONDS),
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }
    program = ["-m", "vllm.entrypoints.openai.api_server", "--enforce-eager", *map(str, chain(*settings.items()))]
    command = [*UNTIL_EOF, str(VLLM / "bin" / "python"), *program]
    with _running(command, environment, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _running(command: list[str], environment: Mapping[str, str], ready: str) -> Iterator[None]:
    """Run a program until its standard input is closed; yield once `ready` answers with success.

    It gets nothing of this environment but the path.
    """
    variables = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment}
    process = subprocess.Popen(command, cwd=ROOT, env=variables, stdin=subprocess.PIPE)
    try:
        end = time.monotonic() + READY_SECONDS
        while not _answers(ready):
            assert process.poll() is None, f"{command} ended with status {process.returncode}"
            assert time.monotonic() < end, f"{command} was not ready in time"
            time.sleep(0.05)
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(STOP_SECONDS)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=READY_SECONDS):
        return True
    return False
