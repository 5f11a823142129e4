"""The application of `deploy/ray-service.yaml`, in a Ray cluster that was started as KubeRay starts it."""

import contextlib
import json
import secrets
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from fakes.engines.tiny_models import CHAT as TINY_CHAT
from fakes.engines.tiny_models import write_tiny_models
from fakes.model_server.client import CHAT, chat
from fakes.model_server.cluster import START_SECONDS, require_ray
from fakes.model_server.gateway import PATIENCE_SECONDS, environment, free_port, wait_until_ready

pytestmark = [pytest.mark.cluster, pytest.mark.quality]

MANIFEST = Path(__file__).parents[3] / "deploy" / "ray-service.yaml"
RAY = (sys.executable, "-m", "ray.scripts.scripts")
SERVE = (sys.executable, "-m", "ray.serve.scripts")
QUIET_SECONDS, QUIET_BYTES = 5, 100_000
"""A log that was told of itself grew by megabytes in this time."""


@dataclass(frozen=True)
class Cluster:
    """Ray's first process, the address of its dashboard, and the environment for its commands."""

    process: psutil.Process
    dashboard: str
    variables: dict[str, str]

    def find_gateway(self) -> psutil.Process | None:
        """Return the process of the gateway, a child of a replica."""
        for process in self.process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.cmdline()[1:4] == ["-m", "model_server", "serve"]:
                    return process
        return None

    def count_log_bytes(self) -> int:
        """Return the size of all logs."""
        words = [word for process in self.process.children() for word in process.cmdline()]
        folder = next(word for word in words if word.startswith("--session_dir=")).partition("=")[2]
        return sum(file.stat().st_size for file in Path(folder, "logs").rglob("*") if file.is_file())


def read_service() -> Any:
    *_, service = yaml.safe_load_all(MANIFEST.read_text("utf-8"))
    return service["spec"]


@contextlib.contextmanager
def running_ray(cache: Path) -> Iterator[Cluster]:
    """Run Ray's head with the parameters and variables of the manifest."""
    head = read_service()["rayClusterConfig"]["headGroupSpec"]
    port, dashboard, agent, client = (free_port() for _ in range(4))
    command = [*RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", "--include-dashboard=true"]
    command += [f"--port={port}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
    command += [f"--dashboard-agent-listen-port={agent}"]
    # KubeRay makes a command for a shell of them.
    command += shlex.split(" ".join(f"--{name}={value}" for name, value in head["rayStartParams"].items()))
    [container] = head["template"]["spec"]["containers"]
    variables = environment() | {item["name"]: item["value"] for item in container["env"] if "value" in item}
    variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16), "TEMPERA_CACHE": str(cache)}
    with subprocess.Popen(command, env=variables) as process:
        ray = psutil.Process(process.pid)
        try:
            yield Cluster(ray, f"http://127.0.0.1:{dashboard}", variables | {"RAY_ADDRESS": f"127.0.0.1:{port}"})
        finally:
            for one in [ray, *ray.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def deploy(cluster: Cluster, folder: Path, catalogue: Path, port: int) -> None:
    """Give the application of the manifest to Ray, with a tiny model, as KubeRay's operator does."""
    config = yaml.safe_load(read_service()["serveConfigV2"])
    config["applications"][0]["args"]["serve"] = [f"--port={port}", f"--catalogue={catalogue}", f"--model={TINY_CHAT}"]
    file = folder / "serve.yaml"
    file.write_text(yaml.safe_dump(config | {"proxy_location": "Disabled"}))
    command = [*SERVE, "deploy", str(file), "--address", cluster.dashboard]
    # Ray's dashboard takes nothing until it has started.
    wait_until(
        lambda: subprocess.run(command, env=cluster.variables, timeout=START_SECONDS, check=False).returncode == 0
    )


def ask(url: str) -> str:
    body = chat("a b", model=TINY_CHAT, seed=1, max_tokens=8)
    request = urllib.request.Request(url + CHAT, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


def test_the_gateway_of_the_manifest_serves_and_is_replaced(tmp_path: Path) -> None:
    require_ray()
    catalogue, cache = write_tiny_models(tmp_path, context=64)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_ray(cache) as cluster:
        deploy(cluster, tmp_path, catalogue, port)
        wait_until_ready(url, None, START_SECONDS)
        told = ask(url)
        before = cluster.count_log_bytes()
        time.sleep(QUIET_SECONDS)
        assert cluster.count_log_bytes() - before < QUIET_BYTES
        gateway = cluster.find_gateway()
        assert gateway is not None
        gateway.kill()
        wait_until(lambda: cluster.find_gateway() not in {None, gateway})
        wait_until_ready(url, None, START_SECONDS)
        assert ask(url) == told
